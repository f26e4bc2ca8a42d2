"""The calls that only look: tasks, jobs, quota, tiers (thrift-api sheet, section 2).

An answer is made in small bites; each task, job or configuration in it is as it was at one moment. That all of it is in
the log by the time it goes out is the dispatcher's care.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from aurorad.api.calls import (
    GetConfigSummary,
    GetJobs,
    GetJobSummary,
    GetPendingReason,
    GetQuota,
    GetRoleSummary,
    GetTasksStatus,
    GetTasksWithoutConfigs,
    GetTierConfigs,
    PopulateJobConfig,
)
from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.results import (
    ConfigGroup,
    ConfigSummary,
    ConfigSummaryResult,
    GetJobsResult,
    GetPendingReasonResult,
    GetQuotaResult,
    GetTierConfigResult,
    JobSummary,
    JobSummaryResult,
    PendingReason,
    PopulateJobResult,
    Response,
    Result,
    RoleSummary,
    RoleSummaryResult,
    ScheduleStatusResult,
    TierConfig,
)
from aurorad.api.tasks import JobConfiguration, JobKey, ScheduledTask, TaskConfig
from aurorad.api.text import thrift_text
from aurorad.pace import Pace
from aurorad.rules import job_diff, quota
from aurorad.rules.admission import AdmissionError, AdmissionLimits, populate
from aurorad.rules.job_summaries import job_configuration, job_stats
from aurorad.rules.tiers import Tiers
from aurorad.scheduler.limits import role_usage
from aurorad.scheduler.rpc.answers import Handlers, Refused, given, given_key, given_text, ok
from aurorad.scheduler.rpc.finding import find, given_query
from aurorad.storage.storage import Storage


def handlers(
    *,
    storage: Storage,
    limits: AdmissionLimits,
    tiers: Tiers,
    reason: Callable[[ScheduledTask], str],
    next_run_ms: Callable[[JobConfiguration], int | None],
) -> Handlers:
    """`reason` says why a PENDING task is, empty if nothing is known yet; `next_run_ms` when a cron job fires."""
    calls = _ReadCalls(storage, limits, tiers, reason, next_run_ms)
    return {
        GetTasksStatus: calls.get_tasks_status,
        GetTasksWithoutConfigs: calls.get_tasks_without_configs,
        GetPendingReason: calls.get_pending_reason,
        GetJobs: calls.get_jobs,
        GetJobSummary: calls.get_job_summary,
        GetRoleSummary: calls.get_role_summary,
        GetConfigSummary: calls.get_config_summary,
        GetQuota: calls.get_quota,
        PopulateJobConfig: calls.populate_job_config,
        GetTierConfigs: calls.get_tier_configs,
    }


class _ReadCalls:
    def __init__(
        self,
        storage: Storage,
        limits: AdmissionLimits,
        tiers: Tiers,
        reason: Callable[[ScheduledTask], str],
        next_run_ms: Callable[[JobConfiguration], int | None],
    ) -> None:
        self._tables = storage.tables
        self._limits = limits
        self._tiers = tiers
        self._reason = reason
        self._next_run_ms = next_run_ms

    async def get_tasks_status(self, call: GetTasksStatus, user: str) -> Response:
        tasks = await find(self._tables, given_query(call.query), lambda task: task)
        return ok(Result(schedule_status_result=ScheduleStatusResult(tuple(tasks))))

    async def get_tasks_without_configs(self, call: GetTasksWithoutConfigs, user: str) -> Response:
        slim = _Slimmer()
        tasks = await find(self._tables, given_query(call.query), slim.task)
        return ok(Result(schedule_status_result=ScheduleStatusResult(tuple(tasks))))

    async def get_pending_reason(self, call: GetPendingReason, user: str) -> Response:
        query = given_query(call.query)
        if query.slave_hosts:
            raise Refused(f"SlaveHosts are not supported in {thrift_text(query)}")
        if query.statuses:
            raise Refused(f"Statuses is not supported in {thrift_text(query)}")
        pending = msgspec.structs.replace(query, statuses=frozenset({ScheduleStatus.PENDING}))
        reasons = await find(
            self._tables, pending, lambda task: PendingReason(task.assigned_task.task_id, self._reason(task))
        )
        return ok(Result(get_pending_reason_result=GetPendingReasonResult(frozenset(reasons))))

    async def get_jobs(self, call: GetJobs, user: str) -> Response:
        configs: dict[JobKey, JobConfiguration] = {}
        pace = Pace()
        role = _role_or_all(call.owner_role)
        for job in self._jobs(role):
            await pace.breathe()
            tasks = self._tables.job_tasks(job, ACTIVE_STATES)
            if tasks:
                configs[job] = job_configuration(job, tasks)
        configs.update(self._cron_jobs(role))
        await _hash_all(configs.values(), pace)
        return ok(Result(get_jobs_result=GetJobsResult(frozenset(configs.values()))))

    async def get_job_summary(self, call: GetJobSummary, user: str) -> Response:
        summaries: list[JobSummary] = []
        role = _role_or_all(call.role)
        cron_jobs = self._cron_jobs(role)
        pace = Pace()
        for job in dict.fromkeys([*self._jobs(role), *cron_jobs]):
            await pace.breathe()
            tasks = self._tables.job_tasks(job)
            template = cron_jobs.get(job)
            if tasks or template is not None:
                config = template if template is not None else job_configuration(job, tasks)
                next_run_ms = self._next_run_ms(template) if template is not None else None
                summaries.append(JobSummary(config, job_stats(tasks), next_run_ms))
        await _hash_all(summaries, pace)
        return ok(Result(job_summary_result=JobSummaryResult(frozenset(summaries))))

    async def get_role_summary(self, call: GetRoleSummary, user: str) -> Response:
        jobs: dict[str, int] = {}
        cron_jobs: dict[str, int] = {}
        for job in self._jobs(None):
            jobs[job.role] = jobs.get(job.role, 0) + 1
        for job in self._cron_jobs(None):
            cron_jobs[job.role] = cron_jobs.get(job.role, 0) + 1
        summaries = frozenset(
            RoleSummary(role, jobs.get(role, 0), cron_jobs.get(role, 0)) for role in jobs.keys() | cron_jobs.keys()
        )
        return ok(Result(role_summary_result=RoleSummaryResult(summaries)))

    async def get_config_summary(self, call: GetConfigSummary, user: str) -> Response:
        job = given_key(call.job)
        configs = job_diff.current_configs(self._tables.job_tasks(job, ACTIVE_STATES))
        await _hash_all(configs.values(), Pace())
        groups = job_diff.by_config(configs)
        summary = ConfigSummary(
            job, frozenset(ConfigGroup(config, job_diff.ranges(ids)) for config, ids in groups.items())
        )
        return ok(Result(config_summary_result=ConfigSummaryResult(summary)))

    async def get_quota(self, call: GetQuota, user: str) -> Response:
        role = given_text(call.owner_role)
        usage = role_usage(self._tables, role)
        assigned = self._tables.quotas.get(role) or quota.aggregate(quota.Amounts())
        pace = Pace()
        used = []
        for pool in (quota.prod_shared, quota.non_prod_shared, quota.prod_dedicated, quota.non_prod_dedicated):
            await pace.breathe()
            used.append(quota.aggregate(quota.consumption(usage, pool)))
        return ok(Result(get_quota_result=GetQuotaResult(assigned, *used)))

    async def populate_job_config(self, call: PopulateJobConfig, user: str) -> Response:
        description = given(call.description, "A job")
        try:
            job = populate(description, self._limits, self._tiers)
        except AdmissionError as error:
            raise Refused(f"Invalid configuration: {error}", error.code) from None
        return ok(Result(populate_job_result=PopulateJobResult(job.task_config)))

    async def get_tier_configs(self, call: GetTierConfigs, user: str) -> Response:
        tiers = frozenset(TierConfig(name, tier.settings) for name, tier in self._tiers.by_name.items())
        return ok(Result(get_tier_config_result=GetTierConfigResult(self._tiers.default, tiers)))

    def _jobs(self, role: str | None) -> list[JobKey]:
        """The jobs with tasks, of one role or of all."""
        return list(self._tables.job_keys()) if role is None else self._tables.role_jobs(role)

    def _cron_jobs(self, role: str | None) -> dict[JobKey, JobConfiguration]:
        return {job: config for job, config in self._tables.cron_jobs.items() if role is None or job.role == role}


def _role_or_all(role: str | None) -> str | None:
    """A blank role means all, as in a task query."""
    return role if role is not None and role.strip() else None


class _Slimmer:
    """Takes the executor's data out of tasks. Instances that shared a configuration share the slim one."""

    def __init__(self) -> None:
        self._slim: dict[int, TaskConfig] = {}  # by identity; the originals live as long as the tasks being answered

    def task(self, task: ScheduledTask) -> ScheduledTask:
        config = task.assigned_task.task
        slim = self._slim.get(id(config))
        if slim is None:
            self._slim[id(config)] = slim = _without_data(config)
        assigned = msgspec.structs.replace(task.assigned_task, task=slim)
        return msgspec.structs.replace(task, assigned_task=assigned)


def _without_data(config: TaskConfig) -> TaskConfig:
    if config.executor_config is None:
        return config
    executor = msgspec.structs.replace(config.executor_config, data=None)
    return msgspec.structs.replace(config, executor_config=executor)


async def _hash_all(values: Iterable[object], pace: Pace) -> None:
    """Values remember their hash, so that the set made of them next takes no time."""
    for value in values:
        await pace.breathe()
        hash(value)
