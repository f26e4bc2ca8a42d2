"""Jobs, tasks, hosts and the queries for them. Field ids and types: thrift-api sheet (api)."""

from typing import Annotated, ClassVar

from frozendict import frozendict

from aurorad.api.enums import CronCollisionPolicy, MaintenanceMode, Mode, ScheduleStatus
from aurorad.api.struct import I32, I64, Id, ThriftStruct, ThriftUnion


class Identity(ThriftStruct, frozen=True, cache_hash=True):
    user: Annotated[str | None, Id(2)] = None


class Attribute(ThriftStruct, frozen=True, cache_hash=True):
    name: Annotated[str, Id(1)] = ""
    values: Annotated[frozenset[str], Id(2)] = frozenset()


class HostAttributes(ThriftStruct, frozen=True, cache_hash=True):
    host: Annotated[str, Id(1)] = ""
    attributes: Annotated[frozenset[Attribute], Id(2)] = frozenset()
    mode: Annotated[MaintenanceMode | None, Id(3, optional=True)] = None
    slave_id: Annotated[str | None, Id(4, optional=True)] = None


class ValueConstraint(ThriftStruct, frozen=True, cache_hash=True):
    negated: Annotated[bool, Id(1)] = False
    values: Annotated[frozenset[str], Id(2)] = frozenset()


class LimitConstraint(ThriftStruct, frozen=True, cache_hash=True):
    limit: Annotated[I32, Id(1)] = 0


class TaskConstraint(ThriftUnion, frozen=True, cache_hash=True):
    value: Annotated[ValueConstraint | None, Id(1)] = None
    limit: Annotated[LimitConstraint | None, Id(2)] = None


class Constraint(ThriftStruct, frozen=True, cache_hash=True):
    name: Annotated[str, Id(1)] = ""
    constraint: Annotated[TaskConstraint | None, Id(2)] = None


class Package(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str, Id(1)] = ""
    name: Annotated[str, Id(2)] = ""
    version: Annotated[I32, Id(3)] = 0


class Metadata(ThriftStruct, frozen=True, cache_hash=True):
    key: Annotated[str | None, Id(1)] = None
    value: Annotated[str | None, Id(2)] = None


class JobKey(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str, Id(1)] = ""
    environment: Annotated[str, Id(2)] = ""
    name: Annotated[str, Id(3)] = ""


class LockKey(ThriftUnion, frozen=True, cache_hash=True):
    job: Annotated[JobKey | None, Id(1)] = None


class Lock(ThriftStruct, frozen=True, cache_hash=True):
    key: Annotated[LockKey | None, Id(1)] = None
    token: Annotated[str, Id(2)] = ""
    user: Annotated[str, Id(3)] = ""
    timestamp_ms: Annotated[I64, Id(4)] = 0
    message: Annotated[str | None, Id(5, optional=True)] = None


class InstanceKey(ThriftStruct, frozen=True, cache_hash=True):
    job_key: Annotated[JobKey, Id(1)] = JobKey()
    instance_id: Annotated[I32, Id(2)] = 0


class MesosFetcherURI(ThriftStruct, frozen=True, cache_hash=True):
    value: Annotated[str | None, Id(1)] = None
    extract: Annotated[bool, Id(2, optional=True)] = False
    cache: Annotated[bool, Id(3, optional=True)] = False
    output_file: Annotated[str | None, Id(4, optional=True)] = None


class ExecutorConfig(ThriftStruct, frozen=True, cache_hash=True):
    name: Annotated[str | None, Id(1)] = None
    data: Annotated[str | None, Id(2)] = None


class Volume(ThriftStruct, frozen=True, cache_hash=True):
    container_path: Annotated[str | None, Id(1)] = None
    host_path: Annotated[str | None, Id(2)] = None
    mode: Annotated[Mode, Id(3)] = Mode.RW


class DockerImage(ThriftStruct, frozen=True, cache_hash=True):
    name: Annotated[str | None, Id(1)] = None
    tag: Annotated[str | None, Id(2)] = None


class AppcImage(ThriftStruct, frozen=True, cache_hash=True):
    name: Annotated[str | None, Id(1)] = None
    image_id: Annotated[str | None, Id(2)] = None


class Image(ThriftUnion, frozen=True, cache_hash=True):
    docker: Annotated[DockerImage | None, Id(1)] = None
    appc: Annotated[AppcImage | None, Id(2)] = None


class MesosContainer(ThriftStruct, frozen=True, cache_hash=True):
    image: Annotated[Image | None, Id(1, optional=True)] = None
    volumes: Annotated[tuple[Volume, ...], Id(2, optional=True)] = ()


class DockerParameter(ThriftStruct, frozen=True, cache_hash=True):
    name: Annotated[str | None, Id(1)] = None
    value: Annotated[str | None, Id(2)] = None


class DockerContainer(ThriftStruct, frozen=True, cache_hash=True):
    image: Annotated[str | None, Id(1)] = None
    parameters: Annotated[tuple[DockerParameter, ...], Id(2, optional=True)] = ()


class PartitionPolicy(ThriftStruct, frozen=True, cache_hash=True):
    reschedule: Annotated[bool, Id(1)] = False
    delay_secs: Annotated[I64, Id(2, optional=True)] = 0


class PercentageSlaPolicy(ThriftStruct, frozen=True, cache_hash=True):
    percentage: Annotated[float, Id(1)] = 0.0
    duration_secs: Annotated[I64, Id(2)] = 0


class CountSlaPolicy(ThriftStruct, frozen=True, cache_hash=True):
    count: Annotated[I64, Id(1)] = 0
    duration_secs: Annotated[I64, Id(2)] = 0


class CoordinatorSlaPolicy(ThriftStruct, frozen=True, cache_hash=True):
    coordinator_url: Annotated[str, Id(1)] = ""
    status_key: Annotated[str | None, Id(2)] = None


class Container(ThriftUnion, frozen=True, cache_hash=True):
    mesos: Annotated[MesosContainer | None, Id(1)] = None
    docker: Annotated[DockerContainer | None, Id(2)] = None


class Resource(ThriftUnion, frozen=True, cache_hash=True):
    num_cpus: Annotated[float | None, Id(1)] = None
    ram_mb: Annotated[I64 | None, Id(2)] = None
    disk_mb: Annotated[I64 | None, Id(3)] = None
    named_port: Annotated[str | None, Id(4)] = None
    num_gpus: Annotated[I64 | None, Id(5)] = None


class SlaPolicy(ThriftUnion, frozen=True, cache_hash=True):
    percentage_sla_policy: Annotated[PercentageSlaPolicy | None, Id(1)] = None
    count_sla_policy: Annotated[CountSlaPolicy | None, Id(2)] = None
    coordinator_sla_policy: Annotated[CoordinatorSlaPolicy | None, Id(3)] = None


class TaskConfig(ThriftStruct, frozen=True, cache_hash=True):
    shared: ClassVar[bool] = True  # by the instances of a job

    job: Annotated[JobKey, Id(28)] = JobKey()
    owner: Annotated[Identity | None, Id(17)] = None
    is_service: Annotated[bool, Id(7)] = False
    priority: Annotated[I32, Id(11)] = 0
    max_task_failures: Annotated[I32, Id(13)] = 0
    production: Annotated[bool, Id(18, optional=True)] = False
    tier: Annotated[str | None, Id(30, optional=True)] = None
    resources: Annotated[frozenset[Resource], Id(32)] = frozenset()
    constraints: Annotated[frozenset[Constraint], Id(20)] = frozenset()
    mesos_fetcher_uris: Annotated[frozenset[MesosFetcherURI], Id(33, optional=True)] = frozenset()
    task_links: Annotated[frozendict[str, str], Id(22, optional=True)] = frozendict()
    contact_email: Annotated[str | None, Id(23, optional=True)] = None
    executor_config: Annotated[ExecutorConfig | None, Id(25, optional=True)] = None
    metadata: Annotated[frozenset[Metadata], Id(27, optional=True)] = frozenset()
    partition_policy: Annotated[PartitionPolicy | None, Id(34, optional=True)] = None
    sla_policy: Annotated[SlaPolicy | None, Id(35, optional=True)] = None
    container: Annotated[Container, Id(29)] = Container(mesos=MesosContainer())


class ResourceAggregate(ThriftStruct, frozen=True, cache_hash=True):
    resources: Annotated[frozenset[Resource], Id(4)] = frozenset()


class JobConfiguration(ThriftStruct, frozen=True, cache_hash=True):
    key: Annotated[JobKey, Id(9)] = JobKey()
    owner: Annotated[Identity | None, Id(7)] = None
    cron_schedule: Annotated[str | None, Id(4, optional=True)] = None
    cron_collision_policy: Annotated[CronCollisionPolicy | None, Id(5)] = None
    task_config: Annotated[TaskConfig, Id(6)] = TaskConfig()
    instance_count: Annotated[I32, Id(8)] = 0


class TaskEvent(ThriftStruct, frozen=True, cache_hash=True):
    shared: ClassVar[bool] = True  # by all tasks that one write moved

    timestamp: Annotated[I64, Id(1)] = 0
    status: Annotated[ScheduleStatus, Id(2)] = ScheduleStatus.INIT
    message: Annotated[str | None, Id(3, optional=True)] = None
    scheduler: Annotated[str | None, Id(4, optional=True)] = None


class AssignedTask(ThriftStruct, frozen=True, cache_hash=True):
    task_id: Annotated[str, Id(1)] = ""
    slave_id: Annotated[str | None, Id(2)] = None
    slave_host: Annotated[str | None, Id(3)] = None
    task: Annotated[TaskConfig, Id(4)] = TaskConfig()
    assigned_ports: Annotated[frozendict[str, I32], Id(5)] = frozendict()
    instance_id: Annotated[I32, Id(6)] = 0


class ScheduledTask(ThriftStruct, frozen=True, cache_hash=True):
    assigned_task: Annotated[AssignedTask, Id(1)] = AssignedTask()
    status: Annotated[ScheduleStatus, Id(2)] = ScheduleStatus.INIT
    failure_count: Annotated[I32, Id(3)] = 0
    times_partitioned: Annotated[I32, Id(6)] = 0
    task_events: Annotated[tuple[TaskEvent, ...], Id(4)] = ()
    ancestor_id: Annotated[str | None, Id(5)] = None


class TaskQuery(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str | None, Id(14, optional=True)] = None
    environment: Annotated[str | None, Id(9, optional=True)] = None
    job_name: Annotated[str | None, Id(2, optional=True)] = None
    task_ids: Annotated[frozenset[str], Id(4, optional=True)] = frozenset()
    statuses: Annotated[frozenset[ScheduleStatus], Id(5, optional=True)] = frozenset()
    instance_ids: Annotated[frozenset[I32], Id(7, optional=True)] = frozenset()
    slave_hosts: Annotated[frozenset[str], Id(10, optional=True)] = frozenset()
    job_keys: Annotated[frozenset[JobKey], Id(11, optional=True)] = frozenset()
    offset: Annotated[I32, Id(12, optional=True)] = 0
    limit: Annotated[I32, Id(13, optional=True)] = 0


class Hosts(ThriftStruct, frozen=True, cache_hash=True):
    host_names: Annotated[frozenset[str], Id(1)] = frozenset()


class HostMaintenanceRequest(ThriftStruct, frozen=True, cache_hash=True):
    host: Annotated[str, Id(1)] = ""
    default_sla_policy: Annotated[SlaPolicy | None, Id(2)] = None
    timeout_secs: Annotated[I64, Id(3)] = 0
    created_timestamp_ms: Annotated[I64, Id(4)] = 0


class ExplicitReconciliationSettings(ThriftStruct, frozen=True, cache_hash=True):
    batch_size: Annotated[I32 | None, Id(1, optional=True)] = None
