"""One task's files, read on from where they ended the last time: its description, its checkpoints.

Nothing in them is believed to be well meant: whoever owns the run's directory may have written them. What is read is
bounded, what is kept is bounded, and what cannot be read leaves the task as it was known.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import threading
import time
from pathlib import Path

import msgspec

from aurorad.observer import orphans, walk
from aurorad.observer.places import Root
from aurorad.observer.walk import Refused
from executor.checkpoint import CheckpointError, ProcessStatus, RunnerCkpt, RunnerState, Story, decode_frames
from executor.paths import TaskPaths
from executor.task import Resources

log = logging.getLogger(__name__)

PATIENCE_S = 15.0  # longer than engines wait before they replace an executor
LARGEST_DESCRIPTION = 4 << 20  # bytes
LARGEST_STREAM = 32 << 20  # bytes: of some 100,000 runs
LARGEST_RECORD = 1 << 20  # bytes
_MEMORY_PER_BYTE = 8  # of a stream, once it has become objects: roughly
_LATEST_S = 1e11  # in the year 5138; what claims to be later is no time


class _Process(msgspec.Struct):
    name: str = ""
    cmdline: str = ""


class _Task(msgspec.Struct):
    name: str = ""
    processes: list[_Process] = []
    resources: msgspec.Raw = msgspec.Raw(b"null")


class Description(msgspec.Struct, frozen=True):
    """A task file: what pages need of it, and the JSON object as it is. Of processes of one name the last counts."""

    name: str = ""
    cmdlines: tuple[tuple[str, str], ...] = ()
    json: bytes = b"{}"
    resources: Resources | None = None


def describe(text: bytes) -> Description | None:
    """None for what is no task file, or is not written to its end."""
    try:
        text.decode()
        task = msgspec.json.decode(text, type=_Task)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    cmdlines = {process.name: process.cmdline for process in task.processes}
    return Description(task.name, tuple(cmdlines.items()), text, _resources(task.resources))


def _resources(text: msgspec.Raw) -> Resources | None:
    """None where they make no sense; the task is then shown without them."""
    try:
        return msgspec.json.decode(text, type=Resources | None)
    except msgspec.DecodeError:
        return None


class Follower:
    """`read` runs in threads, one at a time; what it found is then to be had from the loop."""

    def __init__(self, root: Root, task_id: str) -> None:
        self.root = root
        paths = TaskPaths(Path(), task_id)
        self._task_id, self._stream = task_id, str(paths.runner)
        self._descriptions = str(paths.active), str(paths.finished)
        self._described = False
        self._lock = threading.Lock()
        self._story = Story(recovering=True)
        self._identity: tuple[int, int] | None = None  # device and inode of the stream
        self._at = 0  # where the complete records end
        self._corrupt = False
        self._complaint = ""
        self._missed: tuple[tuple[int, int], float] | None = None
        """Since when nobody holds the stream's lock, and the stream's size and time of change then."""
        self._recorded = RunnerState()
        self.state = RunnerState()
        """As it stands: what is on record, and of a task that was abandoned what became of it."""
        self.description = Description()
        self.owner = 0
        """Whose stream it is, as a user id."""
        self.abandoned = False
        """Nobody runs the task any more, though it is not over."""

    @property
    def over(self) -> bool:
        return self.abandoned or (self._recorded.state is not None and self._recorded.state.terminal)

    @property
    def weight(self) -> int:
        """Memory that it takes, in bytes, roughly."""
        return 4096 + len(self.description.json) + self._at * _MEMORY_PER_BYTE

    def read(self, *, finished: bool) -> None:
        """What is new. `finished` is whether the task is filed under the finished ones."""
        with self._lock:
            if not self._described:
                self._describe(finished)
            try:
                fd, status = walk.regular_file(self.root.place, self._stream)
            except Refused:
                return
            try:
                self._read_stream(fd, status)
                self._see_who_runs_it(fd, status, finished)
            except OSError as error:
                self._complain(f"Cannot read the checkpoints of task {self._task_id}: {error}")
            finally:
                os.close(fd)

    def _describe(self, finished: bool) -> None:
        for path in self._descriptions[::-1] if finished else self._descriptions:
            try:
                fd, status = walk.regular_file(self.root.place, path)
            except Refused:  # moved just now, or not ours to read
                continue
            with os.fdopen(fd, "rb", buffering=0) as file:
                try:
                    found = describe(file.read(LARGEST_DESCRIPTION)) if status.st_size <= LARGEST_DESCRIPTION else None
                except OSError as error:
                    self._complain(f"Cannot read the description of task {self._task_id}: {error}")
                    continue
            if found is not None:
                self.description, self._described = found, True
                return

    def _read_stream(self, fd: int, status: os.stat_result) -> None:
        identity = (status.st_dev, status.st_ino)
        if identity != self._identity or status.st_size < self._at:  # it is another one, or begins anew
            self._identity, self._at, self._corrupt = identity, 0, False
            self._story, self._recorded = Story(recovering=True), RunnerState()
        self.owner = status.st_uid
        before = self._at
        try:
            while not self._corrupt and self._at < status.st_size and self._read_records(fd):
                pass
        except CheckpointError as error:  # what was read before it still stands
            self._corrupt = True
            self._complain(f"Checkpoint stream is corrupt: {self.root.place}/{self._stream}: {error}")
        if self._at != before or self._corrupt:
            self._recorded = self._story.snapshot()

    def _read_records(self, fd: int) -> bool:
        """Some of the complete records that follow; False if there is none yet."""
        if self._at > LARGEST_STREAM:
            raise CheckpointError(f"it is longer than {LARGEST_STREAM} bytes")
        data = os.pread(fd, LARGEST_RECORD, self._at)
        records, end = decode_frames(data)
        if end == 0 and len(data) == LARGEST_RECORD:
            raise CheckpointError(f"the record at {self._at} is longer than {LARGEST_RECORD} bytes")
        for record in records:
            self._story.apply(_sound(record))
        self._at += end
        return end > 0

    def _see_who_runs_it(self, fd: int, status: os.stat_result, finished: bool) -> None:
        """A runner that dies may have a successor soon: only one that is missed for a while is gone."""
        stamp = (status.st_size, status.st_mtime_ns)
        runs = not finished and self._recorded.state is not None and not self._recorded.state.terminal
        known = self.abandoned and self._missed is not None and self._missed[0] == stamp
        if not runs or (not known and _is_held(fd)):
            self.abandoned, self._missed, self.state = False, None, self._recorded
            return
        if self._missed is None or self._missed[0] != stamp:
            self._missed = (stamp, time.monotonic())
        gone = time.monotonic() - self._missed[1] >= PATIENCE_S
        if gone and not self.abandoned:
            log.info("Nobody runs task %s any more.", self._task_id)
        self.abandoned = gone
        since_ms = status.st_mtime_ns // 1_000_000
        self.state = orphans.left_behind(self._recorded, since_ms) if gone else self._recorded

    def _complain(self, complaint: str) -> None:
        """Once."""
        if complaint != self._complaint:
            self._complaint = complaint
            log.error(complaint)


def _is_held(fd: int) -> bool:
    """Whether a runner holds the stream's lock, as each does all its life.

    If none does the lock is ours for some microseconds. A runner that would take it just then tries again.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held; or a file system that knows no such locks, which says nothing against the runner
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def _sound(record: RunnerCkpt) -> RunnerCkpt:
    """Without times that are none."""
    status = record.process_status
    if status is None:
        return record
    times = {name: _time(getattr(status, name)) for name in ("start_time", "stop_time", "fork_time")}
    if all(getattr(status, name) == time for name, time in times.items()):
        return record
    sound: ProcessStatus = msgspec.structs.replace(status, **times)
    return RunnerCkpt(process_status=sound)


def _time(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) and 0 <= seconds < _LATEST_S else None
