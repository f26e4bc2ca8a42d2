"""The materialised state: an SQLite file that holds all rows as they were at one position of the log.

It makes starting fast, and operators may query it read-only. The log is the truth: the file is never ahead of it, may
lag behind it, and may be thrown away at any time. Everything here blocks, and one thread at a time may use it.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from frozendict import frozendict

from aurorad.api import keys
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
    TaskEvent,
)
from aurorad.api.updates import JobUpdateDetails
from aurorad.storage.operations import NO_PORTS
from aurorad.storage.shared import Shared, encode, from_msgpack
from aurorad.storage.tables import Row, Table

_LOAD_ROWS = 1000
_SAVE_ROWS = 100
_REST_S = 0.001
"""Between some rows and the next: the event loop needs the interpreter more urgently than the database does."""
_VERSION = 2

# Write-ahead logging with synchronous=NORMAL never loses consistency, only the last transactions: those the log has.
# With OFF, a machine that goes down could leave old pages beside new ones, which nothing would notice.
_SETTINGS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 4000;
"""

_TASK_COLUMNS = (
    "id TEXT PRIMARY KEY",
    "role TEXT",
    "environment TEXT",
    "job TEXT",
    "instance INTEGER",
    "status TEXT",
    "host TEXT",
    "changed_ms INTEGER",
    "config TEXT",
    "data BLOB",
)
_TASK_COLUMNS_MARKS = f"({', '.join('?' * len(_TASK_COLUMNS))})"

_SCHEMA = f"""
    BEGIN;
    CREATE TABLE tasks ({", ".join(_TASK_COLUMNS)}) WITHOUT ROWID;
    CREATE TABLE configs (digest TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID;
    CREATE TABLE cron_jobs (job TEXT PRIMARY KEY, schedule TEXT, data BLOB);
    CREATE TABLE quotas (role TEXT PRIMARY KEY, data BLOB);
    CREATE TABLE hosts (host TEXT PRIMARY KEY, mode TEXT, agent_id TEXT, data BLOB);
    CREATE TABLE updates (job TEXT, id TEXT, status TEXT, user TEXT, modified_ms INTEGER, data BLOB,
                          PRIMARY KEY (job, id));
    CREATE TABLE maintenance (host TEXT PRIMARY KEY, timeout_secs INTEGER, data BLOB);
    CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT);
    CREATE TABLE applied (position INTEGER);
    PRAGMA user_version = {_VERSION};
    COMMIT;
"""

# Any: a row's key and value have the types of its table, which only the functions beside them know.
Dirty = Mapping[Table, Mapping[Any, Any]]
"""Rows by key as they are now, table by table; None where there is none any more."""


class DatabaseUnusable(Exception):
    """The file does not hold a state. The text says why."""


class _Kind(NamedTuple):
    """How the rows of one table lie in SQLite: what names a row, what else its columns hold, and the row in them."""

    select: str
    save: str
    delete: str
    key: Callable[[Any], tuple[object, ...]]
    others: Callable[[Any], tuple[object, ...]]
    row: Callable[[tuple[Any, ...], Shared], Row]


class _EventData(NamedTuple):
    timestamp: int
    status: ScheduleStatus
    message: str | None
    scheduler: str | None


class _TaskData(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the other columns do not tell of a task."""

    agent_id: str | None
    events: tuple[_EventData, ...]
    ports: dict[str, int] | None
    failure_count: int
    times_partitioned: int
    ancestor_id: str | None


def _decoder(cls: type) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(cls, dec_hook=from_msgpack).decode


_config = _decoder(TaskConfig)
_cron_job, _quota, _host = _decoder(JobConfiguration), _decoder(ResourceAggregate), _decoder(HostAttributes)
_update, _maintenance = _decoder(JobUpdateDetails), _decoder(HostMaintenanceRequest)


_task_data: Callable[[bytes], _TaskData] = _decoder(_TaskData)


def _one(key: str) -> tuple[object, ...]:
    return (key,)


def _update_columns(details: JobUpdateDetails) -> tuple[object, ...]:
    summary, state = details.update.summary, details.update.summary.state
    modified = (state.status.name, summary.user, state.last_modified_timestamp_ms) if state else (None, None, None)
    return (*modified, encode(details))


def _read_cron_job(columns: tuple[Any, ...], shared: Shared) -> Row:
    job: JobConfiguration = shared.cron_job(_cron_job(columns[-1]))
    return Row(Table.CRON_JOBS, job.key, job)


def _read_update(columns: tuple[Any, ...], shared: Shared) -> Row:
    details: JobUpdateDetails = shared.details(_update(columns[-1]))
    return Row(Table.UPDATES, details.update.summary.key, details)


# Tasks are not here: their configurations lie in a table of their own.
_KINDS: Mapping[Table, _Kind] = {
    Table.CRON_JOBS: _Kind(
        "SELECT * FROM cron_jobs",
        "INSERT OR REPLACE INTO cron_jobs VALUES (?, ?, ?)",
        "DELETE FROM cron_jobs WHERE job = ?",
        lambda key: (keys.canonical(key),),
        lambda job: (job.cron_schedule, encode(job)),
        _read_cron_job,
    ),
    Table.QUOTAS: _Kind(
        "SELECT * FROM quotas",
        "INSERT OR REPLACE INTO quotas VALUES (?, ?)",
        "DELETE FROM quotas WHERE role = ?",
        _one,
        lambda quota: (encode(quota),),
        lambda columns, _: Row(Table.QUOTAS, columns[0], _quota(columns[-1])),
    ),
    Table.HOSTS: _Kind(
        "SELECT * FROM hosts",
        "INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?)",
        "DELETE FROM hosts WHERE host = ?",
        _one,
        lambda host: (host.mode.name if host.mode else None, host.slave_id, encode(host)),
        lambda columns, _: Row(Table.HOSTS, columns[0], _host(columns[-1])),
    ),
    Table.UPDATES: _Kind(
        "SELECT * FROM updates",
        "INSERT OR REPLACE INTO updates VALUES (?, ?, ?, ?, ?, ?)",
        "DELETE FROM updates WHERE job = ? AND id = ?",
        lambda key: (keys.canonical(key.job), key.id),
        _update_columns,
        _read_update,
    ),
    Table.MAINTENANCE: _Kind(
        "SELECT * FROM maintenance",
        "INSERT OR REPLACE INTO maintenance VALUES (?, ?, ?)",
        "DELETE FROM maintenance WHERE host = ?",
        _one,
        lambda request: (request.timeout_secs, encode(request)),
        lambda columns, _: Row(Table.MAINTENANCE, columns[0], _maintenance(columns[-1])),
    ),
    Table.METADATA: _Kind(
        "SELECT * FROM metadata",
        "INSERT OR REPLACE INTO metadata VALUES (?, ?)",
        "DELETE FROM metadata WHERE name = ?",
        _one,
        lambda value: (value,),
        lambda columns, _: Row(Table.METADATA, *columns),
    ),
}


class Database:
    """One open file."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises `DatabaseUnusable` for a file that is none of ours, `sqlite3.Error`."""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._digests: dict[TaskConfig, str] = {}
        try:
            path.chmod(0o600)
            self._connection.executescript(_SETTINGS)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._connection.executescript(_SCHEMA)
            elif version != _VERSION:
                raise DatabaseUnusable(f"{path} has layout {version}, {_VERSION} was expected")
        except BaseException:
            self._connection.close()
            raise

    def position(self) -> int | None:
        """The log position that the rows stand for; None in a new file."""
        found = self._connection.execute("SELECT position FROM applied").fetchone()
        return None if found is None else int(found[0])

    def load(self, shared: Shared) -> Iterator[list[Row]]:
        """All rows, some at a time. Raises `DatabaseUnusable`, `sqlite3.Error`."""
        try:
            every = itertools.chain(self._load_tasks(shared), *(self._load(kind, shared) for kind in _KINDS.values()))
            while some := list(itertools.islice(every, _LOAD_ROWS)):
                yield some
        except (msgspec.DecodeError, KeyError) as error:
            raise DatabaseUnusable(f"a row cannot be read: {error!r}") from error

    def apply(self, dirty: Iterable[Dirty], position: int) -> None:
        """Make the rows those at `position`, whole or not at all: of each the last counts. Raises `sqlite3.Error`."""
        known = len(self._digests)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for batch in dirty:
                self._save_tasks(batch.get(Table.TASKS, {}))
                for table, kind in _KINDS.items():
                    self._save(kind, batch.get(table, {}).items())
            self._connection.execute("DELETE FROM applied")
            self._connection.execute("INSERT INTO applied VALUES (?)", (position,))
            self._connection.execute("COMMIT")
        except BaseException:
            for config in list(self._digests)[known:]:
                del self._digests[config]
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def sweep(self) -> None:
        """Forget configurations that no task has any more."""
        self._digests.clear()
        self._connection.execute("DELETE FROM configs WHERE digest NOT IN (SELECT config FROM tasks)")

    def close(self) -> None:
        self._connection.close()

    def _load_tasks(self, shared: Shared) -> Iterator[Row]:
        by_digest: dict[str, TaskConfig] = {}
        for digest, data in self._connection.execute("SELECT digest, data FROM configs"):
            by_digest[digest] = config = shared.config(_config(data))
            self._digests[config] = digest
        select = "SELECT id, instance, status, host, config, data FROM tasks"
        for task_id, instance, status, host, digest, packed in self._connection.execute(select):
            data = _task_data(packed)
            place = (shared.text(data.agent_id), shared.text(host))
            ports = frozendict(data.ports) if data.ports else NO_PORTS
            events = tuple([shared.event(TaskEvent(*event)) for event in data.events])
            assigned = AssignedTask(task_id, *place, by_digest[digest], ports, instance)
            counts = (data.failure_count, data.times_partitioned)
            task = ScheduledTask(assigned, ScheduleStatus[status], *counts, events, data.ancestor_id)
            yield Row(Table.TASKS, task_id, task)

    def _load(self, kind: _Kind, shared: Shared) -> Iterator[Row]:
        return (kind.row(columns, shared) for columns in self._connection.execute(kind.select))

    def _save_tasks(self, changed: Mapping[str, ScheduledTask | None]) -> None:
        gone = [(task_id,) for task_id, task in changed.items() if task is None]
        self._connection.executemany("DELETE FROM tasks WHERE id = ?", gone)
        saved = (column for task in changed.values() if task is not None for column in self._task_columns(task))
        while columns := list(itertools.islice(saved, len(_TASK_COLUMNS) * _SAVE_ROWS)):
            # Many rows a statement: between statements the event loop would take its turn, and keep it.
            rows = ", ".join([_TASK_COLUMNS_MARKS] * (len(columns) // len(_TASK_COLUMNS)))
            self._connection.execute(f"INSERT OR REPLACE INTO tasks VALUES {rows}", columns)  # noqa: S608 - only marks
            time.sleep(_REST_S)

    def _task_columns(self, task: ScheduledTask) -> tuple[object, ...]:
        assigned, job = task.assigned_task, task.assigned_task.task.job
        data = (
            assigned.slave_id,
            [(event.timestamp, event.status, event.message, event.scheduler) for event in task.task_events],
            assigned.assigned_ports or None,
            task.failure_count,
            task.times_partitioned,
            task.ancestor_id,
        )
        return (
            assigned.task_id,
            job.role,
            job.environment,
            job.name,
            assigned.instance_id,
            task.status.name,
            assigned.slave_host,
            task.task_events[-1].timestamp if task.task_events else None,
            self._digest(assigned.task),
            encode(data),
        )

    def _digest(self, config: TaskConfig) -> str:
        """Where the configuration lies; it is put there if need be."""
        digest = self._digests.get(config)
        if digest is None:
            data = encode(config)
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
            self._connection.execute("INSERT OR IGNORE INTO configs VALUES (?, ?)", (digest, data))
            self._digests[config] = digest
        return digest

    def _save(self, kind: _Kind, changed: Iterable[tuple[Hashable, Any]]) -> None:
        for key, value in changed:
            if value is None:
                self._connection.execute(kind.delete, kind.key(key))
            else:
                self._connection.execute(kind.save, kind.key(key) + kind.others(value))


def discard(path: Path) -> None:
    """Throw the file away, with those that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
