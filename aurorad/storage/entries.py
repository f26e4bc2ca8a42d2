"""What storage writes into the log: transactions, snapshots, and the frames of what is too large for one entry.

A snapshot is a beginning, parts and an end, with transactions between them: its rows are those of the transactions
before its beginning. Entries are msgpack; a field may be added with a default, none may be removed or change its type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from aurorad.api import storage as s
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
)
from aurorad.api.updates import JobUpdateDetails
from aurorad.storage import rows
from aurorad.storage.rows import Configs
from aurorad.storage.tables import Row, Table
from aurorad.vars import Vars

# What the envelope of a frame adds to its data.
_FRAME_OVERHEAD = 64


class UnreadableLog(Exception):
    """The log does not hold what storage wrote into it. The text says where and why."""


class TaskRow(NamedTuple):
    """A task without its configuration, and where among its entry's configurations that is."""

    config: int
    task: ScheduledTask


class LoggedOp(msgspec.Struct, frozen=True, array_like=True):
    """One operation: of saved tasks their rows, else the operation itself."""

    op: s.Op | None = None
    tasks: tuple[TaskRow, ...] = ()


class Transaction(msgspec.Struct, frozen=True, array_like=True, tag="transaction"):
    ops: tuple[LoggedOp, ...]
    configs: tuple[TaskConfig, ...] = ()


class SnapshotBegin(msgspec.Struct, frozen=True, array_like=True, tag="snapshot"):
    timestamp_ms: int


class SnapshotPart(msgspec.Struct, frozen=True, array_like=True, tag="part"):
    """Some rows of some tables."""

    tasks: tuple[TaskRow, ...] = ()
    configs: tuple[TaskConfig, ...] = ()
    cron_jobs: tuple[JobConfiguration, ...] = ()
    quotas: tuple[tuple[str, ResourceAggregate], ...] = ()
    hosts: tuple[HostAttributes, ...] = ()
    updates: tuple[JobUpdateDetails, ...] = ()
    maintenance: tuple[HostMaintenanceRequest, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()


class SnapshotEnd(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    parts: int


class Padding(msgspec.Struct, frozen=True, array_like=True, tag="padding"):
    """Nothing, at some length."""

    data: bytes


class FrameHeader(msgspec.Struct, frozen=True, array_like=True, tag="frame"):
    chunks: int
    checksum: bytes


class FrameChunk(msgspec.Struct, frozen=True, array_like=True, tag="chunk"):
    data: bytes


Entry = Transaction | SnapshotBegin | SnapshotPart | SnapshotEnd | Padding
_Record = Entry | FrameHeader | FrameChunk

_decoder: msgspec.msgpack.Decoder[_Record] = msgspec.msgpack.Decoder(_Record, dec_hook=rows.from_msgpack)


class _Pool:
    """The configurations of one entry, each once."""

    def __init__(self) -> None:
        self._indices: dict[TaskConfig, int] = {}

    def rows(self, tasks: Iterable[ScheduledTask]) -> tuple[TaskRow, ...]:
        return tuple(TaskRow(self._index(task.assigned_task.task), rows.without_config(task)) for task in tasks)

    def configs(self) -> tuple[TaskConfig, ...]:
        return tuple(self._indices)

    def _index(self, config: TaskConfig) -> int:
        return self._indices.setdefault(config, len(self._indices))


def transaction(ops: Iterable[s.Op]) -> Transaction:
    pool = _Pool()
    logged = tuple(
        LoggedOp(op) if op.save_tasks is None else LoggedOp(None, pool.rows(op.save_tasks.tasks)) for op in ops
    )
    return Transaction(logged, pool.configs())


def ops_of(entry: Transaction, configs: Configs) -> Iterator[s.Op]:
    """The operations that `transaction` was given. Raises `IndexError` for a configuration that is not there."""
    known = tuple(map(configs.config, entry.configs))
    for logged in entry.ops:
        if logged.op is not None:
            yield _interned(logged.op, configs)
        else:
            yield s.Op(save_tasks=s.SaveTasks(frozenset(_tasks(logged.tasks, known))))


def part(table: Table, table_rows: Sequence[Row]) -> SnapshotPart:
    """A part of the rows of one table."""
    values = tuple(row.value for row in table_rows)
    match table:
        case Table.TASKS:
            pool = _Pool()
            return SnapshotPart(tasks=pool.rows(values), configs=pool.configs())
        case Table.QUOTAS:
            return SnapshotPart(quotas=tuple((row.key, row.value) for row in table_rows))
        case Table.METADATA:
            return SnapshotPart(metadata=tuple((row.key, row.value) for row in table_rows))
        case Table.CRON_JOBS:
            return SnapshotPart(cron_jobs=values)
        case Table.HOSTS:
            return SnapshotPart(hosts=values)
        case Table.UPDATES:
            return SnapshotPart(updates=values)
        case Table.MAINTENANCE:
            return SnapshotPart(maintenance=values)


def rows_of(entry: SnapshotPart, configs: Configs) -> Iterator[Row]:
    """All rows of a part. Raises `IndexError` for a configuration that is not there."""
    known = tuple(map(configs.config, entry.configs))
    yield from (Row(Table.TASKS, task.assigned_task.task_id, task) for task in _tasks(entry.tasks, known))
    yield from (Row(Table.CRON_JOBS, job.key, configs.cron_job(job)) for job in entry.cron_jobs)
    yield from (Row(Table.QUOTAS, role, quota) for role, quota in entry.quotas)
    yield from (Row(Table.HOSTS, host.host, host) for host in entry.hosts)
    yield from (Row(Table.UPDATES, update.update.summary.key, configs.details(update)) for update in entry.updates)
    yield from (Row(Table.MAINTENANCE, request.host, request) for request in entry.maintenance)
    yield from (Row(Table.METADATA, key, value) for key, value in entry.metadata)


def _tasks(task_rows: Iterable[TaskRow], known: Sequence[TaskConfig]) -> Iterator[ScheduledTask]:
    return (rows.with_config(row.task, known[row.config]) for row in task_rows)


def _interned(op: s.Op, configs: Configs) -> s.Op:
    if op.save_cron_job is not None:
        return s.Op(save_cron_job=s.SaveCronJob(configs.cron_job(op.save_cron_job.job_config)))
    if op.save_job_update is not None:
        return s.Op(save_job_update=s.SaveJobUpdate(configs.update(op.save_job_update.job_update)))
    return op


def records(entry: Entry, max_bytes: int) -> list[bytes]:
    """The entry as the log gets it, in frames if it is larger than `max_bytes`."""
    data = rows.encode(entry)
    if len(data) <= max_bytes:
        return [data]
    size = max(1, max_bytes - _FRAME_OVERHEAD)
    chunks = [FrameChunk(data[start : start + size]) for start in range(0, len(data), size)]
    return [rows.encode(frame) for frame in (FrameHeader(len(chunks), _checksum(data)), *chunks)]


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class Joiner:
    """Makes entries of records again. Frames that a crash left without their rest are skipped and counted."""

    def __init__(self, stats: Vars) -> None:
        self._stats = stats
        self._header: FrameHeader | None = None
        self._chunks: list[bytes] = []
        stats.declare("scheduler_log_bad_frames_read")

    def feed(self, position: int, record: bytes) -> Entry | None:
        """The entry that ends with this record, if any. Raises `UnreadableLog`."""
        decoded = _decode(position, record)
        if isinstance(decoded, FrameChunk):
            return self._chunk(position, decoded)
        if self._header is not None:
            self._stats.count("scheduler_log_bad_frames_read")
        self._header, self._chunks = None, []
        if isinstance(decoded, FrameHeader):
            self._header = decoded
            return None
        return decoded

    def _chunk(self, position: int, chunk: FrameChunk) -> Entry | None:
        if self._header is None:  # its header was truncated
            return None
        self._chunks.append(chunk.data)
        if len(self._chunks) < self._header.chunks:
            return None
        data, checksum = b"".join(self._chunks), self._header.checksum
        self._header, self._chunks = None, []
        if _checksum(data) != checksum:
            raise UnreadableLog(f"The framed log entry that ends at position {position} fails its checksum")
        entry = _decode(position, data)
        if isinstance(entry, FrameHeader | FrameChunk):
            raise UnreadableLog(f"The framed log entry that ends at position {position} is a frame itself")
        return entry


def _decode(position: int, data: bytes) -> _Record:
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UnreadableLog(f"The log entry at position {position} cannot be read: {error}") from error
