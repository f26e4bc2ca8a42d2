"""The calls that schedule, start and deschedule cron jobs (thrift-api sheet, section 3; cron sheet, section 4)."""

from __future__ import annotations

from aurorad.api import keys
from aurorad.api.calls import DescheduleCronJob, ReplaceCronTemplate, ScheduleCronJob, StartCronJob
from aurorad.api.enums import ACTIVE_STATES, CronCollisionPolicy, ResponseCode
from aurorad.api.results import Response
from aurorad.api.tasks import JobConfiguration, JobKey
from aurorad.rules import quota
from aurorad.rules.admission import AdmissionLimits, check_instance_count, populate
from aurorad.rules.cron import BadSchedule, EmptyField, parse
from aurorad.rules.tiers import Tiers
from aurorad.scheduler.cron import CronScheduler
from aurorad.scheduler.limits import role_usage
from aurorad.scheduler.rpc.answers import (
    Handlers,
    Refused,
    given_key,
    ok,
    refuse_two_jobs,
    refuse_while_updating,
    rules_refuse,
)
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars


def handlers(*, storage: Storage, cron: CronScheduler, limits: AdmissionLimits, tiers: Tiers, stats: Vars) -> Handlers:
    calls = _CronCalls(storage, cron, limits, tiers, stats)
    return {
        ScheduleCronJob: calls.schedule,
        ReplaceCronTemplate: calls.replace,
        DescheduleCronJob: calls.deschedule,
        StartCronJob: calls.start,
    }


class _CronCalls:
    def __init__(
        self, storage: Storage, cron: CronScheduler, limits: AdmissionLimits, tiers: Tiers, stats: Vars
    ) -> None:
        self._storage = storage
        self._cron = cron
        self._limits = limits
        self._tiers = tiers
        self._stats = stats
        stats.declare("thrift_workload_createOrUpdateCronTemplate")

    async def schedule(self, call: ScheduleCronJob, user: str) -> Response:
        return await self._save(call.description, must_exist=False)

    async def replace(self, call: ReplaceCronTemplate, user: str) -> Response:
        return await self._save(call.config, must_exist=True)

    async def deschedule(self, call: DescheduleCronJob, user: str) -> Response:
        job = given_key(call.job)

        def work(tx: Transaction) -> bool:
            refuse_while_updating(tx.tables, job)
            is_there = job in tx.tables.cron_jobs
            if is_there:
                tx.remove_cron_job(job)
            return is_there

        if await self._storage.write(work):
            return ok()
        return ok(None, f"Job {keys.canonical(job)} is not scheduled with cron")

    async def start(self, call: StartCronJob, user: str) -> Response:
        """Answered once the run has begun, or the kills that it waits for are in the log."""
        job = given_key(call.job)

        def work(tx: Transaction) -> None:
            if job not in tx.tables.cron_jobs:
                raise Refused(f"Failed to start cron job - No cron job found for {keys.canonical(job)}.")
            self._cron.trigger(tx, job)

        await self._storage.write(work)
        return ok()

    async def _save(self, description: JobConfiguration | None, *, must_exist: bool) -> Response:
        key = given_key(description.key if description is not None else None)
        assert description is not None, "it had a key"
        with rules_refuse():
            job = populate(description, self._limits, self._tiers)
        refuse_two_jobs(job)
        if job.cron_schedule is None:
            raise Refused(f"Job {keys.canonical(key)} has no cron schedule")
        await self._storage.write(lambda tx: self._store(tx, key, job, must_exist))
        self._stats.count("thrift_workload_createOrUpdateCronTemplate", job.instance_count)
        return ok()

    def _store(self, tx: Transaction, key: JobKey, job: JobConfiguration, must_exist: bool) -> None:
        refuse_while_updating(tx.tables, key)
        with rules_refuse():
            check_instance_count(job.instance_count, self._limits)
            if job.task_config.production:
                usage = role_usage(tx.tables, key.role)
                quota.check_cron(tx.tables.quotas.get(key.role), usage, job)
        exists = key in tx.tables.cron_jobs
        if not exists and not must_exist and tx.tables.job_tasks(key, ACTIVE_STATES):
            raise Refused(f"Job {keys.canonical(key)} already exists")
        _check_schedule(job)
        if must_exist and not exists:
            raise Refused(f"No cron job found for {keys.canonical(key)}.")
        tx.save_cron_job(job)


def _check_schedule(job: JobConfiguration) -> None:
    try:
        parse(job.cron_schedule or "")
    except EmptyField:
        raise Refused("", ResponseCode.ERROR) from None
    except BadSchedule as bad:
        raise Refused(str(bad)) from None
    if job.cron_collision_policy is CronCollisionPolicy.RUN_OVERLAP:
        raise Refused("The RUN_OVERLAP collision policy has been removed (AURORA-38).")
