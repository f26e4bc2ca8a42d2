"""Which processes belong to a task, and signals to all of them (thermos-runner sheet, section 10.2).

A pid on record may long belong to someone else: it counts as ours only if it was created when the record says.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping

from aurorad import procfs
from aurorad.procfs import ProcessInfo
from executor.checkpoint import ProcessStatus

START_TOLERANCE_S = 10.0


def is_ours(pid: int | None, recorded_s: float | None, among: Mapping[int, ProcessInfo]) -> bool:
    """Whether `pid` is still the process that was started at `recorded_s` (seconds since the epoch)."""
    if pid is None or recorded_s is None or pid not in among:
        return False
    return abs(procfs.start_time_s(among[pid]) - recorded_s) < START_TOLERANCE_S


def members(run: ProcessStatus, among: Mapping[int, ProcessInfo], own: set[int], *, just_ended: bool) -> set[int]:
    """What is left of a run: its coordinator, its command, their descendants, and the rest of their session.

    `own` are this process's descendants, which are ours whatever the clock says. A session whose leader is gone counts
    only while the run goes on or has `just_ended`: later its number may be that of any daemon that left its parents.
    """

    def ours(pid: int | None, recorded_s: float | None) -> bool:
        return pid in own or is_ours(pid, recorded_s, among)

    found: set[int] = set()
    for pid, recorded_s in ((run.coordinator_pid, run.fork_time), (run.pid, run.start_time)):
        if pid is not None and ours(pid, recorded_s):
            found |= {pid, *procfs.descendants(pid, among)}
    session = run.coordinator_pid
    orphaned = session not in among and (just_ended or not run.state.terminal)
    if session is not None and (orphaned or ours(session, run.fork_time)):
        found |= {process.pid for process in among.values() if process.session == session}
    return found - {os.getpid()}


def task_members(runs: Iterable[ProcessStatus]) -> dict[int, ProcessInfo]:
    """Everything alive of a task: what is left of its runs, and every descendant of this process."""
    among = procfs.processes()
    own = procfs.descendants(os.getpid(), among)
    found = own.union(*(members(run, among, own, just_ended=False) for run in runs))
    return {pid: among[pid] for pid in found if not among[pid].zombie}


def kill_run(run: ProcessStatus) -> bool:
    """SIGKILL to all that is left of a run that has just ended, or shall. False if nothing was alive."""
    among = procfs.processes()
    found = members(run, among, procfs.descendants(os.getpid(), among), just_ended=True)
    for pid in found:
        procfs.send(among[pid], signal.SIGKILL)
    return any(not among[pid].zombie for pid in found)
