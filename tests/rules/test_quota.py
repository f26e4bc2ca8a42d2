"""Consumption and checks of the quota-tiers-sla sheet, section 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api import binary
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
)
from aurorad.api.updates import (
    InstanceTaskConfig,
    JobUpdate,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateSummary,
    Range,
)
from aurorad.rules import quota
from aurorad.rules.admission import AdmissionError
from aurorad.rules.quota import Amounts, QuotaExceeded, Usage
from tests.rules.values import DEDICATED, KEY, but, task

OTHER = JobKey("web", "prod", "other")


_ALL_THREE = "CPU quota exceeded by 0.50 core(s); disk quota exceeded by 6.00 MB; RAM quota exceeded by 3.00 MB"


def sized(cpus: float, ram_mb: int = 0, disk_mb: int = 0, *, job: JobKey = KEY, production: bool = True) -> TaskConfig:
    resources = frozenset(
        {Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb), Resource(named_port="http")}
    )
    return task(job=job, production=production, resources=resources)


def tasks(config: TaskConfig, *instances: int) -> list[ScheduledTask]:
    return [
        ScheduledTask(AssignedTask(f"task-{i}", task=config, instance_id=i), ScheduleStatus.RUNNING) for i in instances
    ]


def group(config: TaskConfig, first: int, last: int) -> InstanceTaskConfig:
    return InstanceTaskConfig(config, frozenset({Range(first, last)}))


def update(*initial: InstanceTaskConfig, desired: InstanceTaskConfig | None, job: JobKey = KEY) -> JobUpdate:
    return JobUpdate(JobUpdateSummary(JobUpdateKey(job, "u")), JobUpdateInstructions(frozenset(initial), desired))


def cron(config: TaskConfig, instances: int) -> JobConfiguration:
    return JobConfiguration(key=config.job, cron_schedule="* * * * *", task_config=config, instance_count=instances)


def usage_of(
    jobs: Mapping[JobKey, list[ScheduledTask]] | None = None,
    cron_jobs: Sequence[JobConfiguration] = (),
    updates: Mapping[JobKey, JobUpdate] | None = None,
) -> Usage:
    return Usage({job: quota.running(active) for job, active in (jobs or {}).items()}, cron_jobs, updates or {})


def used(usage: Usage) -> Amounts:
    return quota.consumption(usage, quota.prod_shared)


def allowed(cpus: float, ram_mb: int, disk_mb: int) -> ResourceAggregate:
    return quota.aggregate(Amounts(cpus, ram_mb, disk_mb))


def test_every_configuration_belongs_to_exactly_one_pool() -> None:
    pools = (quota.prod_shared, quota.non_prod_shared, quota.prod_dedicated, quota.non_prod_dedicated)
    for production in (True, False):
        for constraints in (frozenset(), frozenset({DEDICATED})):
            config = task(production=production, constraints=constraints)
            assert [pool(config) for pool in pools].count(True) == 1
    assert quota.prod_shared(task(production=True))
    assert quota.non_prod_dedicated(task(production=False, constraints=frozenset({DEDICATED})))


def test_nothing_uses_nothing() -> None:
    assert used(usage_of()) == Amounts()


def test_tasks_count_at_their_own_configuration() -> None:
    running = tasks(sized(0.5, 64, 32), 0, 1) + tasks(sized(1.0, 10, 1), 2)
    assert used(usage_of({KEY: running})) == Amounts(2.0, 138, 65)


def test_tasks_of_other_pools_do_not_count() -> None:
    running = tasks(sized(0.5, production=False), 0) + tasks(but(sized(1.0), constraints=frozenset({DEDICATED})), 1)
    assert used(usage_of({KEY: running})) == Amounts()
    assert quota.consumption(usage_of({KEY: running}), quota.non_prod_shared) == Amounts(0.5)
    assert quota.consumption(usage_of({KEY: running}), quota.prod_dedicated) == Amounts(1.0)


def test_an_update_counts_the_larger_of_before_and_after_by_resource_and_its_instances_no_more() -> None:
    old, new = sized(2.0, 10, 5), sized(1.0, 40, 5)
    changing = update(group(old, 0, 1), desired=group(new, 0, 2))
    running = tasks(old, 0, 1) + tasks(old, 7)  # instance 7 is none of the update's
    assert used(usage_of({KEY: running}, updates={KEY: changing})) == Amounts(4.0 + 2.0, 120 + 10, 15 + 5)


def test_an_update_that_only_removes_counts_what_it_removes() -> None:
    old = sized(2.0)
    usage = usage_of({KEY: tasks(old, 0, 1, 2)}, updates={KEY: update(group(old, 1, 2), desired=None)})
    assert used(usage) == Amounts(6.0)


def test_an_update_from_one_pool_to_another_counts_in_each_at_that_side() -> None:
    changing = update(group(sized(1.0, production=False), 0, 0), desired=group(sized(3.0), 0, 0))
    usage = usage_of(updates={KEY: changing})
    assert used(usage) == Amounts(3.0)
    assert quota.consumption(usage, quota.non_prod_shared) == Amounts(1.0)


def test_a_cron_job_counts_the_larger_of_template_and_run_by_resource() -> None:
    template = cron(sized(1.0, 10, job=OTHER), 2)
    run = tasks(sized(0.5, 100, job=OTHER), 0)
    assert used(usage_of({OTHER: run, KEY: tasks(sized(1.0), 0)}, [template])) == Amounts(2.0 + 1.0, 100, 0)


@pytest.mark.parametrize(
    ("have", "wanted", "instances", "text"),
    [
        ((1.0, 100, 100), (1.0, 100, 100), 1, None),
        ((1.0, 9, 9), (0.5, 4, 5), 3, _ALL_THREE),
        ((3.0, 0, 0), (1.0, 1024, 0), 1, "RAM quota exceeded by 1024.00 MB"),
        ((3.0, 9, 0), (1.0, 9, 1), 1, "disk quota exceeded by 1.00 MB"),
        ((0.3, 0, 0), (0.1, 0, 0), 3, None),  # though 3 x 0.1 is more than 0.3 in binary
        ((0.0, 0, 0), (0.125, 0, 0), 1, "CPU quota exceeded by 0.13 core(s)"),
        ((0.0, 0, 0), (1e300, 0, 0), 1, f"CPU quota exceeded by 1{300 * '0'}.00 core(s)"),
        ((0.0, 0, 0), (1e308, 0, 0), 2, f"CPU quota exceeded by 17976931348623157{292 * '0'}.00 core(s)"),
    ],
)  # fmt: skip
def test_instances_fit_up_to_the_quota(
    have: tuple[float, int, int], wanted: tuple[float, int, int], instances: int, text: str | None
) -> None:
    if text is None:
        quota.check_create(allowed(*have), usage_of(), sized(*wanted), instances)
        return
    with pytest.raises(QuotaExceeded) as refused:
        quota.check_create(allowed(*have), usage_of(), sized(*wanted), instances)
    assert str(refused.value) == f"Insufficient resource quota: {text}"


def test_a_role_without_quota_may_run_no_production_task_but_any_other() -> None:
    with pytest.raises(QuotaExceeded):
        quota.check_create(None, usage_of(), sized(0.5), 1)
    quota.check_create(None, usage_of(), sized(0.5, production=False), 1000)
    quota.check_create(None, usage_of(), but(sized(0.5), constraints=frozenset({DEDICATED})), 1000)


def test_what_runs_already_leaves_less_room() -> None:
    usage = usage_of(
        {KEY: tasks(sized(1.0), 0, 1)}, updates={OTHER: update(desired=group(sized(1.0, job=OTHER), 0, 0), job=OTHER)}
    )
    quota.check_create(allowed(4.0, 0, 0), usage, sized(1.0), 1)
    with pytest.raises(QuotaExceeded, match=r"CPU quota exceeded by 1\.00 core"):
        quota.check_create(allowed(4.0, 0, 0), usage, sized(1.0), 2)


def test_an_update_must_fit_while_it_runs() -> None:
    old, new = sized(0.5), sized(1.0)
    usage = usage_of({KEY: tasks(old, 0, 1)})
    growing = update(group(old, 0, 1), desired=group(new, 0, 2))
    quota.check_update(allowed(3.0, 0, 0), usage, growing)
    with pytest.raises(QuotaExceeded, match=r"^Insufficient resource quota: CPU quota exceeded by 0\.50 core\(s\)$"):
        quota.check_update(allowed(2.5, 0, 0), usage, growing)


def test_an_update_takes_the_place_of_the_one_its_job_has() -> None:
    usage = usage_of(updates={KEY: update(desired=group(sized(9.0), 0, 9))})
    quota.check_update(allowed(1.0, 0, 0), usage, update(desired=group(sized(1.0), 0, 0)))


def test_updates_that_remove_or_leave_production_are_not_checked() -> None:
    old = sized(9.0)
    usage = usage_of({KEY: tasks(old, 0)})
    quota.check_update(None, usage, update(group(old, 0, 0), desired=None))
    quota.check_update(None, usage, update(group(old, 0, 0), desired=group(but(old, production=False), 0, 0)))


def test_a_cron_job_must_fit_with_all_its_instances() -> None:
    quota.check_cron(allowed(2.0, 0, 0), usage_of(), cron(sized(1.0), 2))
    with pytest.raises(QuotaExceeded, match=r"CPU quota exceeded by 1\.00 core"):
        quota.check_cron(allowed(2.0, 0, 0), usage_of(), cron(sized(1.0), 3))


def test_a_cron_job_takes_the_place_of_the_one_before() -> None:
    usage = usage_of(cron_jobs=[cron(sized(1.0), 2), cron(sized(1.0, job=OTHER), 1)])
    quota.check_cron(allowed(3.0, 0, 0), usage, cron(sized(0.5), 4))
    with pytest.raises(QuotaExceeded, match=r"CPU quota exceeded by 1\.00 core"):
        quota.check_cron(allowed(3.0, 0, 0), usage, cron(sized(1.0), 3))


def test_a_cron_job_that_becomes_production_needs_all_its_room() -> None:
    usage = usage_of(cron_jobs=[cron(sized(1.0, production=False), 2)])
    with pytest.raises(QuotaExceeded, match=r"CPU quota exceeded by 2\.00 core"):
        quota.check_cron(None, usage, cron(sized(1.0), 2))


def test_cron_jobs_outside_production_are_not_checked_but_dedicated_ones_are() -> None:
    quota.check_cron(None, usage_of(), cron(sized(9.0, production=False), 9))
    with pytest.raises(QuotaExceeded):
        quota.check_cron(None, usage_of(), cron(but(sized(1.0), constraints=frozenset({DEDICATED})), 1))


def resources(*given: Resource) -> ResourceAggregate:
    return ResourceAggregate(frozenset(given))


_NOT_THE_THREE = "Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]"


@pytest.mark.parametrize(
    ("granted", "text"),
    [
        (resources(), _NOT_THE_THREE),
        (resources(Resource(num_cpus=1.0), Resource(ram_mb=1)), _NOT_THE_THREE),
        (resources(Resource(num_cpus=1.0), Resource(num_cpus=2.0), Resource(ram_mb=1)), _NOT_THE_THREE),
        (resources(Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(named_port="x")), _NOT_THE_THREE),
        (resources(Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(num_gpus=1)), _NOT_THE_THREE),
        (
            resources(Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(disk_mb=1), Resource(num_gpus=1)),
            "Too many resource values in quota.",
        ),
    ],
)
def test_a_quota_names_exactly_cpu_ram_and_disk(granted: ResourceAggregate, text: str) -> None:
    with pytest.raises(AdmissionError) as refused:
        quota.check_granted(granted, usage_of())
    assert str(refused.value) == text
    assert refused.value.code is ResponseCode.ERROR


@pytest.mark.parametrize(
    ("granted", "text"),
    [
        (allowed(-4.0, 1, 1), "Negative values in: IResourceAggregate{resources=["),
        (allowed(1.0, -1, 1), "Negative values in: IResourceAggregate{resources=["),
        (allowed(1.0, 1, -1), "Negative values in: IResourceAggregate{resources=["),
        (allowed(float("nan"), 1, 1), "CPUs that are no number in: IResourceAggregate{resources=["),
        (allowed(float("inf"), 1, 1), "CPUs that are no number in: IResourceAggregate{resources=["),
    ],
)
def test_a_quota_is_made_of_amounts(granted: ResourceAggregate, text: str) -> None:
    with pytest.raises(AdmissionError) as refused:
        quota.check_granted(granted, usage_of())
    assert str(refused.value).startswith(text)
    assert refused.value.code is ResponseCode.INVALID_REQUEST


def test_a_quota_may_not_be_less_than_what_is_used_of_it() -> None:
    usage = usage_of({KEY: tasks(sized(0.1, 64, 32), 0, 1, 2)})
    quota.check_granted(allowed(0.3, 192, 96), usage)
    with pytest.raises(AdmissionError) as refused:
        quota.check_granted(allowed(0.3, 191, 96), usage)
    assert str(refused.value).startswith("Quota: IResourceAggregate{resources=[IResource{setField=")
    assert str(refused.value).endswith(
        "]} is less then current prod reservation: ResourceBag{resourceVectors={CPUS=0.3, RAM_MB=192.0, DISK_MB=96.0}}"
    )


def test_an_aggregate_of_more_than_there_are_numbers_can_be_answered() -> None:
    answered = quota.aggregate(Amounts(1.0, 2**63, 2**64))
    assert binary.decode(ResourceAggregate, binary.encode(answered)) == answered


def test_an_aggregate_holds_one_of_each_that_counts() -> None:
    assert quota.aggregate(Amounts(0.1 + 0.2, 2, 3)).resources == {
        Resource(num_cpus=0.3),
        Resource(ram_mb=2),
        Resource(disk_mb=3),
    }


counts = st.integers(0, 5)


@given(counts, counts, counts)
def test_a_job_that_was_let_in_is_within_quota_afterwards(limit: int, running: int, more: int) -> None:
    config = sized(1.0, 10, 10)
    have = allowed(limit, 10 * limit, 10 * limit)
    before = usage_of({KEY: tasks(config, *range(running))})
    fits = running + more <= limit
    try:
        quota.check_create(have, before, config, more)
    except QuotaExceeded:
        assert not fits
    else:
        assert fits
        after = usage_of({KEY: tasks(config, *range(running + more))})
        quota.check_create(have, after, config, 0)


@given(st.lists(st.tuples(st.floats(0.1, 8), st.integers(1, 9)), max_size=5), st.integers(0, 4))
def test_an_update_never_counts_less_than_either_side(sizes: list[tuple[float, int]], last: int) -> None:
    old = [group(sized(cpus, ram), i, i) for i, (cpus, ram) in enumerate(sizes)]
    new = group(sized(2.0, 4), 0, last)
    peak = used(usage_of(updates={KEY: update(*old, desired=new)}))
    before = used(usage_of({KEY: [t for i, g in enumerate(old) for t in tasks(g.task, i)]}))
    after = used(usage_of({KEY: tasks(new.task, *range(last + 1))}))
    assert peak.highest(before).highest(after).ram_mb == peak.ram_mb
    assert peak.cpus >= max(before.cpus, after.cpus) - 1e-9
