"""Every call of the API as a value: what is called and with which arguments. Facts: thrift-api sheet, sections 2-4."""

from typing import Annotated

from aurorad.api.enums import ScheduleStatus
from aurorad.api.results import Response
from aurorad.api.struct import I32, I64, Id, ThriftStruct
from aurorad.api.tasks import (
    ExplicitReconciliationSettings,
    Hosts,
    InstanceKey,
    JobConfiguration,
    JobKey,
    ResourceAggregate,
    SlaPolicy,
    TaskQuery,
)
from aurorad.api.updates import JobUpdateKey, JobUpdateQuery, JobUpdateRequest


class Call(ThriftStruct, frozen=True, cache_hash=True):
    """Base of every call; its fields are the arguments. Unset arguments are None, empty or zero."""

    @classmethod
    def method(cls) -> str:
        """The name of the method on the wire."""
        return cls.__name__[0].lower() + cls.__name__[1:]


class ReadOnlyCall(Call, frozen=True, cache_hash=True):
    """A call that changes nothing and never needs authentication (service ReadOnlyScheduler)."""


class GetRoleSummary(ReadOnlyCall, frozen=True, cache_hash=True):
    """No arguments."""


class GetJobSummary(ReadOnlyCall, frozen=True, cache_hash=True):
    role: Annotated[str | None, Id(1)] = None


class GetTasksStatus(ReadOnlyCall, frozen=True, cache_hash=True):
    query: Annotated[TaskQuery | None, Id(1)] = None


class GetTasksWithoutConfigs(ReadOnlyCall, frozen=True, cache_hash=True):
    query: Annotated[TaskQuery | None, Id(1)] = None


class GetPendingReason(ReadOnlyCall, frozen=True, cache_hash=True):
    query: Annotated[TaskQuery | None, Id(1)] = None


class GetConfigSummary(ReadOnlyCall, frozen=True, cache_hash=True):
    job: Annotated[JobKey | None, Id(1)] = None


class GetJobs(ReadOnlyCall, frozen=True, cache_hash=True):
    owner_role: Annotated[str | None, Id(1)] = None


class GetQuota(ReadOnlyCall, frozen=True, cache_hash=True):
    owner_role: Annotated[str | None, Id(1)] = None


class PopulateJobConfig(ReadOnlyCall, frozen=True, cache_hash=True):
    description: Annotated[JobConfiguration | None, Id(1)] = None


class GetJobUpdateSummaries(ReadOnlyCall, frozen=True, cache_hash=True):
    job_update_query: Annotated[JobUpdateQuery | None, Id(1)] = None


class GetJobUpdateDetails(ReadOnlyCall, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey | None, Id(1)] = None
    query: Annotated[JobUpdateQuery | None, Id(2)] = None


class GetJobUpdateDiff(ReadOnlyCall, frozen=True, cache_hash=True):
    request: Annotated[JobUpdateRequest | None, Id(1)] = None


class GetTierConfigs(ReadOnlyCall, frozen=True, cache_hash=True):
    """No arguments."""


class ManagerCall(Call, frozen=True, cache_hash=True):
    """A call on a job of some role (service AuroraSchedulerManager)."""


class CreateJob(ManagerCall, frozen=True, cache_hash=True):
    description: Annotated[JobConfiguration | None, Id(1)] = None


class ScheduleCronJob(ManagerCall, frozen=True, cache_hash=True):
    description: Annotated[JobConfiguration | None, Id(1)] = None


class DescheduleCronJob(ManagerCall, frozen=True, cache_hash=True):
    job: Annotated[JobKey | None, Id(4)] = None


class StartCronJob(ManagerCall, frozen=True, cache_hash=True):
    job: Annotated[JobKey | None, Id(4)] = None


class RestartShards(ManagerCall, frozen=True, cache_hash=True):
    job: Annotated[JobKey | None, Id(5)] = None
    shard_ids: Annotated[frozenset[I32], Id(3)] = frozenset()


class KillTasks(ManagerCall, frozen=True, cache_hash=True):
    job: Annotated[JobKey | None, Id(4)] = None
    instances: Annotated[frozenset[I32], Id(5)] = frozenset()
    message: Annotated[str | None, Id(6)] = None


class AddInstances(ManagerCall, frozen=True, cache_hash=True):
    key: Annotated[InstanceKey | None, Id(3)] = None
    count: Annotated[I32, Id(4)] = 0


class ReplaceCronTemplate(ManagerCall, frozen=True, cache_hash=True):
    config: Annotated[JobConfiguration | None, Id(1)] = None


class StartJobUpdate(ManagerCall, frozen=True, cache_hash=True):
    request: Annotated[JobUpdateRequest | None, Id(1)] = None
    message: Annotated[str | None, Id(3)] = None


class PauseJobUpdate(ManagerCall, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey | None, Id(1)] = None
    message: Annotated[str | None, Id(3)] = None


class ResumeJobUpdate(ManagerCall, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey | None, Id(1)] = None
    message: Annotated[str | None, Id(3)] = None


class AbortJobUpdate(ManagerCall, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey | None, Id(1)] = None
    message: Annotated[str | None, Id(3)] = None


class RollbackJobUpdate(ManagerCall, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey | None, Id(1)] = None
    message: Annotated[str | None, Id(2)] = None


class PulseJobUpdate(ManagerCall, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey | None, Id(1)] = None


class AdminCall(Call, frozen=True, cache_hash=True):
    """A call on the cluster (service AuroraAdmin)."""


class SetQuota(AdminCall, frozen=True, cache_hash=True):
    owner_role: Annotated[str | None, Id(1)] = None
    quota: Annotated[ResourceAggregate | None, Id(2)] = None


class ForceTaskState(AdminCall, frozen=True, cache_hash=True):
    task_id: Annotated[str | None, Id(1)] = None
    status: Annotated[ScheduleStatus | None, Id(2)] = None


class PerformBackup(AdminCall, frozen=True, cache_hash=True):
    """No arguments."""


class ListBackups(AdminCall, frozen=True, cache_hash=True):
    """No arguments."""


class StageRecovery(AdminCall, frozen=True, cache_hash=True):
    backup_id: Annotated[str | None, Id(1)] = None


class QueryRecovery(AdminCall, frozen=True, cache_hash=True):
    query: Annotated[TaskQuery | None, Id(1)] = None


class DeleteRecoveryTasks(AdminCall, frozen=True, cache_hash=True):
    query: Annotated[TaskQuery | None, Id(1)] = None


class CommitRecovery(AdminCall, frozen=True, cache_hash=True):
    """No arguments."""


class UnloadRecovery(AdminCall, frozen=True, cache_hash=True):
    """No arguments."""


class StartMaintenance(AdminCall, frozen=True, cache_hash=True):
    hosts: Annotated[Hosts | None, Id(1)] = None


class DrainHosts(AdminCall, frozen=True, cache_hash=True):
    hosts: Annotated[Hosts | None, Id(1)] = None


class MaintenanceStatus(AdminCall, frozen=True, cache_hash=True):
    hosts: Annotated[Hosts | None, Id(1)] = None


class EndMaintenance(AdminCall, frozen=True, cache_hash=True):
    hosts: Annotated[Hosts | None, Id(1)] = None


class SlaDrainHosts(AdminCall, frozen=True, cache_hash=True):
    hosts: Annotated[Hosts | None, Id(1)] = None
    default_sla_policy: Annotated[SlaPolicy | None, Id(2)] = None
    timeout_secs: Annotated[I64, Id(3)] = 0


class Snapshot(AdminCall, frozen=True, cache_hash=True):
    """No arguments."""


class TriggerExplicitTaskReconciliation(AdminCall, frozen=True, cache_hash=True):
    settings: Annotated[ExplicitReconciliationSettings | None, Id(1)] = None


class TriggerImplicitTaskReconciliation(AdminCall, frozen=True, cache_hash=True):
    """No arguments."""


class PruneTasks(AdminCall, frozen=True, cache_hash=True):
    query: Annotated[TaskQuery | None, Id(1)] = None


class Reply(ThriftStruct, frozen=True, cache_hash=True):
    """What comes back for any call."""

    success: Annotated[Response | None, Id(0)] = None


class ApplicationException(ThriftStruct, frozen=True, cache_hash=True):
    """Thrift's own answer to a call that it cannot make."""

    message: Annotated[str | None, Id(1)] = None
    type: Annotated[I32, Id(2)] = 0


SERVICES: tuple[tuple[str, type[Call]], ...] = (
    ("ReadOnlyScheduler", ReadOnlyCall),
    ("AuroraSchedulerManager", ManagerCall),
    ("AuroraAdmin", AdminCall),
)

_ALL: tuple[type[Call], ...] = (
    GetRoleSummary,
    GetJobSummary,
    GetTasksStatus,
    GetTasksWithoutConfigs,
    GetPendingReason,
    GetConfigSummary,
    GetJobs,
    GetQuota,
    PopulateJobConfig,
    GetJobUpdateSummaries,
    GetJobUpdateDetails,
    GetJobUpdateDiff,
    GetTierConfigs,
    CreateJob,
    ScheduleCronJob,
    DescheduleCronJob,
    StartCronJob,
    RestartShards,
    KillTasks,
    AddInstances,
    ReplaceCronTemplate,
    StartJobUpdate,
    PauseJobUpdate,
    ResumeJobUpdate,
    AbortJobUpdate,
    RollbackJobUpdate,
    PulseJobUpdate,
    SetQuota,
    ForceTaskState,
    PerformBackup,
    ListBackups,
    StageRecovery,
    QueryRecovery,
    DeleteRecoveryTasks,
    CommitRecovery,
    UnloadRecovery,
    StartMaintenance,
    DrainHosts,
    MaintenanceStatus,
    EndMaintenance,
    SlaDrainHosts,
    Snapshot,
    TriggerExplicitTaskReconciliation,
    TriggerImplicitTaskReconciliation,
    PruneTasks,
)

CALLS: dict[str, type[Call]] = {call.method(): call for call in _ALL}
