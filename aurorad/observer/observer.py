"""Follows the tasks of this machine: which there are, what became of them, what they use.

All files are read in threads; what they say is kept, and read on from where it ended.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import trio

from aurorad.observer.finder import Finder, Found
from aurorad.observer.sampling import NOTHING, Sampler, Usage, disk_used
from executor.checkpoint import CheckpointError, ProcessState, ProcessStatus, RunnerState, Story, StreamReader
from executor.paths import TaskPaths

log = logging.getLogger(__name__)

SCAN_INTERVAL_S = 1.0
FULL_SCAN_EVERY = 30  # scans
SAMPLE_INTERVAL_S = 5.0
DISK_INTERVAL_S = 60.0
MOST_KEPT = 256  # stories of finished tasks; those of others are read again when asked for
BATCH = 50  # tasks read in one go
MAX_TASK_FILE = 4 << 20  # bytes

Kind = Literal["active", "finished", "all"]


class TaskView(msgspec.Struct, frozen=True):
    """All that is known of one task. `description` is its task file, empty if that cannot be read."""

    task_id: str
    finished: bool
    state: RunnerState
    description: Mapping[str, object]
    usage: Usage


class _Follower:
    """One task's files, read on from where they ended. `read` runs in threads."""

    def __init__(self, paths: TaskPaths) -> None:
        self._paths = paths
        self._reader = StreamReader(paths.runner)
        self._story = Story(recovering=True)
        self._corrupt = False
        self._lock = threading.Lock()
        self.state = RunnerState()
        self.description: Mapping[str, object] = {}

    def read(self) -> None:
        with self._lock:
            if not self.description:
                self.description = _description(self._paths)
            if not self._corrupt:
                self._read_stream()

    def _read_stream(self) -> None:
        try:
            for record in self._reader.read():
                self._story.apply(record)
        except CheckpointError as error:
            self._corrupt = True  # what was read before it still stands
            log.error("Checkpoint stream is corrupt: %s: %s", self._paths.runner, error)
        except OSError as error:
            log.warning("Cannot read the checkpoints of task %s: %s", self._paths.task_id, error)
        self.state = self._story.snapshot()


def _description(paths: TaskPaths) -> Mapping[str, object]:
    for file in (paths.active, paths.finished):
        try:
            with file.open("rb") as opened:
                value = json.loads(opened.read(MAX_TASK_FILE))
        except (OSError, ValueError):  # moved just now, half written, or not ours to read
            continue
        if isinstance(value, dict):
            return value
    return {}


class Observer:
    """What pages ask. `run` must run for tasks to be found by themselves."""

    def __init__(self, mesos_root: Path | None, other_roots: Iterable[Path] = (), *, sample: bool = True) -> None:
        """As `Finder`; without `sample` all consumption reads 0."""
        self._finder = Finder(mesos_root, other_roots)
        self._found: dict[str, Found] = {}
        self._ordered: dict[Kind, list[str]] = {"active": [], "finished": [], "all": []}
        self._followers: OrderedDict[str, _Follower] = OrderedDict()
        self._sampler = Sampler() if sample else None
        self._usage: dict[str, Usage] = {}
        self._disk: dict[str, int] = {}
        self._scanning = trio.Lock()
        self._scans = 0

    async def run(self) -> None:
        """Find tasks and measure them, until cancelled."""
        await self.scan()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._every, SCAN_INTERVAL_S, self.scan)
            if self._sampler is not None:
                nursery.start_soon(self._every, SAMPLE_INTERVAL_S, self._sample)
                nursery.start_soon(self._every, DISK_INTERVAL_S, self._measure_disk)

    @staticmethod
    async def _every(interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await work()
            await trio.sleep(interval_s)

    async def scan(self) -> None:
        """Look for tasks now."""
        async with self._scanning:
            full = self._scans % FULL_SCAN_EVERY == 0
            self._scans += 1
            found = await trio.to_thread.run_sync(lambda: self._finder.scan(full=full))
            if found != self._found:
                self._take(found)

    def _take(self, found: dict[str, Found]) -> None:
        for task_id in self._found.keys() - found.keys():
            self._followers.pop(task_id, None)
        for task_id, task in found.items():
            known = self._found.get(task_id)
            if known is not None and known.paths != task.paths:
                self._followers.pop(task_id, None)
        self._found = found
        newest = sorted(found, key=lambda task_id: found[task_id].mtime_ns, reverse=True)
        self._ordered = {
            "active": [task_id for task_id in newest if not found[task_id].finished],
            "finished": [task_id for task_id in newest if found[task_id].finished],
            "all": newest,
        }
        active = set(self._ordered["active"])
        self._usage = {task_id: usage for task_id, usage in self._usage.items() if task_id in active}
        self._disk = {task_id: size for task_id, size in self._disk.items() if task_id in active}

    def ids(self, kind: Kind) -> list[str]:
        """Ids of tasks, newest first."""
        return self._ordered[kind]

    def has(self, task_id: str) -> bool:
        return task_id in self._found

    async def tasks(self, task_ids: Iterable[str]) -> list[TaskView]:
        """The tasks as they are now; those that there are not are left out."""
        wanted = list(dict.fromkeys(task_ids))
        views: list[TaskView] = []
        for start in range(0, len(wanted), BATCH):
            batch = [task_id for task_id in wanted[start : start + BATCH] if task_id in self._found]
            followers = {task_id: self._follower(task_id) for task_id in batch}
            await trio.to_thread.run_sync(_read_all, list(followers.values()))
            views += [self._view(task_id, follower) for task_id, follower in followers.items()]
            self._forget_some()
        return views

    async def task(self, task_id: str) -> TaskView | None:
        """One task, looked for at once if it was not found yet."""
        if task_id not in self._found:
            await self.scan()
        found = await self.tasks([task_id])
        return found[0] if found else None

    def _follower(self, task_id: str) -> _Follower:
        if task_id not in self._followers:
            self._followers[task_id] = _Follower(self._found[task_id].paths)
        self._followers.move_to_end(task_id)
        return self._followers[task_id]

    def _forget_some(self) -> None:
        """Of what has ended keep the stories asked for last."""
        finished = [task_id for task_id in self._followers if self._is_finished(task_id)]
        for task_id in finished[: max(0, len(finished) - MOST_KEPT)]:
            del self._followers[task_id]

    def _is_finished(self, task_id: str) -> bool:
        return task_id not in self._found or self._found[task_id].finished

    def _view(self, task_id: str, follower: _Follower) -> TaskView:
        usage = msgspec.structs.replace(self._usage.get(task_id, NOTHING), disk=self._disk.get(task_id, 0))
        return TaskView(task_id, self._is_finished(task_id), follower.state, follower.description, usage)

    async def _sample(self) -> None:
        assert self._sampler is not None
        views = await self.tasks(self.ids("active"))
        running = {view.task_id: _running(view.state) for view in views}
        self._usage = await trio.to_thread.run_sync(self._sampler.sample, running)

    async def _measure_disk(self) -> None:
        for view in await self.tasks(self.ids("active")):
            if view.state.header is not None and view.state.header.sandbox:
                sandbox = Path(view.state.header.sandbox)
                self._disk[view.task_id] = await trio.to_thread.run_sync(disk_used, sandbox, abandon_on_cancel=True)


def _read_all(followers: Sequence[_Follower]) -> None:
    for follower in followers:
        follower.read()


def _running(state: RunnerState) -> dict[str, ProcessStatus]:
    return {name: runs[-1] for name, runs in state.processes.items() if runs[-1].state is ProcessState.RUNNING}
