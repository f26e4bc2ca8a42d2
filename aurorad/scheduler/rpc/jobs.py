"""The calls that create, change and end the tasks of a job (thrift-api sheet, section 3).

Each makes its checks inside the write that acts on them, so that of two that exclude each other one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from aurorad.api import keys
from aurorad.api.calls import AddInstances, CreateJob, KillTasks, RestartShards
from aurorad.api.enums import ACTIVE_STATES, ResponseCode, ScheduleStatus
from aurorad.api.results import Response
from aurorad.api.tasks import JobConfiguration, JobKey, ScheduledTask, TaskConfig
from aurorad.rules import quota
from aurorad.rules.admission import AdmissionLimits, check_instance_count, populate
from aurorad.rules.task_states import StateChangeResult
from aurorad.rules.tiers import Tiers
from aurorad.scheduler.limits import role_usage
from aurorad.scheduler.rpc.answers import (
    Handlers,
    Refused,
    given,
    given_key,
    ok,
    refuse_two_jobs,
    refuse_while_updating,
    rules_refuse,
)
from aurorad.scheduler.state import InstanceIdCollision, StateManager
from aurorad.storage.operations import NewTasks
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_LARGE = 2000
"""Instances from which on making the records of a job takes milliseconds."""


def handlers(*, storage: Storage, state: StateManager, limits: AdmissionLimits, tiers: Tiers, stats: Vars) -> Handlers:
    calls = JobCalls(storage, state, limits, tiers, stats)
    return {
        CreateJob: calls.create_job,
        AddInstances: calls.add_instances,
        KillTasks: calls.kill_tasks,
        RestartShards: calls.restart_shards,
    }


class JobCalls:
    def __init__(
        self, storage: Storage, state: StateManager, limits: AdmissionLimits, tiers: Tiers, stats: Vars
    ) -> None:
        self._storage = storage
        self._state = state
        self._limits = limits
        self._preparing = trio.Lock()  # one large job at a time, lest all of them together hold up everybody else
        self._tiers = tiers
        self._stats = stats
        stats.declare(*(f"thrift_workload_{m}" for m in ("createJob", "addInstances", "killTasks", "restartShards")))

    async def create_job(self, call: CreateJob, user: str) -> Response:
        job = self.admitted(call)
        new = await self._prepared(job)
        await self._storage.write(lambda tx: self.create(tx, job, new))
        self._stats.count("thrift_workload_createJob", job.instance_count)
        return ok()

    def admitted(self, call: CreateJob) -> JobConfiguration:
        """The job to create, filled in. Raises `Refused`."""
        description = given(call.description, "A job")
        with rules_refuse():
            job = populate(description, self._limits, self._tiers)
        refuse_two_jobs(job)
        if job.cron_schedule is not None:
            raise Refused("Cron jobs may only be created/updated by calling scheduleCronJob.")
        return job

    async def _prepared(self, job: JobConfiguration) -> NewTasks | None:
        """The tasks of a large job, made before the write that may insert them; None if the write can do that."""
        if not _LARGE <= job.instance_count <= self._limits.max_tasks_per_job:
            return None
        async with self._preparing:
            return await self._state.prepare_pending(job.task_config, range(job.instance_count))

    def create(self, tx: Transaction, job: JobConfiguration, new: NewTasks | None = None) -> None:
        refuse_while_updating(tx.tables, job.key)
        if job.key in tx.tables.cron_jobs or tx.tables.job_tasks(job.key, ACTIVE_STATES):
            raise Refused(f"Job {keys.canonical(job.key)} already exists")
        self._add(tx, job.task_config, range(job.instance_count), job.instance_count, new)

    async def add_instances(self, call: AddInstances, user: str) -> Response:
        job = given_key(call.key.job_key if call.key is not None else None)
        template = call.key.instance_id if call.key is not None else 0
        if call.count <= 0:
            raise Refused("Instance count must be positive.")
        await self._storage.write(lambda tx: self._add_like(tx, job, template, call.count))
        self._stats.count("thrift_workload_addInstances", call.count)
        return ok()

    def _add_like(self, tx: Transaction, job: JobKey, instance_id: int, count: int) -> None:
        """Add `count` instances configured like `instance_id`, above the highest there is; gaps stay."""
        if job in tx.tables.cron_jobs:
            raise Refused("Instances may not be added to cron jobs.")
        refuse_while_updating(tx.tables, job)
        active = {task.assigned_task.instance_id: task for task in tx.tables.job_tasks(job, ACTIVE_STATES)}
        if instance_id not in active:
            raise Refused("No active task found for a given instance ID.")
        first = max(active) + 1
        config = active[instance_id].assigned_task.task
        self._add(tx, config, range(first, first + count), len(active) + count)

    def _add(
        self, tx: Transaction, config: TaskConfig, instance_ids: range, job_size: int, new: NewTasks | None = None
    ) -> None:
        role = config.job.role
        with rules_refuse():
            check_instance_count(job_size, self._limits)
            if quota.prod_shared(config):
                usage = role_usage(tx.tables, role)
                quota.check_create(tx.tables.quotas.get(role), usage, config, len(instance_ids))
        try:
            if new is not None:
                self._state.insert_prepared(tx, new)
            else:
                self._state.insert_pending(tx, config, instance_ids)
        except InstanceIdCollision as collision:
            raise Refused(str(collision)) from None

    async def kill_tasks(self, call: KillTasks, user: str) -> Response:
        job = given_key(call.job)
        message = f"Killed by {user}" + (f".\n{call.message}" if call.message is not None else "")

        def kill(tx: Transaction) -> int:
            refuse_while_updating(tx.tables, job)
            wanted = [task for task in tx.tables.job_tasks(job, ACTIVE_STATES) if _is_meant(task, call.instances)]
            return self._change_all(tx, wanted, ScheduleStatus.KILLING, message)

        killed = await self._storage.write(kill)
        self._stats.count("thrift_workload_killTasks", killed)
        return ok() if killed else ok(None, "No tasks to kill.")

    async def restart_shards(self, call: RestartShards, user: str) -> Response:
        job = given_key(call.job)
        if not call.shard_ids:
            raise Refused("Argument cannot be blank", ResponseCode.ERROR)

        def restart(tx: Transaction) -> None:
            refuse_while_updating(tx.tables, job)
            wanted = [task for task in tx.tables.job_tasks(job, ACTIVE_STATES) if _is_meant(task, call.shard_ids)]
            if len(wanted) != len(call.shard_ids):
                raise Refused("Not all requested shards are active.")
            self._change_all(tx, wanted, ScheduleStatus.RESTARTING, f"Restarted by {user}")

        await self._storage.write(restart)
        self._stats.count("thrift_workload_restartShards", len(call.shard_ids))
        return ok()

    def _change_all(self, tx: Transaction, tasks: Iterable[ScheduledTask], target: ScheduleStatus, message: str) -> int:
        """How many of the changes were accepted."""
        results = [self._state.change_state(tx, task.assigned_task.task_id, target, message) for task in tasks]
        return results.count(StateChangeResult.SUCCESS)


def _is_meant(task: ScheduledTask, instances: frozenset[int]) -> bool:
    """No instances named means all of them."""
    return not instances or task.assigned_task.instance_id in instances
