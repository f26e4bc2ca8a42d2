"""The materialised state: an SQLite file that holds all rows as they were at one position of the log.

It makes starting fast, and operators may query it read-only. The log is the truth: the file is never ahead of it, may
lag behind it, and may be thrown away at any time. Everything here blocks, and one thread at a time may use it.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from aurorad.api import keys
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

_LOAD_ROWS = 1000
_VERSION = 1

# Write-ahead logging with synchronous=NORMAL never loses consistency, only the last transactions: those the log has.
# With OFF, a machine that goes down could leave old pages beside new ones, which nothing would notice.
_SETTINGS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 4000;
"""

_SCHEMA = f"""
    BEGIN;
    CREATE TABLE tasks (id TEXT PRIMARY KEY, role TEXT, environment TEXT, job TEXT, instance INTEGER, status TEXT,
                        host TEXT, changed_ms INTEGER, config TEXT, data BLOB) WITHOUT ROWID;
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
Dirty = Mapping[tuple[Table, Any], Any]
"""Rows by table and key as they are now; None where there is none any more."""


class DatabaseUnusable(Exception):
    """The file does not hold a state. The text says why."""


class _Kind(NamedTuple):
    """How the rows of one table lie in SQLite: what names a row, what else its columns hold, and the row in them."""

    select: str
    save: str
    delete: str
    key: Callable[[Any], tuple[object, ...]]
    others: Callable[[Any], tuple[object, ...]]
    row: Callable[[tuple[Any, ...], Configs], Row]


def _decoder(cls: type) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(cls, dec_hook=rows.from_msgpack).decode


_config, _task = _decoder(TaskConfig), _decoder(ScheduledTask)
_cron_job, _quota, _host = _decoder(JobConfiguration), _decoder(ResourceAggregate), _decoder(HostAttributes)
_update, _maintenance = _decoder(JobUpdateDetails), _decoder(HostMaintenanceRequest)


def _one(key: str) -> tuple[object, ...]:
    return (key,)


def _update_columns(details: JobUpdateDetails) -> tuple[object, ...]:
    summary, state = details.update.summary, details.update.summary.state
    modified = (state.status.name, summary.user, state.last_modified_timestamp_ms) if state else (None, None, None)
    return (*modified, rows.encode(details))


def _read_cron_job(columns: tuple[Any, ...], configs: Configs) -> Row:
    job: JobConfiguration = configs.cron_job(_cron_job(columns[-1]))
    return Row(Table.CRON_JOBS, job.key, job)


def _read_update(columns: tuple[Any, ...], configs: Configs) -> Row:
    details: JobUpdateDetails = configs.details(_update(columns[-1]))
    return Row(Table.UPDATES, details.update.summary.key, details)


# Tasks are not here: their configurations lie in a table of their own.
_KINDS: Mapping[Table, _Kind] = {
    Table.CRON_JOBS: _Kind(
        "SELECT * FROM cron_jobs",
        "INSERT OR REPLACE INTO cron_jobs VALUES (?, ?, ?)",
        "DELETE FROM cron_jobs WHERE job = ?",
        lambda key: (keys.canonical(key),),
        lambda job: (job.cron_schedule, rows.encode(job)),
        _read_cron_job,
    ),
    Table.QUOTAS: _Kind(
        "SELECT * FROM quotas",
        "INSERT OR REPLACE INTO quotas VALUES (?, ?)",
        "DELETE FROM quotas WHERE role = ?",
        _one,
        lambda quota: (rows.encode(quota),),
        lambda columns, _: Row(Table.QUOTAS, columns[0], _quota(columns[-1])),
    ),
    Table.HOSTS: _Kind(
        "SELECT * FROM hosts",
        "INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?)",
        "DELETE FROM hosts WHERE host = ?",
        _one,
        lambda host: (host.mode.name if host.mode else None, host.slave_id, rows.encode(host)),
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
        lambda request: (request.timeout_secs, rows.encode(request)),
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

    def load(self, configs: Configs) -> Iterator[list[Row]]:
        """All rows, some at a time. Raises `DatabaseUnusable`, `sqlite3.Error`."""
        try:
            every = itertools.chain(self._load_tasks(configs), *(self._load(kind, configs) for kind in _KINDS.values()))
            while some := list(itertools.islice(every, _LOAD_ROWS)):
                yield some
        except (msgspec.DecodeError, KeyError) as error:
            raise DatabaseUnusable(f"a row cannot be read: {error!r}") from error

    def apply(self, dirty: Dirty, position: int) -> None:
        """Make the rows those at `position`, whole or not at all. Raises `sqlite3.Error`."""
        changed: dict[Table, list[tuple[Any, Any]]] = {table: [] for table in Table}
        for (table, key), value in dirty.items():
            changed[table].append((key, value))
        known = len(self._digests)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._save_tasks(changed.pop(Table.TASKS))
            for table, values in changed.items():
                self._save(_KINDS[table], values)
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

    def _load_tasks(self, configs: Configs) -> Iterator[Row]:
        by_digest: dict[str, TaskConfig] = {}
        for digest, data in self._connection.execute("SELECT digest, data FROM configs"):
            by_digest[digest] = config = configs.config(_config(data))
            self._digests[config] = digest
        for task_id, digest, data in self._connection.execute("SELECT id, config, data FROM tasks"):
            yield Row(Table.TASKS, task_id, rows.with_config(_task(data), by_digest[digest]))

    def _load(self, kind: _Kind, configs: Configs) -> Iterator[Row]:
        return (kind.row(columns, configs) for columns in self._connection.execute(kind.select))

    def _save_tasks(self, changed: Iterable[tuple[str, ScheduledTask | None]]) -> None:
        gone = [(task_id,) for task_id, task in changed if task is None]
        self._connection.executemany("DELETE FROM tasks WHERE id = ?", gone)
        saved = (self._task_columns(task) for _, task in changed if task is not None)
        self._connection.executemany("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", saved)

    def _task_columns(self, task: ScheduledTask) -> tuple[object, ...]:
        assigned, job = task.assigned_task, task.assigned_task.task.job
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
            rows.encode(rows.without_config(task)),
        )

    def _digest(self, config: TaskConfig) -> str:
        """Where the configuration lies; it is put there if need be."""
        digest = self._digests.get(config)
        if digest is None:
            data = rows.encode(config)
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
