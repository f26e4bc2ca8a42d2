"""What the log holds: operations, transactions, snapshots. Field ids and types: thrift-api sheet (storage)."""

from typing import Annotated

from frozendict import frozendict

from aurorad.api.struct import I32, I64, Id, ThriftStruct, ThriftUnion
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    JobKey,
    Lock,
    LockKey,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
)
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdate, JobUpdateDetails, JobUpdateEvent, JobUpdateKey

CURRENT_SCHEMA_VERSION = 1


class SaveFrameworkId(ThriftStruct, frozen=True, cache_hash=True):
    id: Annotated[str, Id(1)] = ""


class SaveCronJob(ThriftStruct, frozen=True, cache_hash=True):
    job_config: Annotated[JobConfiguration, Id(2)] = JobConfiguration()


class SaveLock(ThriftStruct, frozen=True, cache_hash=True):
    lock: Annotated[Lock | None, Id(1)] = None


class RemoveLock(ThriftStruct, frozen=True, cache_hash=True):
    lock_key: Annotated[LockKey | None, Id(1)] = None


class RemoveJob(ThriftStruct, frozen=True, cache_hash=True):
    job_key: Annotated[JobKey, Id(2)] = JobKey()


class SaveTasks(ThriftStruct, frozen=True, cache_hash=True):
    tasks: Annotated[frozenset[ScheduledTask], Id(1)] = frozenset()


class RemoveTasks(ThriftStruct, frozen=True, cache_hash=True):
    task_ids: Annotated[frozenset[str], Id(1)] = frozenset()


class SaveQuota(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str, Id(1)] = ""
    quota: Annotated[ResourceAggregate, Id(2)] = ResourceAggregate()


class RemoveQuota(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str, Id(1)] = ""


class SaveHostAttributes(ThriftStruct, frozen=True, cache_hash=True):
    host_attributes: Annotated[HostAttributes | None, Id(1)] = None


class SaveJobUpdate(ThriftStruct, frozen=True, cache_hash=True):
    job_update: Annotated[JobUpdate, Id(1)] = JobUpdate()


class RemoveJobUpdates(ThriftStruct, frozen=True, cache_hash=True):
    keys: Annotated[frozenset[JobUpdateKey], Id(1)] = frozenset()


class StoredJobUpdateDetails(ThriftStruct, frozen=True, cache_hash=True):
    details: Annotated[JobUpdateDetails, Id(1)] = JobUpdateDetails()


class SaveJobUpdateEvent(ThriftStruct, frozen=True, cache_hash=True):
    event: Annotated[JobUpdateEvent, Id(1)] = JobUpdateEvent()
    key: Annotated[JobUpdateKey, Id(3)] = JobUpdateKey()


class SaveJobInstanceUpdateEvent(ThriftStruct, frozen=True, cache_hash=True):
    event: Annotated[JobInstanceUpdateEvent, Id(1)] = JobInstanceUpdateEvent()
    key: Annotated[JobUpdateKey, Id(3)] = JobUpdateKey()


class PruneJobUpdateHistory(ThriftStruct, frozen=True, cache_hash=True):
    per_job_retain_count: Annotated[I32, Id(1)] = 0
    history_prune_threshold_ms: Annotated[I64, Id(2)] = 0


class SaveHostMaintenanceRequest(ThriftStruct, frozen=True, cache_hash=True):
    host_maintenance_request: Annotated[HostMaintenanceRequest, Id(1)] = HostMaintenanceRequest()


class RemoveHostMaintenanceRequest(ThriftStruct, frozen=True, cache_hash=True):
    host: Annotated[str, Id(1)] = ""


class Op(ThriftUnion, frozen=True, cache_hash=True):
    save_framework_id: Annotated[SaveFrameworkId | None, Id(1)] = None
    save_cron_job: Annotated[SaveCronJob | None, Id(2)] = None
    remove_job: Annotated[RemoveJob | None, Id(5)] = None
    save_tasks: Annotated[SaveTasks | None, Id(6)] = None
    remove_tasks: Annotated[RemoveTasks | None, Id(7)] = None
    save_quota: Annotated[SaveQuota | None, Id(8)] = None
    remove_quota: Annotated[RemoveQuota | None, Id(9)] = None
    save_host_attributes: Annotated[SaveHostAttributes | None, Id(10)] = None
    save_lock: Annotated[SaveLock | None, Id(12)] = None
    remove_lock: Annotated[RemoveLock | None, Id(13)] = None
    save_job_update: Annotated[SaveJobUpdate | None, Id(14)] = None
    save_job_update_event: Annotated[SaveJobUpdateEvent | None, Id(15)] = None
    save_job_instance_update_event: Annotated[SaveJobInstanceUpdateEvent | None, Id(16)] = None
    prune_job_update_history: Annotated[PruneJobUpdateHistory | None, Id(17)] = None
    remove_job_update: Annotated[RemoveJobUpdates | None, Id(18)] = None
    save_host_maintenance_request: Annotated[SaveHostMaintenanceRequest | None, Id(19)] = None
    remove_host_maintenance_request: Annotated[RemoveHostMaintenanceRequest | None, Id(20)] = None


class Transaction(ThriftStruct, frozen=True, cache_hash=True):
    ops: Annotated[tuple[Op, ...], Id(1)] = ()
    schema_version: Annotated[I32, Id(2)] = 0


class StoredCronJob(ThriftStruct, frozen=True, cache_hash=True):
    job_configuration: Annotated[JobConfiguration, Id(3)] = JobConfiguration()


class SchedulerMetadata(ThriftStruct, frozen=True, cache_hash=True):
    framework_id: Annotated[str | None, Id(1)] = None
    details: Annotated[frozendict[str, str], Id(8)] = frozendict()


class QuotaConfiguration(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str, Id(1)] = ""
    quota: Annotated[ResourceAggregate, Id(2)] = ResourceAggregate()


class Snapshot(ThriftStruct, frozen=True, cache_hash=True):
    timestamp: Annotated[I64, Id(1)] = 0
    host_attributes: Annotated[frozenset[HostAttributes], Id(3)] = frozenset()
    tasks: Annotated[frozenset[ScheduledTask], Id(4)] = frozenset()
    cron_jobs: Annotated[frozenset[StoredCronJob], Id(5)] = frozenset()
    scheduler_metadata: Annotated[SchedulerMetadata | None, Id(6)] = None
    quota_configurations: Annotated[frozenset[QuotaConfiguration], Id(8)] = frozenset()
    job_update_details: Annotated[frozenset[StoredJobUpdateDetails], Id(10)] = frozenset()
    host_maintenance_requests: Annotated[frozenset[HostMaintenanceRequest], Id(13)] = frozenset()


class FrameHeader(ThriftStruct, frozen=True, cache_hash=True):
    chunk_count: Annotated[I32, Id(1)] = 0
    checksum: Annotated[bytes, Id(2)] = b""


class FrameChunk(ThriftStruct, frozen=True, cache_hash=True):
    data: Annotated[bytes, Id(2)] = b""


class DeduplicatedScheduledTask(ThriftStruct, frozen=True, cache_hash=True):
    partial_scheduled_task: Annotated[ScheduledTask, Id(1)] = ScheduledTask()
    task_config_id: Annotated[I32, Id(2)] = 0


class DeduplicatedSnapshot(ThriftStruct, frozen=True, cache_hash=True):
    partial_snapshot: Annotated[Snapshot, Id(1)] = Snapshot()
    partial_tasks: Annotated[tuple[DeduplicatedScheduledTask, ...], Id(2)] = ()
    task_configs: Annotated[tuple[TaskConfig, ...], Id(3)] = ()


class Frame(ThriftUnion, frozen=True, cache_hash=True):
    header: Annotated[FrameHeader | None, Id(1)] = None
    chunk: Annotated[FrameChunk | None, Id(2)] = None


class LogEntry(ThriftUnion, frozen=True, cache_hash=True):
    snapshot: Annotated[Snapshot | None, Id(1)] = None
    transaction: Annotated[Transaction | None, Id(2)] = None
    noop: Annotated[bool | None, Id(3)] = None
    frame: Annotated[Frame | None, Id(4)] = None
    deflated_entry: Annotated[bytes | None, Id(5)] = None
    deduplicated_snapshot: Annotated[DeduplicatedSnapshot | None, Id(6)] = None
