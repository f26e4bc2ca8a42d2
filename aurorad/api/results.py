"""What the API answers: `Response` and every `Result`. Field ids and types: thrift-api sheet (api)."""

from typing import Annotated

from frozendict import frozendict

from aurorad.api.enums import JobUpdatePulseStatus, MaintenanceMode, ResponseCode
from aurorad.api.struct import I32, I64, Id, ThriftStruct, ThriftUnion
from aurorad.api.tasks import JobConfiguration, JobKey, ResourceAggregate, ScheduledTask, TaskConfig
from aurorad.api.updates import JobUpdateDetails, JobUpdateKey, JobUpdateSummary, Range


class JobStats(ThriftStruct, frozen=True, cache_hash=True):
    active_task_count: Annotated[I32, Id(1)] = 0
    finished_task_count: Annotated[I32, Id(2)] = 0
    failed_task_count: Annotated[I32, Id(3)] = 0
    pending_task_count: Annotated[I32, Id(4)] = 0


class JobSummary(ThriftStruct, frozen=True, cache_hash=True):
    job: Annotated[JobConfiguration, Id(1)] = JobConfiguration()
    stats: Annotated[JobStats, Id(2)] = JobStats()
    next_cron_run_ms: Annotated[I64 | None, Id(3, optional=True)] = None


class ConfigGroup(ThriftStruct, frozen=True, cache_hash=True):
    config: Annotated[TaskConfig, Id(1)] = TaskConfig()
    instances: Annotated[frozenset[Range], Id(3)] = frozenset()


class ConfigSummary(ThriftStruct, frozen=True, cache_hash=True):
    key: Annotated[JobKey, Id(1)] = JobKey()
    groups: Annotated[frozenset[ConfigGroup], Id(2)] = frozenset()


class PopulateJobResult(ThriftStruct, frozen=True, cache_hash=True):
    task_config: Annotated[TaskConfig, Id(2)] = TaskConfig()


class GetQuotaResult(ThriftStruct, frozen=True, cache_hash=True):
    quota: Annotated[ResourceAggregate, Id(1)] = ResourceAggregate()
    prod_shared_consumption: Annotated[ResourceAggregate | None, Id(2, optional=True)] = None
    non_prod_shared_consumption: Annotated[ResourceAggregate | None, Id(3, optional=True)] = None
    prod_dedicated_consumption: Annotated[ResourceAggregate | None, Id(4, optional=True)] = None
    non_prod_dedicated_consumption: Annotated[ResourceAggregate | None, Id(5, optional=True)] = None


class ScheduleStatusResult(ThriftStruct, frozen=True, cache_hash=True):
    tasks: Annotated[tuple[ScheduledTask, ...], Id(1)] = ()


class GetJobsResult(ThriftStruct, frozen=True, cache_hash=True):
    configs: Annotated[frozenset[JobConfiguration], Id(1)] = frozenset()


class HostStatus(ThriftStruct, frozen=True, cache_hash=True):
    host: Annotated[str, Id(1)] = ""
    mode: Annotated[MaintenanceMode, Id(2)] = MaintenanceMode.NONE


class RoleSummary(ThriftStruct, frozen=True, cache_hash=True):
    role: Annotated[str, Id(1)] = ""
    job_count: Annotated[I32, Id(2)] = 0
    cron_job_count: Annotated[I32, Id(3)] = 0


class PendingReason(ThriftStruct, frozen=True, cache_hash=True):
    task_id: Annotated[str, Id(1)] = ""
    reason: Annotated[str, Id(2)] = ""


class ListBackupsResult(ThriftStruct, frozen=True, cache_hash=True):
    backups: Annotated[frozenset[str], Id(1)] = frozenset()


class StartMaintenanceResult(ThriftStruct, frozen=True, cache_hash=True):
    statuses: Annotated[frozenset[HostStatus], Id(1)] = frozenset()


class DrainHostsResult(ThriftStruct, frozen=True, cache_hash=True):
    statuses: Annotated[frozenset[HostStatus], Id(1)] = frozenset()


class QueryRecoveryResult(ThriftStruct, frozen=True, cache_hash=True):
    tasks: Annotated[frozenset[ScheduledTask], Id(1)] = frozenset()


class MaintenanceStatusResult(ThriftStruct, frozen=True, cache_hash=True):
    statuses: Annotated[frozenset[HostStatus], Id(1)] = frozenset()


class EndMaintenanceResult(ThriftStruct, frozen=True, cache_hash=True):
    statuses: Annotated[frozenset[HostStatus], Id(1)] = frozenset()


class RoleSummaryResult(ThriftStruct, frozen=True, cache_hash=True):
    summaries: Annotated[frozenset[RoleSummary], Id(1)] = frozenset()


class JobSummaryResult(ThriftStruct, frozen=True, cache_hash=True):
    summaries: Annotated[frozenset[JobSummary], Id(1)] = frozenset()


class ConfigSummaryResult(ThriftStruct, frozen=True, cache_hash=True):
    summary: Annotated[ConfigSummary, Id(1)] = ConfigSummary()


class GetPendingReasonResult(ThriftStruct, frozen=True, cache_hash=True):
    reasons: Annotated[frozenset[PendingReason], Id(1)] = frozenset()


class StartJobUpdateResult(ThriftStruct, frozen=True, cache_hash=True):
    key: Annotated[JobUpdateKey, Id(1)] = JobUpdateKey()
    update_summary: Annotated[JobUpdateSummary | None, Id(2, optional=True)] = None


class GetJobUpdateSummariesResult(ThriftStruct, frozen=True, cache_hash=True):
    update_summaries: Annotated[tuple[JobUpdateSummary, ...], Id(1)] = ()


class GetJobUpdateDetailsResult(ThriftStruct, frozen=True, cache_hash=True):
    details: Annotated[JobUpdateDetails | None, Id(1)] = None
    details_list: Annotated[tuple[JobUpdateDetails, ...] | None, Id(2)] = None
    """Unset in the answer to a key, set in that to a query, even if it found nothing."""


class PulseJobUpdateResult(ThriftStruct, frozen=True, cache_hash=True):
    status: Annotated[JobUpdatePulseStatus, Id(1)] = JobUpdatePulseStatus.OK


class GetJobUpdateDiffResult(ThriftStruct, frozen=True, cache_hash=True):
    add: Annotated[frozenset[ConfigGroup], Id(1)] = frozenset()
    remove: Annotated[frozenset[ConfigGroup], Id(2)] = frozenset()
    update: Annotated[frozenset[ConfigGroup], Id(3)] = frozenset()
    unchanged: Annotated[frozenset[ConfigGroup], Id(4)] = frozenset()


class TierConfig(ThriftStruct, frozen=True, cache_hash=True):
    name: Annotated[str, Id(1)] = ""
    settings: Annotated[frozendict[str, str], Id(2)] = frozendict()


class GetTierConfigResult(ThriftStruct, frozen=True, cache_hash=True):
    default_tier_name: Annotated[str, Id(1)] = ""
    tiers: Annotated[frozenset[TierConfig], Id(2)] = frozenset()


class ServerInfo(ThriftStruct, frozen=True, cache_hash=True):
    cluster_name: Annotated[str, Id(1)] = ""
    stats_url_prefix: Annotated[str, Id(3)] = ""


class ResponseDetail(ThriftStruct, frozen=True, cache_hash=True):
    message: Annotated[str | None, Id(1)] = None


class Result(ThriftUnion, frozen=True, cache_hash=True):
    populate_job_result: Annotated[PopulateJobResult | None, Id(1)] = None
    schedule_status_result: Annotated[ScheduleStatusResult | None, Id(3)] = None
    get_jobs_result: Annotated[GetJobsResult | None, Id(4)] = None
    get_quota_result: Annotated[GetQuotaResult | None, Id(5)] = None
    list_backups_result: Annotated[ListBackupsResult | None, Id(6)] = None
    start_maintenance_result: Annotated[StartMaintenanceResult | None, Id(7)] = None
    drain_hosts_result: Annotated[DrainHostsResult | None, Id(8)] = None
    query_recovery_result: Annotated[QueryRecoveryResult | None, Id(9)] = None
    maintenance_status_result: Annotated[MaintenanceStatusResult | None, Id(10)] = None
    end_maintenance_result: Annotated[EndMaintenanceResult | None, Id(11)] = None
    role_summary_result: Annotated[RoleSummaryResult | None, Id(17)] = None
    job_summary_result: Annotated[JobSummaryResult | None, Id(18)] = None
    config_summary_result: Annotated[ConfigSummaryResult | None, Id(20)] = None
    get_pending_reason_result: Annotated[GetPendingReasonResult | None, Id(21)] = None
    start_job_update_result: Annotated[StartJobUpdateResult | None, Id(22)] = None
    get_job_update_summaries_result: Annotated[GetJobUpdateSummariesResult | None, Id(23)] = None
    get_job_update_details_result: Annotated[GetJobUpdateDetailsResult | None, Id(24)] = None
    pulse_job_update_result: Annotated[PulseJobUpdateResult | None, Id(25)] = None
    get_job_update_diff_result: Annotated[GetJobUpdateDiffResult | None, Id(26)] = None
    get_tier_config_result: Annotated[GetTierConfigResult | None, Id(27)] = None


class Response(ThriftStruct, frozen=True, cache_hash=True):
    response_code: Annotated[ResponseCode, Id(1)] = ResponseCode.OK
    server_info: Annotated[ServerInfo | None, Id(5)] = None
    result: Annotated[Result | None, Id(3, optional=True)] = None
    details: Annotated[tuple[ResponseDetail, ...], Id(6)] = ()
