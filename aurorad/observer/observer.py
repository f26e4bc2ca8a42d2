"""Follows the tasks of this machine: which there are, what became of them, what they use.

All files are read in threads; what they say is kept, and read on from where it ended.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec
import trio

from aurorad.observer import places
from aurorad.observer.files import File
from aurorad.observer.finder import Finder, Found
from aurorad.observer.follower import Description, Follower
from aurorad.observer.places import Root
from aurorad.observer.sampling import NOTHING, Sampler, Usage, disk_used
from aurorad.observer.walk import Place, Refused
from aurorad.pace import Pace
from executor.checkpoint import ProcessState, ProcessStatus, RunnerState

T = TypeVar("T")

FRESH_S = 1.0  # so old may what is shown as a list of tasks be, while somebody looks
QUICK_S = 0.05  # scans that take longer are not waited for: then what the last one found is shown
KEPT_BYTES = 4 << 20  # of stories of finished tasks; those of others are read again when asked for: half a millisecond
BATCH = 50  # tasks read in one go

Kind = Literal["active", "finished", "all"]
DiskCollector = Callable[[Mapping[str, Place]], AsyncIterator[tuple[str, int]]]
"""Of sandboxes by task id, the bytes that each takes, as they become known; -1 for what cannot be found out."""


async def measured_disks(sandboxes: Mapping[str, Place]) -> AsyncIterator[tuple[str, int]]:
    """By looking at all the files."""
    for task_id, sandbox in sandboxes.items():
        yield task_id, await trio.to_thread.run_sync(disk_used, sandbox, abandon_on_cancel=True)


class TaskView(msgspec.Struct, frozen=True):
    """All that is known of one task.

    `finished` tasks run no more. If one was `abandoned`, its runner went without an end on record, and the LOST at the
    end of its states is ours. `owner` is the user whose stream of checkpoints it is.
    """

    task_id: str
    finished: bool
    abandoned: bool
    root: Root
    owner: int
    state: RunnerState
    description: Description
    usage: Usage

    def sandbox(self) -> Place:
        """Asks the disk. Raises `Refused`."""
        return places.sandbox(self.root, self.state.header, self.owner)

    def log(self, process: str, run: int, name: str) -> File:
        """Asks the disk. Raises `Refused`."""
        return places.log(self.root, self.state.header, self.owner, process, run, name)


class _Known(NamedTuple):
    """What the last scan found; ids newest first."""

    found: Mapping[str, Found]
    ids: Mapping[Kind, Sequence[str]]
    active: frozenset[str]


class Observer:
    """What pages ask. `run` must run for tasks to be found by themselves."""

    def __init__(
        self,
        mesos_roots: Iterable[Path],
        other_roots: Iterable[Path] = (),
        *,
        polling_interval_s: float = 5.0,
        process_interval_s: float = 20.0,
        disk_interval_s: float = 60.0,
        sample: bool = True,
        disks: DiskCollector = measured_disks,
    ) -> None:
        """As `Finder`; without `sample` all consumption reads 0."""
        self._finder = Finder(mesos_roots, other_roots)
        self._intervals_s = polling_interval_s, process_interval_s, disk_interval_s
        self._known = _Known({}, {"active": (), "finished": (), "all": ()}, frozenset())
        self._followers: OrderedDict[str, Follower] = OrderedDict()
        self._sampler = Sampler() if sample else None
        self._disks = disks
        self._usage: Mapping[str, Usage] = {}
        self._disk: dict[str, int] = {}
        self._scanning = trio.Lock()
        self._scan_began_s = -math.inf
        self._scan_took_s = 0.0

    async def run(self) -> None:
        """Find tasks and measure them, until cancelled."""
        polling_s, process_s, disk_s = self._intervals_s
        await self.scan()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._every, polling_s, self.scan)
            if self._sampler is not None:
                nursery.start_soon(self._every, process_s, self._sample)
                nursery.start_soon(self._every, disk_s, self._measure_disks)

    @staticmethod
    async def _every(interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await work()
            await trio.sleep(interval_s)

    async def scan(self, *, at_least_since_s: float = math.inf) -> None:
        """Look for tasks now, unless that was begun since a moment on Trio's clock."""
        asked_s = min(trio.current_time(), at_least_since_s)
        async with self._scanning:
            if self._scan_began_s >= asked_s:
                return
            self._scan_began_s = trio.current_time()
            found = await trio.to_thread.run_sync(self._finder.scan)
            for task_id in [
                name for name, follower in self._followers.items() if not _is_of(follower, found.get(name))
            ]:
                del self._followers[task_id]
            running = {name: self._follower(task) for name, task in found.items() if not task.finished}
            self._known = await trio.to_thread.run_sync(_look_at, found, running)
            self._usage = _only(self._known.active, self._usage)
            self._disk = _only(self._known.active, self._disk)
            self._scan_took_s = trio.current_time() - self._scan_began_s

    async def refresh(self) -> None:
        """Make sure that lists of tasks are about as the disk has them, if that is quickly done."""
        if self._scan_took_s <= QUICK_S:
            await self.scan(at_least_since_s=trio.current_time() - FRESH_S)

    def ids(self, kind: Kind) -> Sequence[str]:
        """Ids of tasks, newest first."""
        return self._known.ids[kind]

    async def tasks(self, task_ids: Iterable[str]) -> list[TaskView]:
        """The tasks as they are now; those that there are not are left out."""
        return await self.each(task_ids, lambda view: view)

    async def each(self, task_ids: Iterable[str], what: Callable[[TaskView], T]) -> list[T]:
        """`what` of each of the tasks that there are, of which no more than `BATCH` are held at once for it."""
        wanted, pace = list(dict.fromkeys(task_ids)), Pace()
        results: list[T] = []
        for start in range(0, len(wanted), BATCH):
            known = self._known
            found = [known.found[task_id] for task_id in wanted[start : start + BATCH] if task_id in known.found]
            pairs = [(task, self._follower(task)) for task in found]
            await trio.to_thread.run_sync(_read_all, pairs)
            for task, follower in pairs:
                results.append(what(self._view(task, follower)))
                await pace.breathe()
            self._forget_some()
        return results

    async def task(self, task_id: str) -> TaskView | None:
        """One task, looked for at once if it was not found yet."""
        if task_id not in self._known.found:
            await self.scan()
        found = await self.tasks([task_id])
        return found[0] if found else None

    def _follower(self, task: Found) -> Follower:
        follower = self._followers.get(task.task_id)
        if follower is None or follower.root != task.root:
            follower = self._followers[task.task_id] = Follower(task.root, task.task_id)
        self._followers.move_to_end(task.task_id)
        return follower

    def _forget_some(self) -> None:
        """Of what has ended keep the stories asked for last."""
        kept = 0
        for task_id, follower in reversed(list(self._followers.items())):
            if task_id not in self._known.active:
                kept += follower.weight
                if kept > KEPT_BYTES:
                    del self._followers[task_id]

    def _view(self, task: Found, follower: Follower) -> TaskView:
        usage = self._usage.get(task.task_id, NOTHING)
        return TaskView(
            task.task_id,
            task.finished or follower.over,
            follower.abandoned,
            task.root,
            follower.owner,
            follower.state,
            follower.description,
            msgspec.structs.replace(usage, disk=self._disk.get(task.task_id, 0)),
        )

    async def _sample(self) -> None:
        assert self._sampler is not None
        running = dict(await self.each(self.ids("active"), lambda view: (view.task_id, _running(view.state))))
        self._usage = await trio.to_thread.run_sync(self._sampler.sample, running)

    async def _measure_disks(self) -> None:
        views = await self.tasks(self.ids("active"))
        sandboxes = await trio.to_thread.run_sync(lambda: [(view.task_id, _sandbox(view)) for view in views])
        known = {task_id: sandbox for task_id, sandbox in sandboxes if sandbox is not None}
        async for task_id, size in self._disks(known):
            self._disk[task_id] = size


def _is_of(follower: Follower, task: Found | None) -> bool:
    return task is not None and follower.root == task.root


def _only(task_ids: frozenset[str], values: Mapping[str, T]) -> dict[str, T]:
    return {task_id: value for task_id, value in values.items() if task_id in task_ids}


def _look_at(found: Mapping[str, Found], running: Mapping[str, Follower]) -> _Known:
    """Reads on in the streams of those that are filed as active, in a thread: their runners may be gone."""
    _read_all([(found[task_id], follower) for task_id, follower in running.items()])
    newest = sorted(found, key=lambda task_id: found[task_id].mtime_ns, reverse=True)
    active = frozenset(task_id for task_id, follower in running.items() if not follower.over)
    return _Known(
        found,
        {
            "active": [task_id for task_id in newest if task_id in active],
            "finished": [task_id for task_id in newest if task_id not in active],
            "all": newest,
        },
        active,
    )


def _read_all(tasks: Iterable[tuple[Found, Follower]]) -> None:
    for task, follower in tasks:
        follower.read(finished=task.finished)


def _running(state: RunnerState) -> dict[str, ProcessStatus]:
    return {name: runs[-1] for name, runs in state.processes.items() if runs[-1].state is ProcessState.RUNNING}


def _sandbox(view: TaskView) -> Place | None:
    try:
        return view.sandbox()
    except Refused:
        return None
