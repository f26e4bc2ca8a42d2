"""Checkpoints: what runner and coordinators write as a task goes, and how it is read back (thermos-runner sheet, 2-5).

A stream is a file of frames: four bytes of length, then one `RunnerCkpt` in TBinary. Writers only append, each under
a lock of its own stream. Readers take what is complete and come back for the rest.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Self

import msgspec
from frozendict import frozendict

from aurorad.api import binary
from aurorad.api.struct import I32, I64, Id, ThriftStruct, ThriftUnion
from aurorad.api.wire import WireError

MAX_FRAME = 64 << 20
_LENGTH = struct.Struct(">I")


class CheckpointError(Exception):
    """A stream that does not say what such streams say."""


class StreamHeld(CheckpointError):
    """Someone else writes this stream now."""


class ProcessState(IntEnum):
    WAITING = 0
    FORKED = 1
    RUNNING = 2
    SUCCESS = 3
    KILLED = 4
    FAILED = 5
    LOST = 6

    @property
    def live(self) -> bool:
        """Whether such a run has a coordinator, and no end yet."""
        return self in (ProcessState.FORKED, ProcessState.RUNNING)

    @property
    def terminal(self) -> bool:
        return self >= ProcessState.SUCCESS


class TaskState(IntEnum):
    ACTIVE = 0
    SUCCESS = 1
    FAILED = 2
    KILLED = 3
    LOST = 4
    CLEANING = 5
    FINALIZING = 6

    @property
    def terminal(self) -> bool:
        return TaskState.SUCCESS <= self <= TaskState.LOST


class RunnerHeader(ThriftStruct, frozen=True, cache_hash=True):
    task_id: Annotated[str, Id(1)] = ""
    launch_time_ms: Annotated[I64, Id(2)] = 0
    sandbox: Annotated[str | None, Id(3)] = None
    hostname: Annotated[str | None, Id(4)] = None
    user: Annotated[str | None, Id(5)] = None
    ports: Annotated[frozendict[str, I64], Id(6)] = frozendict()
    log_dir: Annotated[str | None, Id(7)] = None
    uid: Annotated[I32 | None, Id(8)] = None


class ProcessStatus(ThriftStruct, frozen=True, cache_hash=True):
    """Times are seconds since the epoch. A run's status gathers what its records said one after the other."""

    seq: Annotated[I64, Id(1)] = 0
    process: Annotated[str, Id(3)] = ""
    state: Annotated[ProcessState, Id(5)] = ProcessState.WAITING
    start_time: Annotated[float | None, Id(6)] = None
    pid: Annotated[I32 | None, Id(7)] = None
    stop_time: Annotated[float | None, Id(8)] = None
    return_code: Annotated[I32 | None, Id(9)] = None
    coordinator_pid: Annotated[I32 | None, Id(10)] = None
    fork_time: Annotated[float | None, Id(11)] = None


class TaskStatus(ThriftStruct, frozen=True, cache_hash=True):
    state: Annotated[TaskState, Id(1)] = TaskState.ACTIVE
    timestamp_ms: Annotated[I64, Id(2)] = 0
    runner_pid: Annotated[I32 | None, Id(3)] = None
    runner_uid: Annotated[I32 | None, Id(4)] = None


class RunnerCkpt(ThriftUnion, frozen=True, cache_hash=True):
    """One record of a stream."""

    runner_header: Annotated[RunnerHeader | None, Id(1)] = None
    process_status: Annotated[ProcessStatus | None, Id(2)] = None
    task_status: Annotated[TaskStatus | None, Id(3)] = None


class RunnerState(ThriftStruct, frozen=True, cache_hash=True):
    """A task's whole story: its header, its states and the runs of each process, oldest first."""

    header: Annotated[RunnerHeader | None, Id(1)] = None
    statuses: Annotated[tuple[TaskStatus, ...], Id(2)] = ()
    processes: Annotated[frozendict[str, tuple[ProcessStatus, ...]], Id(3)] = frozendict()

    @property
    def state(self) -> TaskState | None:
        """The task's state now; None while nothing was recorded."""
        return self.statuses[-1].state if self.statuses else None


# From which states a process may come to a state; WAITING is where a run begins.
_FROM = {
    ProcessState.FORKED: {ProcessState.WAITING},
    ProcessState.RUNNING: {ProcessState.FORKED},
    ProcessState.SUCCESS: {ProcessState.RUNNING},
    ProcessState.FAILED: {ProcessState.WAITING, ProcessState.RUNNING},
    ProcessState.KILLED: {ProcessState.FORKED, ProcessState.RUNNING},
    ProcessState.LOST: {ProcessState.FORKED, ProcessState.RUNNING},
}


class Story:
    """Folds records into a `RunnerState`, one by one as they come.

    A record out of sequence is an error, but while `recovering` it is skipped: a crash may have left it twice.
    """

    def __init__(self, *, recovering: bool = False) -> None:
        self.recovering = recovering
        self.header: RunnerHeader | None = None
        self.statuses: list[TaskStatus] = []
        self.processes: dict[str, list[ProcessStatus]] = {}

    def snapshot(self) -> RunnerState:
        runs = frozendict({name: tuple(runs) for name, runs in self.processes.items()})
        return RunnerState(self.header, tuple(self.statuses), runs)

    def last(self, process: str) -> ProcessStatus | None:
        """The last run of a process."""
        runs = self.processes.get(process)
        return runs[-1] if runs else None

    def apply(self, record: RunnerCkpt) -> None:
        """Raises `CheckpointError` for what cannot follow from what was before."""
        if record.runner_header is not None:
            if self.header is not None:
                raise CheckpointError("Attempting to rebind task with different parameters!")
            self.header = record.runner_header
        elif record.task_status is not None:
            if record.task_status.state not in tuple(TaskState):
                raise CheckpointError(f"task state {record.task_status.state}, which there is not")
            self.statuses.append(record.task_status)
        elif record.process_status is not None:
            self._apply_process(record.process_status)
        else:
            raise CheckpointError("an empty RunnerCkpt")

    def _apply_process(self, status: ProcessStatus) -> None:
        last = self.last(status.process)
        expected = 0 if last is None else last.seq + 1
        if status.seq != expected:
            if self.recovering:
                return
            raise CheckpointError(f"process {status.process}: record {status.seq} where {expected} was expected")
        if status.state == ProcessState.WAITING:
            if last is not None and not last.state.terminal:
                raise CheckpointError(_bad_step(status, last))
            self.processes.setdefault(status.process, []).append(status)
        elif last is None or last.state not in _FROM.get(status.state, ()):
            raise CheckpointError(_bad_step(status, last))
        else:
            said = {name: value for name, value in msgspec.structs.asdict(status).items() if value is not None}
            self.processes[status.process][-1] = msgspec.structs.replace(last, **said)


def _bad_step(status: ProcessStatus, last: ProcessStatus | None) -> str:
    before = "nothing" if last is None else last.state.name
    return f"process {status.process}: error recovering state: {status.state!r} after {before} (record {status.seq})"


def replay(records: Iterable[RunnerCkpt], *, recovering: bool = True) -> RunnerState:
    """The state that a runner's stream tells. Raises `CheckpointError`."""
    story = Story(recovering=recovering)
    for record in records:
        story.apply(record)
    return story.snapshot()


def encode_frame(record: RunnerCkpt) -> bytes:
    body = binary.encode(record)
    return _LENGTH.pack(len(body)) + body


def decode_frames(data: bytes) -> tuple[list[RunnerCkpt], int]:
    """The complete records at the start of `data`, and where they end. Raises `CheckpointError` for damaged ones."""
    records: list[RunnerCkpt] = []
    position = 0
    while len(data) - position >= _LENGTH.size:
        (size,) = _LENGTH.unpack_from(data, position)
        if size > MAX_FRAME:
            raise CheckpointError(f"a frame of {size} bytes at {position} where at most {MAX_FRAME} were expected")
        end = position + _LENGTH.size + size
        if end > len(data):
            break
        try:
            record, _ = binary.read_struct(RunnerCkpt, data[position + _LENGTH.size : end], 0)
        except WireError as error:
            raise CheckpointError(f"the frame at {position}: {error}") from None
        records.append(record)
        position = end
    return records, position


class StreamReader:
    """Follows a stream: each `read` gives the records that became complete since the last one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0  # where the complete records end

    def read(self) -> list[RunnerCkpt]:
        """No file is no records. Raises `CheckpointError`, and `OSError` if the file cannot be read."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            data = os.pread(fd, max(0, os.fstat(fd).st_size - self.offset), self.offset)
        finally:
            os.close(fd)
        records, end = decode_frames(data)
        self.offset += end
        return records


def read_stream(path: Path) -> list[RunnerCkpt]:
    """All complete records of a stream. Raises as `StreamReader.read`."""
    return StreamReader(path).read()


class StreamWriter:
    """The one writer of a stream, as long as it is open.

    If another holds the lock, raises `StreamHeld`, or with `wait` blocks until it does no more.
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            os.close(self.fd)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise StreamHeld(f"Unable to open checkpoint {path}: another process holds it") from None

    @classmethod
    def inherited(cls, path: Path, fd: int) -> Self:
        """One that another process has opened: the lock goes with the open file."""
        stream = cls.__new__(cls)
        stream.path, stream.fd = path, fd
        return stream

    def cut(self, size: int) -> None:
        """Takes away what follows `size`: the half record of a writer that died."""
        if size < self._size():
            os.ftruncate(self.fd, size)

    def append(self, record: RunnerCkpt) -> None:
        """On disk as a whole or not at all: `OSError` leaves the stream as it was."""
        frame, size = encode_frame(record), self._size()
        try:
            written = os.write(self.fd, frame)
            if written != len(frame):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            os.ftruncate(self.fd, size)
            raise

    def close(self) -> None:
        """Gives the lock back, unless a forked process holds the same open file."""
        os.close(self.fd)

    def _size(self) -> int:
        """Asked each time: who forks a coordinator writes to its stream as well."""
        return os.fstat(self.fd).st_size
