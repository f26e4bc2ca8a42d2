"""Job updates: instructions, settings, events and queries. Field ids and types: thrift-api sheet (api)."""

from typing import Annotated

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus
from aurorad.api.struct import I32, I64, Id, ThriftStruct, ThriftUnion
from aurorad.api.tasks import JobKey, Metadata, TaskConfig


class Range(ThriftStruct, frozen=True, cache_hash=True):
    first: Annotated[I32, Id(1)] = 0
    last: Annotated[I32, Id(2)] = 0


class JobUpdateKey(ThriftStruct, frozen=True, cache_hash=True):
    job: Annotated[JobKey, Id(1)] = JobKey()
    id: Annotated[str, Id(2)] = ""


class QueueJobUpdateStrategy(ThriftStruct, frozen=True, cache_hash=True):
    group_size: Annotated[I32, Id(1)] = 0


class BatchJobUpdateStrategy(ThriftStruct, frozen=True, cache_hash=True):
    group_size: Annotated[I32, Id(1)] = 0
    autopause_after_batch: Annotated[bool, Id(2)] = False


class VariableBatchJobUpdateStrategy(ThriftStruct, frozen=True, cache_hash=True):
    group_sizes: Annotated[tuple[I32, ...], Id(1)] = ()
    autopause_after_batch: Annotated[bool, Id(2)] = False


class JobUpdateStrategy(ThriftUnion, frozen=True, cache_hash=True):
    queue_strategy: Annotated[QueueJobUpdateStrategy | None, Id(1)] = None
    batch_strategy: Annotated[BatchJobUpdateStrategy | None, Id(2)] = None
    var_batch_strategy: Annotated[VariableBatchJobUpdateStrategy | None, Id(3)] = None


class JobUpdateSettings(ThriftStruct, frozen=True, cache_hash=True):
    update_group_size: Annotated[I32, Id(1)] = 0
    max_per_instance_failures: Annotated[I32, Id(2)] = 0
    max_failed_instances: Annotated[I32, Id(3)] = 0
    min_wait_in_instance_running_ms: Annotated[I32, Id(5)] = 0
    rollback_on_failure: Annotated[bool, Id(6)] = False
    update_only_these_instances: Annotated[frozenset[Range], Id(7)] = frozenset()
    wait_for_batch_completion: Annotated[bool, Id(8)] = False
    block_if_no_pulses_after_ms: Annotated[I32, Id(9, optional=True)] = 0
    sla_aware: Annotated[bool, Id(10, optional=True)] = False
    update_strategy: Annotated[JobUpdateStrategy | None, Id(11, optional=True)] = None


class JobUpdateEvent(ThriftStruct, frozen=True, cache_hash=True):
    status: Annotated[JobUpdateStatus, Id(1)] = JobUpdateStatus.ROLLING_FORWARD
    timestamp_ms: Annotated[I64, Id(2)] = 0
    user: Annotated[str | None, Id(3, optional=True)] = None
    message: Annotated[str | None, Id(4, optional=True)] = None


class JobInstanceUpdateEvent(ThriftStruct, frozen=True, cache_hash=True):
    instance_id: Annotated[I32, Id(1)] = 0
    timestamp_ms: Annotated[I64, Id(2)] = 0
    action: Annotated[JobUpdateAction, Id(3)] = JobUpdateAction.INSTANCE_UPDATING
    message: Annotated[str | None, Id(4, optional=True)] = None


class InstanceTaskConfig(ThriftStruct, frozen=True, cache_hash=True):
    task: Annotated[TaskConfig, Id(1)] = TaskConfig()
    instances: Annotated[frozenset[Range], Id(2)] = frozenset()


class JobUpdateState(ThriftStruct, frozen=True, cache_hash=True):
    status: Annotated[JobUpdateStatus, Id(1)] = JobUpdateStatus.ROLLING_FORWARD
    created_timestamp_ms: Annotated[I64, Id(2)] = 0
    last_modified_timestamp_ms: Annotated[I64, Id(3)] = 0


class JobUpdateSummary(ThriftStruct, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey, Id(5)] = JobUpdateKey()
    user: Annotated[str | None, Id(3)] = None
    state: Annotated[JobUpdateState | None, Id(4)] = None
    metadata: Annotated[frozenset[Metadata], Id(6, optional=True)] = frozenset()


class JobUpdateInstructions(ThriftStruct, frozen=True, cache_hash=True):
    initial_state: Annotated[frozenset[InstanceTaskConfig], Id(1)] = frozenset()
    desired_state: Annotated[InstanceTaskConfig | None, Id(2)] = None
    settings: Annotated[JobUpdateSettings, Id(3)] = JobUpdateSettings()


class JobUpdate(ThriftStruct, frozen=True, cache_hash=True):
    summary: Annotated[JobUpdateSummary, Id(1)] = JobUpdateSummary()
    instructions: Annotated[JobUpdateInstructions, Id(2)] = JobUpdateInstructions()


class JobUpdateDetails(ThriftStruct, frozen=True, cache_hash=True):
    update: Annotated[JobUpdate, Id(1)] = JobUpdate()
    update_events: Annotated[tuple[JobUpdateEvent, ...], Id(2)] = ()
    instance_events: Annotated[tuple[JobInstanceUpdateEvent, ...], Id(3)] = ()


class JobUpdateRequest(ThriftStruct, frozen=True, cache_hash=True):
    task_config: Annotated[TaskConfig, Id(1)] = TaskConfig()
    instance_count: Annotated[I32, Id(2)] = 0
    settings: Annotated[JobUpdateSettings | None, Id(3)] = None
    metadata: Annotated[frozenset[Metadata], Id(4, optional=True)] = frozenset()


class JobUpdateQuery(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str | None, Id(2)] = None
    key: Annotated[JobUpdateKey | None, Id(8)] = None
    job_key: Annotated[JobKey | None, Id(3)] = None
    user: Annotated[str | None, Id(4)] = None
    update_statuses: Annotated[frozenset[JobUpdateStatus], Id(5)] = frozenset()
    offset: Annotated[I32, Id(6)] = 0
    limit: Annotated[I32, Id(7)] = 0
