"""What storage writes into the log: transactions, snapshots, and the frames of what is too large for one entry.

A snapshot is a beginning, parts and an end, with transactions between them: its rows are those of the transactions
before its beginning. One that *replaces* says what shall be instead: with its end, which is the last that its writer
writes, its rows are the state, and whatever was before, transactions between its parts included, is void. A snapshot
without its end means nothing.

Entries are msgpack; a field may be added with a default, none may be removed or change its type.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from aurorad.api import storage as s
from aurorad.api.ranges import spans
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
)
from aurorad.api.updates import JobUpdateDetails
from aurorad.storage import operations as o
from aurorad.storage.operations import Assignment, Op
from aurorad.storage.records import EventRecord, Pool, Pooled, TaskRecord, ports_record
from aurorad.storage.shared import Shared, encode, from_msgpack
from aurorad.storage.tables import Row, Table
from aurorad.vars import Vars

# What the envelope of a frame adds to its data.
_FRAME_OVERHEAD = 64


class UnreadableLog(Exception):
    """The log does not hold what storage wrote into it. The text says where and why."""


class TaskRow(NamedTuple):
    """A task as older entries hold it: without its configuration, and that one's number."""

    config: int
    task: ScheduledTask


class Insert(msgspec.Struct, frozen=True, array_like=True, tag="insert"):
    config: int
    prefix: str
    suffix: str
    instances: tuple[tuple[int, int], ...]
    """First and last of each range."""
    event: int


class Save(msgspec.Struct, frozen=True, array_like=True, tag="save"):
    tasks: tuple[TaskRecord, ...]


class Move(msgspec.Struct, frozen=True, array_like=True, tag="move"):
    task_ids: tuple[str, ...]
    events: tuple[int, ...]


class Assign(msgspec.Struct, frozen=True, array_like=True, tag="assign"):
    task_ids: tuple[str, ...]
    places: tuple[int, ...]
    events: tuple[int, ...]
    ports: tuple[dict[str, int] | None, ...]


class Remove(msgspec.Struct, frozen=True, array_like=True, tag="remove"):
    task_ids: tuple[str, ...]


TaskOp = Insert | Save | Move | Assign | Remove


class LoggedOp(msgspec.Struct, frozen=True, array_like=True):
    """One operation. Older entries have the saved tasks in `tasks`."""

    op: s.Op | None = None
    tasks: tuple[TaskRow, ...] = ()
    task_op: TaskOp | None = None


class Transaction(msgspec.Struct, frozen=True, array_like=True, tag="transaction"):
    ops: tuple[LoggedOp, ...]
    configs: tuple[TaskConfig, ...] = ()
    events: tuple[EventRecord, ...] = ()
    places: tuple[tuple[str | None, str | None], ...] = ()


class SnapshotBegin(msgspec.Struct, frozen=True, array_like=True, tag="snapshot"):
    timestamp_ms: int
    replaces: bool = False


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
    records: tuple[TaskRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    places: tuple[tuple[str | None, str | None], ...] = ()


class SnapshotEnd(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    parts: int
    replaces: bool = False
    """As its beginning says, for who has not read that."""


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

_decoder: msgspec.msgpack.Decoder[_Record] = msgspec.msgpack.Decoder(_Record, dec_hook=from_msgpack)


def transaction(ops: Iterable[Op]) -> Transaction:
    pool = Pool()
    logged = tuple(LoggedOp(op) if isinstance(op, s.Op) else LoggedOp(None, (), _logged(op, pool)) for op in ops)
    return Transaction(logged, pool.configs(), pool.events(), pool.places())


def _logged(op: o.TaskOp, pool: Pool) -> TaskOp:
    match op:
        case o.InsertTasks():
            return Insert(
                pool.config_numbers[op.config],
                op.prefix,
                op.suffix,
                _spans(op.instance_ids),
                pool.event_numbers[op.event],
            )
        case o.SaveTasks(tasks):
            return Save(tuple(map(pool.task, tasks)))
        case o.MoveTasks(moves):
            return Move(
                tuple([task_id for task_id, _ in moves]), tuple([pool.event_numbers[event] for _, event in moves])
            )
        case o.AssignTasks(assignments):
            return Assign(
                tuple([place.task_id for place in assignments]),
                tuple([pool.place_numbers[place.agent_id, place.host] for place in assignments]),
                tuple([pool.event_numbers[place.event] for place in assignments]),
                tuple([ports_record(place.ports) for place in assignments]),
            )
        case o.RemoveTasks(task_ids):
            return Remove(tuple(task_ids))


def _spans(ascending: Sequence[int]) -> tuple[tuple[int, int], ...]:
    if ascending and ascending[-1] - ascending[0] == len(ascending) - 1:  # as nearly always
        return ((ascending[0], ascending[-1]),)
    return tuple(spans(ascending))


def ops_of(entry: Transaction, shared: Shared) -> Iterator[Op]:
    """The operations that `transaction` was given. Raises `IndexError` for the number of nothing, `ValueError`."""
    pooled = Pooled(entry.configs, entry.events, entry.places, shared)
    for logged in entry.ops:
        if logged.task_op is not None:
            yield _task_op(logged.task_op, pooled)
        elif logged.op is None:
            yield o.SaveTasks(list(_tasks(logged.tasks, pooled)))
        elif logged.op.save_tasks is not None:
            yield o.SaveTasks(list(logged.op.save_tasks.tasks))
        elif logged.op.remove_tasks is not None:
            yield o.RemoveTasks(sorted(logged.op.remove_tasks.task_ids))
        else:
            yield _interned(logged.op, shared)


def _task_op(op: TaskOp, pooled: Pooled) -> o.TaskOp:
    match op:
        case Insert(config, prefix, suffix, ranges, event):
            instances = tuple(itertools.chain.from_iterable(range(first, last + 1) for first, last in ranges))
            return o.InsertTasks(pooled.configs[config], prefix, suffix, instances, pooled.events[event])
        case Save(records):
            return o.SaveTasks(list(pooled.tasks(records)))
        case Move(task_ids, events):
            return o.MoveTasks([(i, pooled.events[e]) for i, e in zip(task_ids, events, strict=True)])
        case Assign():
            return o.AssignTasks(list(_assignments(op, pooled)))
        case Remove(task_ids):
            return o.RemoveTasks(list(task_ids))


def _assignments(op: Assign, pooled: Pooled) -> Iterator[Assignment]:
    for task_id, place, event, ports in zip(op.task_ids, op.places, op.events, op.ports, strict=True):
        agent_id, host = pooled.places[place]
        if agent_id is None or host is None:
            raise ValueError(f"{task_id} is assigned to no place")
        yield Assignment(task_id, host, agent_id, ports or o.NO_PORTS, pooled.events[event])


def part(table: Table, table_rows: Sequence[Row]) -> SnapshotPart:
    """A part of the rows of one table."""
    values = tuple(row.value for row in table_rows)
    match table:
        case Table.TASKS:
            return tasks_part(values)
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


def tasks_part(tasks: Iterable[ScheduledTask]) -> SnapshotPart:
    pool = Pool()
    records = tuple(map(pool.task, tasks))
    return SnapshotPart(configs=pool.configs(), records=records, events=pool.events(), places=pool.places())


def rows_of(entry: SnapshotPart, shared: Shared) -> Iterator[Row]:
    """All rows of a part. Raises `IndexError` for a configuration that is not there."""
    pooled = Pooled(entry.configs, entry.events, entry.places, shared)
    tasks = itertools.chain(_tasks(entry.tasks, pooled), pooled.tasks(entry.records))
    yield from (Row(Table.TASKS, task.assigned_task.task_id, task) for task in tasks)
    yield from (Row(Table.CRON_JOBS, job.key, shared.cron_job(job)) for job in entry.cron_jobs)
    yield from (Row(Table.QUOTAS, role, quota) for role, quota in entry.quotas)
    yield from (Row(Table.HOSTS, host.host, host) for host in entry.hosts)
    yield from (Row(Table.UPDATES, update.update.summary.key, shared.details(update)) for update in entry.updates)
    yield from (Row(Table.MAINTENANCE, request.host, request) for request in entry.maintenance)
    yield from (Row(Table.METADATA, key, value) for key, value in entry.metadata)


def _tasks(task_rows: Iterable[TaskRow], pooled: Pooled) -> Iterator[ScheduledTask]:
    """Those of older entries."""
    for row in task_rows:
        assigned = msgspec.structs.replace(row.task.assigned_task, task=pooled.configs[row.config])
        yield msgspec.structs.replace(row.task, assigned_task=assigned)


def _interned(op: s.Op, shared: Shared) -> s.Op:
    if op.save_cron_job is not None:
        return s.Op(save_cron_job=s.SaveCronJob(shared.cron_job(op.save_cron_job.job_config)))
    if op.save_job_update is not None:
        return s.Op(save_job_update=s.SaveJobUpdate(shared.update(op.save_job_update.job_update)))
    return op


def records(entry: Entry, max_bytes: int) -> list[bytes]:
    """The entry as the log gets it, in frames if it is larger than `max_bytes`."""
    data = encode(entry)
    if len(data) <= max_bytes:
        return [data]
    size = max(1, max_bytes - _FRAME_OVERHEAD)
    chunks = [FrameChunk(data[start : start + size]) for start in range(0, len(data), size)]
    return [encode(frame) for frame in (FrameHeader(len(chunks), _checksum(data)), *chunks)]


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class Joiner:
    """Makes entries of records again. Frames that a crash left without their rest are skipped and counted."""

    def __init__(self, stats: Vars) -> None:
        self._stats = stats
        self._header: FrameHeader | None = None
        self._chunks: list[bytes] = []
        stats.declare("scheduler_log_bad_frames_read")

    @property
    def is_amid(self) -> bool:
        """Whether an entry has begun, and its rest is to come."""
        return self._header is not None

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
