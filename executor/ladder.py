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
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import closing, suppress
from pathlib import Path

import trio

from aurorad import procfs
from aurorad.cgroups import TASK, TaskGroup
from aurorad.ending import end_all
from aurorad.pace import Pace, gently
from aurorad.procfs import ProcessInfo
from executor.checkpoint import ProcessStatus
from executor.keeper import keepers

START_TOLERANCE_S = 10.0


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
        self._keepers: list[int] = []  # of executors before this one
        self._started: dict[int, int] = {}  # coordinators of ours, and when they were created
        self._at_work: set[int] = set()  # those of them that have not told of an end
        self._told: set[tuple[int, int]] = set()

    def started(self, coordinator_pid: int) -> None:
        """This process has forked a coordinator."""
        coordinator = procfs.info(coordinator_pid)
        if coordinator is not None:
            self._started[coordinator_pid] = coordinator.start_ticks
        self._at_work.add(coordinator_pid)

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
            with closing(end_all(self._everything, self._parents, self._group, TASK, self._helpers)) as ending:
                for pause_s in ending:
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

    async def end_family(self, run: ProcessStatus) -> list[ProcessInfo]:
        """SIGKILL to a command that lives, and to its descendants in whatever session (sheet, section 10.2): these."""
        command = _ours(run.pid, run.start_time, self._started)
        if command is None or command.zombie:
            return []
        procfs.send(command, signal.SIGSTOP)  # it cannot fork while they are looked for
        pace, family = Pace(), [command]
        for process in procfs.tree(command.pid):
            family.append(process)
            await pace.breathe()
        for process in family:
            procfs.send(process, signal.SIGKILL)
            await pace.breathe()
        return family

    def end_run(self, run: ProcessStatus) -> None:
        """SIGKILL to what a run that ends leaves in its session, as far as it is our child by now or in its own group.

        `end_rest` finds the others. What left the session is spared until the task ends (sheet, section 7.4).
        """
        session = run.coordinator_pid
        self._at_work -= {session}
        groups = {process.group for process in self._strangers() if process.session == session}
        command = _ours(run.pid, run.start_time, {})
        if command is not None and command.session == session:
            groups.add(command.group)
        _kill_groups(groups)

    async def end_rest(self, run: ProcessStatus) -> bool:
        """SIGKILL to all that is left in the session of a run that has ended. False once nothing was alive."""
        if run.coordinator_pid in self._started:
            pace, groups = Pace(), set()
            for stranger in self._strangers():
                for process in itertools.chain([stranger], procfs.tree(stranger.pid)):
                    if process.session == run.coordinator_pid and not process.zombie:
                        groups.add(process.group)
                    await pace.breathe()
            _kill_groups(groups)
            return bool(groups)
        pids = procfs.pids() if self._group is None or self._scanning else self._group.pids()
        coordinators = [] if run.coordinator_pid is None else [run.coordinator_pid]
        seen = await gently(procfs.info, [*pids, *coordinators])
        among = {process.pid: process for process in seen if process is not None}
        found = [among[pid] for pid in members(run, among, set(), just_ended=True) if not among[pid].zombie]
        for process in found:
            procfs.send(process, signal.SIGKILL)
        return bool(found)

    def _strangers(self) -> Iterator[ProcessInfo]:
        """Our children but the coordinators at work: whoever lost its parent."""
        own = procfs.info(os.getpid())
        assert own is not None
        strangers = set(procfs.children(own)) - self._at_work
        return (process for pid in strangers if (process := procfs.info(pid)) is not None)

    def _coordinators(self) -> set[int | None]:
        return {run.coordinator_pid for run in self._runs() if run.state.live}

    def _parents(self) -> list[int]:
        return [os.getpid(), *self._keepers]

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
        self._keepers = [pid for pid in keepers(self._directory, among) if pid != os.getppid()]
        for keeper in self._keepers:
            own |= procfs.descendants(keeper, among)
        found = own.union(*(members(run, among, own, just_ended=False) for run in self._runs()))
        yield from (among[pid] for pid in found - {os.getpid()})


def is_ours(pid: int | None, recorded_s: float | None, among: Mapping[int, ProcessInfo]) -> bool:
    """Whether `pid` is still the process that was started at `recorded_s` (seconds since the epoch)."""
    if pid is None or recorded_s is None or pid not in among:
        return False
    return abs(procfs.start_time_s(among[pid]) - recorded_s) < START_TOLERANCE_S


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


def _ours(pid: int | None, recorded_s: float | None, started: Mapping[int, int]) -> ProcessInfo | None:
    process = None if pid is None else procfs.info(pid)
    if process is None:
        return None
    known = started.get(process.pid) == process.start_ticks
    return process if known or is_ours(pid, recorded_s, {process.pid: process}) else None


def _kill_groups(groups: Iterable[int]) -> None:
    """A process group lies within its session, and none of it can fork while it is being killed."""
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
