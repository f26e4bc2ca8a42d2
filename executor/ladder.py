"""Which processes belong to a task, and the signals that end them (thermos-runner sheet, sections 7.4 and 10.2).

They are those in its control group, if it has one, and all that descend from this process, their sub-reaper. What a
runner before this one started descends from others: without a control group it is looked for among all processes, by
what is on record. A pid on record may long belong to someone else: it counts as ours only if it was created when the
record says.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path

import trio

from aurorad import procfs
from aurorad.cgroups import TASK, TaskGroup
from aurorad.ending import end_all
from aurorad.pace import Pace, gently
from aurorad.procfs import ProcessInfo
from executor.checkpoint import ProcessStatus
from executor.keeper import keepers
from executor.ledger import LIVE

_START_TOLERANCE_S = 10.0
_SWEEP_S = 0.02  # at a stretch


class Ladder:
    """Mutable; belongs to one runner.

    `runs` gives the last run of each process. `helpers` are the pids of the executor's own children, which are left
    alone. `directory` is the executor's. `scanning` says that a runner before this one has started processes, and not
    in the group.
    """

    def __init__(
        self,
        runs: Callable[[], list[ProcessStatus]],
        helpers: Set[int],
        directory: Path,
        group: TaskGroup | None,
        *,
        scanning: bool,
    ) -> None:
        self._runs, self._helpers, self._directory, self._group = runs, helpers, directory, group
        self._scanning = scanning
        self._started: set[int] = set()  # our coordinators
        self._ended: set[int] = set()  # sessions of runs that are over, in which somebody may still be
        self._told: set[tuple[int, int]] = set()

    def started(self, coordinator_pid: int) -> None:
        """This process has forked a coordinator."""
        self._started.add(coordinator_pid)

    async def tell_to_end(self) -> int:
        """SIGTERM, once, to each living process but the coordinators, which only tell what becomes of it; how many.

        Those that are stopped are woken up, or they would not hear of it.
        """
        coordinators = self._coordinators()
        pace, alive = Pace(), set()
        for process in self._everything():
            await pace.breathe()
            if process is None or process.zombie or process.pid in coordinators:
                continue
            who = process.pid, process.start_ticks
            alive.add(who)
            if who not in self._told:
                procfs.send(process, signal.SIGTERM)
                procfs.send(process, signal.SIGCONT)
                self._told.add(who)
        return len(alive)

    async def end(self, within_s: float) -> list[int]:
        """SIGKILL to everything, coordinators too, until nothing is left; the pids of those that do not die in time.

        Again and again, since they may be forking.
        """
        with trio.move_on_after(within_s):
            for pause_s in end_all(self._everything, self._parents, self._group, TASK, self._helpers):
                await trio.sleep(pause_s)
            return []
        return [process.pid for process in self._everything() if process is not None and not process.zombie]

    def kill_live(self, run: ProcessStatus) -> bool:
        """SIGKILL to a run's coordinator, which then tells nothing any more. Whether it or its command was alive."""
        found = [
            process
            for pid, recorded_s in ((run.coordinator_pid, run.fork_time), (run.pid, run.start_time))
            if (process := _ours(pid, recorded_s, self._started)) is not None and not process.zombie
        ]
        for process in found:
            procfs.send(process, signal.SIGKILL)
        return bool(found)

    async def end_rest(self, run: ProcessStatus) -> None:
        """SIGKILL to what a run that just ended has left in its session. What left that is spared until the task ends.

        At once, without a checkpoint, for a run that we started.
        """
        if run.coordinator_pid is None:
            return
        if run.coordinator_pid in self._started:
            self._started.discard(run.coordinator_pid)
            self._ended.add(run.coordinator_pid)
            self._sweep_children()
            return
        pids = procfs.pids() if self._group is None or self._scanning else self._group.pids()
        seen = await gently(procfs.info, [*pids, run.coordinator_pid])
        among = {process.pid: process for process in seen if process is not None}
        for pid in members(run, among, set(), just_ended=True):
            procfs.send(among[pid], signal.SIGKILL)

    async def sweep(self) -> None:
        """Ends the rest of ended runs. To be called when a child has ended, since that hands its own children up."""
        if not self._ended:
            return
        looked_for, pace = set(self._ended), Pace()
        left, groups = set(), set()
        coordinators = self._coordinators()
        for child in _children():
            if child.pid in coordinators:
                continue
            for process in itertools.chain([child], procfs.tree(child.pid)):
                if process.session in looked_for and not process.zombie:
                    left.add(process.session)
                    groups.add(process.group)
                await pace.breathe()
        _kill_groups(groups)
        self._ended -= looked_for - left

    def _sweep_children(self) -> None:
        """What can be done at once: our own children, and so whoever lost its parent with the run."""
        coordinators = self._coordinators()
        until = time.monotonic() + _SWEEP_S
        groups = set()
        for child in _children():
            if child.session in self._ended and child.pid not in coordinators:
                groups.add(child.group)
            if time.monotonic() > until:
                break
        _kill_groups(groups)

    def _coordinators(self) -> set[int | None]:
        return {run.coordinator_pid for run in self._runs() if run.state in LIVE}

    def _parents(self) -> list[int]:
        return [os.getpid(), *(keepers(self._directory, procfs.processes()) if self._scanning else ())]

    def _everything(self) -> Iterator[ProcessInfo | None]:
        """Zombies and coordinators included; None now and then."""
        return (process for process in self._all() if process is None or process.pid not in self._helpers)

    def _all(self) -> Iterator[ProcessInfo | None]:
        if self._group is not None:
            yield from map(procfs.info, self._group.pids())
        if self._scanning:
            yield from self._scan()
        else:
            yield from procfs.tree(os.getpid())

    def _scan(self) -> Iterator[ProcessInfo | None]:
        among = {}
        for pid in procfs.pids():
            process = procfs.info(pid)
            if process is not None:
                among[pid] = process
            yield None
        own = procfs.descendants(os.getpid(), among)
        for keeper in keepers(self._directory, among):
            own |= procfs.descendants(keeper, among)
        found = own.union(*(members(run, among, own, just_ended=False) for run in self._runs()))
        yield from (among[pid] for pid in found - {os.getpid()})


def is_ours(pid: int | None, recorded_s: float | None, among: Mapping[int, ProcessInfo]) -> bool:
    """Whether `pid` is still the process that was started at `recorded_s` (seconds since the epoch)."""
    if pid is None or recorded_s is None or pid not in among:
        return False
    return abs(procfs.start_time_s(among[pid]) - recorded_s) < _START_TOLERANCE_S


def members(run: ProcessStatus, among: Mapping[int, ProcessInfo], own: set[int], *, just_ended: bool) -> set[int]:
    """What is left of a run: its coordinator, its command, their descendants, and the rest of their session.

    `own` are ours whatever the clock says. A session whose leader is gone counts only while the run goes on or has
    `just_ended`: later its number may be that of any daemon that left its parents.
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


def kill_run(run: ProcessStatus) -> bool:
    """SIGKILL to all that is left of a run, for whoever is not its runner. False if nothing was alive. Blocks."""
    among = procfs.processes()
    found = members(run, among, set(), just_ended=True)
    for pid in found:
        procfs.send(among[pid], signal.SIGKILL)
    return any(not among[pid].zombie for pid in found)


def _ours(pid: int | None, recorded_s: float | None, started: set[int]) -> ProcessInfo | None:
    process = None if pid is None else procfs.info(pid)
    if process is None or not (pid in started or is_ours(pid, recorded_s, {process.pid: process})):
        return None
    return process


def _children() -> Iterator[ProcessInfo]:
    own = procfs.info(os.getpid())
    assert own is not None
    return (child for pid in procfs.children(own) if (child := procfs.info(pid)) is not None)


def _kill_groups(groups: Iterable[int]) -> None:
    """A process group lies within its session, and none of it can fork while it is being killed."""
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
