"""What a role uses, what it may use, and whether more fits (quota-tiers-sla sheet, section 2; thrift-api sheet, 5).

Only CPU, RAM and disk count; ports, GPUs and the executor's overhead do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from aurorad.api.ranges import numbers
from aurorad.api.tasks import JobConfiguration, JobKey, Resource, ResourceAggregate, ScheduledTask, TaskConfig
from aurorad.api.updates import InstanceTaskConfig, JobUpdate, Range
from aurorad.rules.admission import is_dedicated

_PRECISION = 3  # decimals of a CPU count that mean anything, so that 3 x 0.1 fits into 0.3


class QuotaExceeded(ValueError):
    """More than the role's quota; the text, one clause per resource, is for the sender of the request."""


class Amounts(msgspec.Struct, frozen=True):
    """What counts against quota, of one task, one job or one role."""

    cpus: float = 0.0
    ram_mb: int = 0
    disk_mb: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.cpus + other.cpus, self.ram_mb + other.ram_mb, self.disk_mb + other.disk_mb)

    def __sub__(self, other: Amounts) -> Amounts:
        return self + other * -1

    def __mul__(self, count: int) -> Amounts:
        return Amounts(self.cpus * count, self.ram_mb * count, self.disk_mb * count)

    def highest(self, other: Amounts) -> Amounts:
        """The larger of each kind."""
        return Amounts(max(self.cpus, other.cpus), max(self.ram_mb, other.ram_mb), max(self.disk_mb, other.disk_mb))


Pool = Callable[[TaskConfig], bool]


def prod_shared(config: TaskConfig) -> bool:
    """The one pool that quota limits."""
    return config.production and not is_dedicated(config)


def non_prod_shared(config: TaskConfig) -> bool:
    return not config.production and not is_dedicated(config)


def prod_dedicated(config: TaskConfig) -> bool:
    return config.production and is_dedicated(config)


def non_prod_dedicated(config: TaskConfig) -> bool:
    return not config.production and is_dedicated(config)


class Usage(msgspec.Struct, frozen=True):
    """All that a role runs or will run."""

    tasks: Mapping[JobKey, Sequence[ScheduledTask]] = {}
    """Its ACTIVE tasks, by job."""
    cron_jobs: Sequence[JobConfiguration] = ()
    updates: Mapping[JobKey, JobUpdate] = {}
    """Its active updates, one per job."""


def total(resources: Iterable[Resource]) -> Amounts:
    cpus, ram_mb, disk_mb = 0.0, 0, 0
    for resource in resources:
        cpus += resource.num_cpus or 0.0
        ram_mb += resource.ram_mb or 0
        disk_mb += resource.disk_mb or 0
    return Amounts(cpus, ram_mb, disk_mb)


def aggregate(amounts: Amounts) -> ResourceAggregate:
    """As getQuota answers it: exactly one each of CPU, RAM and disk."""
    return ResourceAggregate(
        frozenset(
            {
                Resource(num_cpus=round(amounts.cpus, _PRECISION)),
                Resource(ram_mb=amounts.ram_mb),
                Resource(disk_mb=amounts.disk_mb),
            }
        )
    )


def consumption(usage: Usage, pool: Pool) -> Amounts:
    """What the role uses of one pool (quota-tiers-sla sheet, section 2.2)."""
    cron_keys = {template.key for template in usage.cron_jobs}
    used = Amounts()
    for job, tasks in usage.tasks.items():
        if job not in cron_keys:
            used += _tasks_outside(usage.updates.get(job), tasks, pool)
    for update in usage.updates.values():
        used += _update_peak(update, pool)
    for template in usage.cron_jobs:
        running = _sum((task.assigned_task.task for task in usage.tasks.get(template.key, ())), pool)
        used += _job_total(template, pool).highest(running)
    return used


def check_create(quota: ResourceAggregate | None, usage: Usage, config: TaskConfig, instance_count: int) -> None:
    """Whether that many more instances fit (createJob, addInstances). Raises `QuotaExceeded`."""
    if prod_shared(config):
        _check(quota, consumption(usage, prod_shared) + total(config.resources) * instance_count)


def check_update(quota: ResourceAggregate | None, usage: Usage, update: JobUpdate) -> None:
    """Whether the role's jobs fit while `update` runs (startJobUpdate). Raises `QuotaExceeded`.

    `usage` is as things are now; `update` takes the place of any other update of its job.
    """
    desired = update.instructions.desired_state
    if desired is not None and prod_shared(desired.task):
        mixed = {**usage.updates, update.summary.key.job: update}
        _check(quota, consumption(msgspec.structs.replace(usage, updates=mixed), prod_shared))


def _check(quota: ResourceAggregate | None, wanted: Amounts) -> None:
    over = wanted - total(quota.resources if quota is not None else ())
    exceeded = [
        f"{name} quota exceeded by {amount:.2f} {unit}"
        for name, amount, unit in (
            ("CPU", round(over.cpus, _PRECISION), "core(s)"),
            ("disk", over.disk_mb, "MB"),
            ("RAM", over.ram_mb, "MB"),
        )
        if amount > 0
    ]
    if exceeded:
        raise QuotaExceeded(f"Insufficient resource quota: {'; '.join(exceeded)}")


def _sum(configs: Iterable[TaskConfig], pool: Pool) -> Amounts:
    seen: dict[int, TaskConfig] = {}  # by identity: instances of a job share their configuration, so look at it once
    counts: dict[int, int] = {}
    for config in configs:
        counts[id(config)] = counts.get(id(config), 0) + 1
        seen[id(config)] = config
    used = Amounts()
    for identity, config in seen.items():
        if pool(config):
            used += total(config.resources) * counts[identity]
    return used


def _tasks_outside(update: JobUpdate | None, tasks: Sequence[ScheduledTask], pool: Pool) -> Amounts:
    """Of those tasks that the update does not touch."""
    touched = _instances(update) if update is not None else set()
    return _sum((t.assigned_task.task for t in tasks if t.assigned_task.instance_id not in touched), pool)


def _instances(update: JobUpdate) -> set[int]:
    """Every instance that the update starts from or leads to."""
    instructions = update.instructions
    groups = [*instructions.initial_state, *([instructions.desired_state] if instructions.desired_state else [])]
    return {i for group in groups for i in numbers(group.instances)}


def _update_peak(update: JobUpdate, pool: Pool) -> Amounts:
    initial = Amounts()
    for group in update.instructions.initial_state:
        initial += _group_total(group, pool)
    desired = update.instructions.desired_state
    return initial.highest(_group_total(desired, pool)) if desired is not None else initial


def _group_total(group: InstanceTaskConfig, pool: Pool) -> Amounts:
    return total(group.task.resources) * _count(group.instances) if pool(group.task) else Amounts()


def _count(ranges: Iterable[Range]) -> int:
    return sum(r.last - r.first + 1 for r in ranges)


def _job_total(job: JobConfiguration, pool: Pool) -> Amounts:
    return total(job.task_config.resources) * job.instance_count if pool(job.task_config) else Amounts()
