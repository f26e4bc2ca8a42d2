"""What a backup file holds: the original's `Snapshot`, in plain TBinaryProtocol (storage sheet, A5 and A7).

Both ways go in small steps, for there may be a million tasks: who drives them lets others run in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from frozendict import frozendict

from aurorad import __version__
from aurorad.api import binary
from aurorad.api import storage as s
from aurorad.api.struct import ThriftStruct
from aurorad.api.tasks import JobConfiguration, ScheduledTask, TaskConfig, TaskEvent
from aurorad.api.updates import InstanceTaskConfig, JobUpdate, JobUpdateDetails
from aurorad.api.wire import WireError
from aurorad.rules.tiers import Tiers
from aurorad.rules.updates.requests import with_strategy
from aurorad.storage.shared import Shared
from aurorad.storage.tables import FRAMEWORK_ID, Row, Table
from aurorad.storage.update_rows import with_derived_state

STEP = 50
"""So many values are encoded in one step: about 2 ms."""


class UnreadableBackup(Exception):
    """The bytes are not those of a backup. The text says why."""


def encoded(
    timestamp_ms: int, task_count: int, tasks: Iterable[list[ScheduledTask]], rows: Mapping[Table, Mapping[Any, Any]]
) -> Iterator[bytes]:
    """The bytes of a backup, in steps; `rows` are those of all other tables."""
    yield binary.encode_field(s.Snapshot, "timestamp", timestamp_ms)
    yield from _collection(s.Snapshot, "host_attributes", list(rows[Table.HOSTS].values()))
    yield binary.encode_count(s.Snapshot, "tasks", task_count)
    for some in tasks:
        yield from _steps(some)
    yield from _collection(s.Snapshot, "cron_jobs", list(map(s.StoredCronJob, rows[Table.CRON_JOBS].values())))
    details = frozendict({"aurorad": __version__})
    metadata = s.SchedulerMetadata(rows[Table.METADATA].get(FRAMEWORK_ID), details)
    yield binary.encode_field(s.Snapshot, "scheduler_metadata", metadata)
    quotas = [s.QuotaConfiguration(role, quota) for role, quota in rows[Table.QUOTAS].items()]
    yield from _collection(s.Snapshot, "quota_configurations", quotas)
    yield binary.encode_count(s.Snapshot, "job_update_details", len(rows[Table.UPDATES]))
    for update in rows[Table.UPDATES].values():
        yield from _update(update)
    yield from _collection(s.Snapshot, "host_maintenance_requests", list(rows[Table.MAINTENANCE].values()))
    yield binary.END


def _update(details: JobUpdateDetails) -> Iterator[bytes]:
    """One may have thousands of events."""
    yield binary.encode_header(s.StoredJobUpdateDetails, "details")
    yield binary.encode_field(JobUpdateDetails, "update", details.update)
    yield from _collection(JobUpdateDetails, "update_events", details.update_events)
    yield from _collection(JobUpdateDetails, "instance_events", details.instance_events)
    yield binary.END * 2


def _collection(cls: type[ThriftStruct], attribute: str, values: Sequence[ThriftStruct]) -> Iterator[bytes]:
    yield binary.encode_count(cls, attribute, len(values))
    yield from _steps(values)


def _steps(values: Sequence[ThriftStruct]) -> Iterator[bytes]:
    for start in range(0, len(values), STEP):
        yield binary.encode_each(values[start : start + STEP])


def decoded(data: binary.Data, tiers: Tiers) -> Iterator[Row]:
    """The rows of a backup, one by one. Raises `UnreadableBackup`, perhaps after some rows.

    What the original fills in when it loads one is filled in (thrift-api sheet, "Back-fill of deprecated fields");
    hosts without an agent are left out. What nobody knows is passed over.
    """
    reader = _Reader(tiers)
    try:
        for attribute, value in binary.read_pieces(s.Snapshot, data):
            yield from reader.rows(attribute, value)
    except WireError as error:
        raise UnreadableBackup(str(error)) from None


class _Reader:
    def __init__(self, tiers: Tiers) -> None:
        self._tiers = tiers
        self._shared = Shared()
        self._filled_in: dict[TaskConfig, TaskConfig] = {}

    def rows(self, attribute: str, value: Any) -> Iterator[Row]:
        """Those that an element of a field of the snapshot, or its whole value, stands for."""
        match attribute:
            case "tasks":
                yield Row(Table.TASKS, value.assigned_task.task_id, self._task(value))
            case "host_attributes" if value.slave_id:
                yield Row(Table.HOSTS, value.host, value)
            case "cron_jobs":
                job: JobConfiguration = value.job_configuration
                yield Row(Table.CRON_JOBS, job.key, _replace(job, task_config=self._config(job.task_config)))
            case "quota_configurations":
                yield Row(Table.QUOTAS, value.role, value.quota)
            case "job_update_details":
                yield Row(Table.UPDATES, value.details.update.summary.key, self._update(value.details))
            case "host_maintenance_requests":
                yield Row(Table.MAINTENANCE, value.host, value)
            case "scheduler_metadata" if value.framework_id:
                yield Row(Table.METADATA, FRAMEWORK_ID, value.framework_id)

    def _task(self, task: ScheduledTask) -> ScheduledTask:
        assigned, shared = task.assigned_task, self._shared
        if not assigned.task_id:
            raise UnreadableBackup("a task has no id")
        place = {"slave_id": shared.text(assigned.slave_id), "slave_host": shared.text(assigned.slave_host)}
        return _replace(
            task,
            assigned_task=_replace(assigned, task=self._config(assigned.task), **place),
            task_events=tuple(map(self._event, task.task_events)),
        )

    def _event(self, event: TaskEvent) -> TaskEvent:
        return self._shared.event(event)

    def _update(self, details: JobUpdateDetails) -> JobUpdateDetails:
        update: JobUpdate = details.update
        instructions = update.instructions
        desired = instructions.desired_state
        filled_in = _replace(
            instructions,
            initial_state=frozenset(map(self._instances, instructions.initial_state)),
            desired_state=None if desired is None else self._instances(desired),
            settings=with_strategy(instructions.settings),
        )
        return with_derived_state(
            JobUpdateDetails(
                _replace(update, instructions=filled_in),
                tuple(sorted(details.update_events, key=lambda event: event.timestamp_ms)),
                tuple(sorted(details.instance_events, key=lambda event: event.timestamp_ms)),
            )
        )

    def _instances(self, instances: InstanceTaskConfig) -> InstanceTaskConfig:
        return _replace(instances, task=self._config(instances.task))

    def _config(self, config: TaskConfig) -> TaskConfig:
        """As the original has it after loading; equal ones are one object."""
        known = self._filled_in.get(config)
        if known is None:
            self._filled_in[config] = known = self._shared.config(_with_tier(config, self._tiers))
        return known


_replace = msgspec.structs.replace


def _with_tier(config: TaskConfig, tiers: Tiers) -> TaskConfig:
    """The tier stands for `production`; in older backups it may be the other way round."""
    if not config.resources:
        raise UnreadableBackup(
            f"a task of {config.job.role}/{config.job.environment}/{config.job.name} asks for no resources in a form "
            "that Aurora 0.22 knows: have that version load the backup, and make another"
        )
    if config.tier is not None:
        tier = tiers.by_name.get(config.tier)
        return config if tier is None else _replace(config, production=tier.production)
    fits = [name for name, tier in tiers.by_name.items() if tier.production] if config.production else []
    name = fits[0] if fits else tiers.default
    return _replace(config, tier=name, production=tiers.by_name[name].production)
