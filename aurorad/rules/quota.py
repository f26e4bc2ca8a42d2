"""What a role uses, what it may use, and whether more fits (quota-tiers-sla sheet, section 2; thrift-api sheet, 5).

Only CPU, RAM and disk count; ports, GPUs and the executor's overhead do not.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

import msgspec
from frozendict import frozendict

from aurorad.api.enums import ResponseCode
from aurorad.api.ranges import numbers
from aurorad.api.struct import fields_of
from aurorad.api.tasks import JobConfiguration, JobKey, Resource, ResourceAggregate, ScheduledTask, TaskConfig
from aurorad.api.text import render
from aurorad.api.updates import InstanceTaskConfig, JobUpdate, Range
from aurorad.rules.admission import AdmissionError, is_dedicated

_KINDS = frozendict(num_cpus="CPUS", ram_mb="RAM_MB", disk_mb="DISK_MB")
_CENT = Decimal("0.01")
_ALL_DIGITS = Context(prec=400)  # of any float
_MOST_MB = 2**63 - 1  # that an answer can hold
_MOST_CPUS = sys.float_info.max  # a sum of CPUs may be infinite
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


class Running(msgspec.Struct, frozen=True):
    """The ACTIVE tasks of one job."""

    configs: Mapping[TaskConfig, int]
    """Their configurations, with how many have each."""
    tasks: Callable[[], Iterable[ScheduledTask]]
    """Each of them; only a job that is being updated is looked at so closely."""


def running(tasks: Sequence[ScheduledTask]) -> Running:
    return Running(Counter(task.assigned_task.task for task in tasks), lambda: tasks)


class Usage(msgspec.Struct, frozen=True):
    """All that a role runs or will run."""

    jobs: Mapping[JobKey, Running] = {}
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
                Resource(ram_mb=min(amounts.ram_mb, _MOST_MB)),
                Resource(disk_mb=min(amounts.disk_mb, _MOST_MB)),
            }
        )
    )


def consumption(usage: Usage, pool: Pool) -> Amounts:
    """What the role uses of one pool (quota-tiers-sla sheet, section 2.2)."""
    cron_keys = {template.key for template in usage.cron_jobs}
    used = Amounts()
    for job, run in usage.jobs.items():
        if job not in cron_keys:
            used += _outside(usage.updates.get(job), run, pool)
    for update in usage.updates.values():
        used += _update_peak(update, pool)
    for template in usage.cron_jobs:
        run_now = usage.jobs.get(template.key)
        used += _job_total(template, pool).highest(_sum(run_now.configs, pool) if run_now is not None else Amounts())
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


def check_cron(quota: ResourceAggregate | None, usage: Usage, template: JobConfiguration) -> None:
    """Whether `template` fits, in place of the one of its key that there may be. Raises `QuotaExceeded`.

    One that is dedicated counts too, as in the original, although it does not once it is there.
    """
    if not template.task_config.production:
        return
    old = next((job for job in usage.cron_jobs if job.key == template.key), None)
    before = _job_total(old, prod_shared) if old is not None else Amounts()
    _check(quota, consumption(usage, prod_shared) + _job_total(template, lambda _: True) - before)


def check_granted(quota: ResourceAggregate, usage: Usage) -> None:
    """Whether `quota` may be given to the role of `usage` (quota-tiers-sla sheet, 2.1). Raises `AdmissionError`."""
    if len(quota.resources) > len(_KINDS):
        raise AdmissionError("Too many resource values in quota.", ResponseCode.ERROR)
    if {kind for resource in quota.resources for kind in _kinds(resource)} != set(_KINDS):
        raise AdmissionError("Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]", ResponseCode.ERROR)
    granted = total(quota.resources)
    if not math.isfinite(granted.cpus):
        raise AdmissionError(f"CPUs that are no number in: {render(quota)}")
    if min(granted.cpus, granted.ram_mb, granted.disk_mb) < 0:
        raise AdmissionError(f"Negative values in: {render(quota)}")
    used = consumption(usage, prod_shared)
    if _exceeded(used - granted):
        raise AdmissionError(f"Quota: {render(quota)} is less then current prod reservation: {_bag_text(used)}")


def _kinds(resource: Resource) -> list[str]:
    return [field.attribute for field in fields_of(Resource) if getattr(resource, field.attribute) is not None]


def _bag_text(amounts: Amounts) -> str:
    values = (round(amounts.cpus, _PRECISION), amounts.ram_mb, amounts.disk_mb)
    inner = ", ".join(f"{name}={float(value)}" for name, value in zip(_KINDS.values(), values, strict=True))
    return f"ResourceBag{{resourceVectors={{{inner}}}}}"


def _check(quota: ResourceAggregate | None, wanted: Amounts) -> None:
    exceeded = _exceeded(wanted - total(quota.resources if quota is not None else ()))
    if exceeded:
        raise QuotaExceeded(f"Insufficient resource quota: {'; '.join(exceeded)}")


def _exceeded(over: Amounts) -> list[str]:
    """One clause for each resource of which there is too much."""
    return [
        f"{name} quota exceeded by {amount.quantize(_CENT, ROUND_HALF_UP, _ALL_DIGITS):f} {unit}"
        for name, amount, unit in (
            ("CPU", Decimal(str(round(min(over.cpus, _MOST_CPUS), _PRECISION))), "core(s)"),
            ("disk", Decimal(over.disk_mb), "MB"),
            ("RAM", Decimal(over.ram_mb), "MB"),
        )
        if amount > 0
    ]


def _sum(configs: Mapping[TaskConfig, int], pool: Pool) -> Amounts:
    used = Amounts()
    for config, count in configs.items():
        if pool(config):
            used += total(config.resources) * count
    return used


def _outside(update: JobUpdate | None, job: Running, pool: Pool) -> Amounts:
    """Of those tasks that the update does not touch."""
    if update is None:
        return _sum(job.configs, pool)
    touched = _instances(update)
    outside = (task.assigned_task for task in job.tasks() if task.assigned_task.instance_id not in touched)
    return _sum(Counter(assigned.task for assigned in outside), pool)


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
