"""``aurora_admin backup export``: a backup, or the state of a scheduler, as an SQLite file for people to query.

The tables are described in docs/backups.md. Times are UTC, as SQLite's own functions write and read them.
"""

from __future__ import annotations

import os
import sqlite3
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from aurorad.api import binary, keys
from aurorad.api import storage as s
from aurorad.api.calls import (
    Call,
    GetJobs,
    GetJobUpdateDetails,
    GetQuota,
    GetRoleSummary,
    GetTasksStatus,
    MaintenanceStatus,
)
from aurorad.api.results import Result
from aurorad.api.tasks import HostAttributes, Hosts, Resource, ScheduledTask, TaskConfig, TaskQuery
from aurorad.api.updates import JobUpdateDetails, JobUpdateQuery
from aurorad.api.wire import WireError
from client.admin_commands.command import AdminCommand
from client.errors import CommandError, Exit
from client.scheduler import Scheduler
from client.session import Session

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE configs (config INTEGER PRIMARY KEY, job TEXT, tier TEXT, production INTEGER, is_service INTEGER,
  cpus REAL, ram_mb INTEGER, disk_mb INTEGER, gpus INTEGER, ports TEXT, owner TEXT, contact_email TEXT,
  priority INTEGER, max_task_failures INTEGER, executor TEXT, executor_data TEXT, whole TEXT);
CREATE TABLE tasks (task TEXT PRIMARY KEY, job TEXT, role TEXT, environment TEXT, name TEXT, instance INTEGER,
  status TEXT, host TEXT, agent TEXT, ports TEXT, failures INTEGER, times_partitioned INTEGER, ancestor TEXT,
  created TEXT, changed TEXT, config INTEGER REFERENCES configs);
CREATE TABLE task_events (task TEXT REFERENCES tasks, number INTEGER, at TEXT, status TEXT, message TEXT,
  scheduler TEXT, PRIMARY KEY (task, number));
CREATE TABLE cron_jobs (job TEXT PRIMARY KEY, schedule TEXT, collision_policy TEXT, instances INTEGER, owner TEXT,
  config INTEGER REFERENCES configs);
CREATE TABLE updates (job TEXT, id TEXT, status TEXT, user TEXT, created TEXT, changed TEXT, settings TEXT,
  PRIMARY KEY (job, id));
CREATE TABLE update_events (job TEXT, id TEXT, at TEXT, status TEXT, user TEXT, message TEXT);
CREATE TABLE instance_events (job TEXT, id TEXT, instance INTEGER, at TEXT, action TEXT, message TEXT);
CREATE TABLE hosts (host TEXT PRIMARY KEY, agent TEXT, mode TEXT);
CREATE TABLE host_attributes (host TEXT REFERENCES hosts, name TEXT, value TEXT);
CREATE TABLE maintenance (host TEXT PRIMARY KEY, timeout_secs INTEGER, created TEXT, policy TEXT);
CREATE TABLE quotas (role TEXT PRIMARY KEY, cpus REAL, ram_mb INTEGER, disk_mb INTEGER);
CREATE VIEW jobs AS SELECT job, role, environment, name, count(*) AS tasks,
  sum(status IN ('PENDING', 'THROTTLED', 'INIT')) AS pending, sum(status = 'RUNNING') AS running,
  sum(status IN ('FAILED', 'LOST')) AS failed, max(changed) AS changed FROM tasks GROUP BY job;
"""
_INDICES = """
CREATE INDEX tasks_by_job ON tasks (job, instance);
CREATE INDEX tasks_by_host ON tasks (host);
CREATE INDEX events_by_time ON task_events (at);
"""

# Fields of the original's Snapshot with a value each, as `binary.read_pieces` gives them.
Pieces = Iterable[tuple[str, Any]]


def _export(given: Namespace, session: Session) -> None:
    if given.export != "export":
        raise CommandError(Exit.USAGE, f"'aurora_admin backup {given.export}': export was expected")
    if (given.cluster is None) == (given.backup is None):
        raise CommandError(Exit.FATAL, "Please specify either a cluster or --backup=FILE")
    if given.backup is not None:
        pieces, source = _of_file(given.backup), str(given.backup)
    else:
        pieces, source = _of_scheduler(session.scheduler(given.cluster)), f"the scheduler of {given.cluster}"
    count = _write(given.sqlite, pieces, source)
    session.terminal.out(f"{count} tasks of {source} are in {given.sqlite}")


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("--backup", type=Path, metavar="FILE", help="the backup, in place of a cluster")
    parser.add_argument("--sqlite", type=Path, metavar="FILE", required=True, help="the new SQLite file")


def _of_file(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        yield from binary.read_pieces(s.Snapshot, path.read_bytes())
    except OSError as error:
        raise CommandError(Exit.FATAL, f"{path} cannot be read: {error.strerror}") from None
    except WireError as error:
        raise CommandError(Exit.FATAL, f"{path} is no backup: {error}") from None


def _of_scheduler(scheduler: Scheduler) -> Iterator[tuple[str, Any]]:
    """What its API tells: attributes of hosts are not in it, nor hosts that never had a task."""

    def ask(call: Call) -> Result:
        return scheduler.ask(call, code=Exit.FATAL, repeatable=True)

    tasks = ask(GetTasksStatus(TaskQuery())).schedule_status_result
    names = set()
    for task in tasks.tasks if tasks is not None else ():
        names.add(task.assigned_task.slave_host)
        yield "tasks", task
    jobs = ask(GetJobs()).get_jobs_result
    for job in jobs.configs if jobs is not None else ():
        if job.cron_schedule is not None:
            yield "cron_jobs", s.StoredCronJob(job)
    updates = ask(GetJobUpdateDetails(query=JobUpdateQuery())).get_job_update_details_result
    for details in (updates.details_list or ()) if updates is not None else ():
        yield "job_update_details", s.StoredJobUpdateDetails(details)
    hosts = ask(MaintenanceStatus(Hosts(frozenset(filter(None, names))))).maintenance_status_result
    for status in hosts.statuses if hosts is not None else ():
        yield "host_attributes", HostAttributes(status.host, mode=status.mode)
    roles = ask(GetRoleSummary()).role_summary_result
    for summary in roles.summaries if roles is not None else ():
        quota = ask(GetQuota(summary.role)).get_quota_result
        if quota is not None:
            yield "quota_configurations", s.QuotaConfiguration(summary.role, quota.quota)


def _write(path: Path, pieces: Pieces, source: str) -> int:
    """The number of tasks. The file is there whole or not at all, and its owner's alone."""
    if path.exists():
        raise CommandError(Exit.FATAL, f"{path} is there already: a new file was expected")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            count = _fill(connection, pieces, source)
        finally:
            connection.close()
        temporary.rename(path)
    except (OSError, sqlite3.Error) as error:
        raise CommandError(Exit.FATAL, f"{path} cannot be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _fill(connection: sqlite3.Connection, pieces: Pieces, source: str) -> int:
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
    connection.execute("BEGIN")
    tables = _Tables(connection)
    for attribute, value in pieces:
        tables.add(attribute, value)
    tables.insert("about", "source", source)
    connection.execute("COMMIT")
    connection.executescript(_INDICES)
    return tables.tasks


class _Tables:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.tasks = 0
        self._connection = connection
        self._configs: dict[TaskConfig, int] = {}

    def add(self, attribute: str, value: Any) -> None:
        match attribute:
            case "timestamp":
                self.insert("about", "at", _time(value))
            case "scheduler_metadata":
                for name, text in [("framework_id", value.framework_id), *value.details.items()]:
                    self.insert("about", name, text)
            case "tasks":
                self._task(value)
            case "cron_jobs":
                job = value.job_configuration
                policy = job.cron_collision_policy.name if job.cron_collision_policy is not None else None
                place = (keys.canonical(job.key), job.cron_schedule, policy, job.instance_count)
                self.insert("cron_jobs", *place, _user(job.owner), self._config(job.task_config))
            case "job_update_details":
                self._update(value.details)
            case "host_attributes":
                self.insert("hosts", value.host, value.slave_id, value.mode.name if value.mode is not None else None)
                for one in sorted(value.attributes, key=lambda one: one.name):
                    for text in sorted(one.values):
                        self.insert("host_attributes", value.host, one.name, text)
            case "host_maintenance_requests":
                policy = _json(value.default_sla_policy) if value.default_sla_policy is not None else None
                self.insert("maintenance", value.host, value.timeout_secs, _time(value.created_timestamp_ms), policy)
            case "quota_configurations":
                cpus, ram_mb, disk_mb, *_ = _amounts(value.quota.resources)
                self.insert("quotas", value.role, cpus, ram_mb, disk_mb)

    def _task(self, task: ScheduledTask) -> None:
        self.tasks += 1
        assigned, job, events = task.assigned_task, task.assigned_task.task.job, task.task_events
        self.insert(
            "tasks",
            assigned.task_id,
            keys.canonical(job),
            *(job.role, job.environment, job.name),
            *(assigned.instance_id, task.status.name, assigned.slave_host, assigned.slave_id),
            _json(dict(assigned.assigned_ports)),
            *(task.failure_count, task.times_partitioned, task.ancestor_id),
            _time(events[0].timestamp) if events else None,
            _time(events[-1].timestamp) if events else None,
            self._config(assigned.task),
        )
        for number, event in enumerate(events):
            told = (_time(event.timestamp), event.status.name, event.message, event.scheduler)
            self.insert("task_events", assigned.task_id, number, *told)

    def _update(self, details: JobUpdateDetails) -> None:
        summary, state = details.update.summary, details.update.summary.state
        place = keys.canonical(summary.key.job), summary.key.id
        times = (_time(state.created_timestamp_ms), _time(state.last_modified_timestamp_ms)) if state else (None, None)
        settings = _json(details.update.instructions.settings)
        self.insert("updates", *place, state.status.name if state else None, summary.user, *times, settings)
        for event in details.update_events:
            self.insert(
                "update_events", *place, _time(event.timestamp_ms), event.status.name, event.user, event.message
            )
        for one in details.instance_events:
            self.insert(
                "instance_events", *place, one.instance_id, _time(one.timestamp_ms), one.action.name, one.message
            )

    def _config(self, config: TaskConfig) -> int:
        """Its number; equal ones have the same."""
        number = self._configs.get(config)
        if number is None:
            self._configs[config] = number = len(self._configs) + 1
            executor = config.executor_config
            self.insert(
                "configs",
                *(number, keys.canonical(config.job), config.tier, config.production, config.is_service),
                *_amounts(config.resources),
                *(_user(config.owner), config.contact_email, config.priority, config.max_task_failures),
                *((executor.name, executor.data) if executor is not None else (None, None)),
                _json(config),
            )
        return number

    def insert(self, table: str, *columns: object) -> None:
        marks = ", ".join("?" * len(columns))
        self._connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", columns)  # noqa: S608 - our names


def _amounts(resources: Iterable[Resource]) -> tuple[object, ...]:
    """CPUs, RAM, disk, GPUs and the names of ports."""
    some = list(resources)
    ports = sorted(one.named_port for one in some if one.named_port is not None)
    kinds = ("num_cpus", "ram_mb", "disk_mb", "num_gpus")
    found = [next((getattr(one, kind) for one in some if getattr(one, kind) is not None), None) for kind in kinds]
    return *found, ",".join(ports)


def _user(identity: Any) -> str | None:
    return identity.user if identity is not None else None


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


BACKUP = AdminCommand("export [cluster]", _export, _declare)
