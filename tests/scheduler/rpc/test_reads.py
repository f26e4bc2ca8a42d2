"""Read calls against the thrift-api sheet, section 2."""

from __future__ import annotations

import pytest
from frozendict import frozendict

from aurorad.api.calls import (
    Call,
    GetConfigSummary,
    GetJobs,
    GetJobSummary,
    GetPendingReason,
    GetQuota,
    GetRoleSummary,
    GetTasksStatus,
    GetTasksWithoutConfigs,
    GetTierConfigs,
    KillTasks,
    PopulateJobConfig,
)
from aurorad.api.enums import CronCollisionPolicy, ResponseCode, ScheduleStatus
from aurorad.api.results import (
    GetQuotaResult,
    JobStats,
    JobSummary,
    PendingReason,
    RoleSummary,
    TierConfig,
)
from aurorad.api.tasks import (
    Container,
    DockerContainer,
    ExecutorConfig,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    ScheduledTask,
    TaskQuery,
)
from aurorad.api.updates import Range
from aurorad.scheduler.rpc import finding
from tests.scheduler.rpc.conftest import RESOURCES, Scheduler, a_job, a_task, message

JOB = JobKey("www", "prod", "hello")
OTHER = JobKey("www", "devel", "other")
CRON = JobConfiguration(
    key=JobKey("ads", "prod", "nightly"),
    cron_schedule="0 0 * * *",
    cron_collision_policy=CronCollisionPolicy.CANCEL_NEW,
    task_config=a_task(job=JobKey("ads", "prod", "nightly"), is_service=False),
    instance_count=3,
)


async def found(scheduler: Scheduler, query: TaskQuery) -> tuple[ScheduledTask, ...]:
    result = (await scheduler.result(GetTasksStatus(query))).schedule_status_result
    assert result is not None
    return result.tasks


async def refused(scheduler: Scheduler, call: Call) -> tuple[str, str | None]:
    response = await scheduler.call(call)
    assert response.result is None
    return response.response_code.name, message(response)


async def test_tasks_are_found_by_any_field_of_the_query(scheduler: Scheduler) -> None:
    await scheduler.create(2)
    await scheduler.create(1, key=OTHER)
    await scheduler.run_all(JOB)
    everything = await found(scheduler, TaskQuery())
    assert len(everything) == 3
    one = scheduler.tasks(JOB)[0]
    for query, number in (
        (TaskQuery(role="www"), 3),
        (TaskQuery(role=" "), 3),
        (TaskQuery(role="nosuch"), 0),
        (TaskQuery(role="a b"), 0),
        (TaskQuery(environment="prod"), 2),
        (TaskQuery(environment=""), 0),
        (TaskQuery(job_name="other"), 1),
        (TaskQuery(role="www", environment="prod", job_name="hello"), 2),
        (TaskQuery(job_keys=frozenset({JOB, OTHER})), 3),
        (TaskQuery(role="ads", job_keys=frozenset({JOB})), 0),
        (TaskQuery(task_ids=frozenset({one.assigned_task.task_id, "nosuch"})), 1),
        (TaskQuery(role="ads", task_ids=frozenset({one.assigned_task.task_id})), 0),
        (TaskQuery(statuses=frozenset({ScheduleStatus.RUNNING})), 2),
        (TaskQuery(statuses=frozenset({99})), 0),  # type: ignore[arg-type]  # a number that no status has
        (TaskQuery(slave_hosts=frozenset({"host-1"})), 2),
        (TaskQuery(instance_ids=frozenset({1})), 1),
    ):
        assert len(await found(scheduler, query)) == number, query


@pytest.mark.parametrize("at_once", [1, 2, 100])
async def test_offset_and_limit_cut_a_piece_out_of_the_answer(
    scheduler: Scheduler, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_LOOKED_AT_ONCE", at_once)
    await scheduler.create(5)
    everything = await found(scheduler, TaskQuery(role="www"))
    for offset, limit in ((0, 2), (2, 2), (4, 2), (9, 2), (3, 0), (-1, -1)):
        expected = everything[max(offset, 0) :][: limit if limit > 0 else None]
        assert await found(scheduler, TaskQuery(role="www", offset=offset, limit=limit)) == expected


@pytest.mark.parametrize("kind", [GetTasksStatus, GetTasksWithoutConfigs])
@pytest.mark.parametrize(
    ("query", "text"),
    [
        (None, "A task query was expected."),
        (TaskQuery(role="a b", environment="prod", job_name="x"), None),
        (
            TaskQuery(job_keys=frozenset({JobKey("www", "prod", "a b")})),
            "Invalid job key format: IJobKey{role=www, environment=prod, name=a b}",
        ),
    ],
)
async def test_a_query_that_is_none_is_an_error(
    scheduler: Scheduler,
    kind: type[GetTasksStatus] | type[GetTasksWithoutConfigs],
    query: TaskQuery | None,
    text: str | None,
) -> None:
    assert await refused(scheduler, kind(query)) == ("ERROR", text)


async def test_tasks_without_configs_lack_only_the_executors_data(scheduler: Scheduler) -> None:
    await scheduler.create(2)
    result = (await scheduler.result(GetTasksWithoutConfigs(TaskQuery(role="www")))).schedule_status_result
    assert result is not None
    for task in result.tasks:
        assert task.assigned_task.task == a_task(executor_config=ExecutorConfig("AuroraExecutor", None))
    assert len({id(task.assigned_task.task) for task in result.tasks}) == 1


async def test_tasks_without_an_executor_are_answered_like_all_others(scheduler: Scheduler) -> None:
    config = a_task(executor_config=None, container=Container(docker=DockerContainer("img")))
    await scheduler.storage.write(lambda tx: scheduler.state.insert_pending(tx, config, [0]))
    result = (await scheduler.result(GetTasksWithoutConfigs(TaskQuery()))).schedule_status_result
    assert result is not None
    assert [task.assigned_task.task for task in result.tasks] == [config]


async def test_pending_reasons_are_those_of_pending_tasks(scheduler: Scheduler) -> None:
    await scheduler.create(2)
    await scheduler.create(1, key=OTHER)
    await scheduler.run_all(OTHER)
    first, second = (task.assigned_task.task_id for task in scheduler.tasks(JOB))
    scheduler.reasons[first] = "Insufficient: CPU,Insufficient: RAM"
    result = (await scheduler.result(GetPendingReason(TaskQuery(role="www")))).get_pending_reason_result
    assert result is not None
    assert result.reasons == {PendingReason(first, "Insufficient: CPU,Insufficient: RAM"), PendingReason(second, "")}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (None, ("ERROR", "A task query was expected.")),
        (
            TaskQuery(role="www", statuses=frozenset({ScheduleStatus.PENDING})),
            ("INVALID_REQUEST", "Statuses is not supported in TaskQuery(role:www, statuses:[PENDING])"),
        ),
        (
            TaskQuery(slave_hosts=frozenset({"host-1"})),
            ("INVALID_REQUEST", "SlaveHosts are not supported in TaskQuery(slaveHosts:[host-1])"),
        ),
    ],
)
async def test_pending_reasons_are_not_asked_by_status_or_host(
    scheduler: Scheduler, query: TaskQuery | None, answer: tuple[str, str | None]
) -> None:
    assert await refused(scheduler, GetPendingReason(query)) == answer


async def test_jobs_are_those_with_active_tasks_and_the_cron_templates(scheduler: Scheduler) -> None:
    await scheduler.create(3)
    await scheduler.create(2, key=OTHER)
    await scheduler.run_all(OTHER)
    await scheduler.move(OTHER, ScheduleStatus.KILLING, ScheduleStatus.KILLED)
    await scheduler.call(KillTasks(JOB, frozenset({1})))
    await scheduler.storage.write(lambda tx: tx.save_cron_job(CRON))
    hello = a_job(2)
    for role, expected in (
        (None, {hello, CRON}),
        (" ", {hello, CRON}),
        ("www", {hello}),
        ("ads", {CRON}),
        ("nosuch", set()),
    ):
        result = (await scheduler.result(GetJobs(role))).get_jobs_result
        assert result is not None
        assert result.configs == expected


async def test_job_summaries_count_every_task_ever_stored(scheduler: Scheduler) -> None:
    await scheduler.create(2)
    await scheduler.run_all(JOB)
    await scheduler.move(JOB, ScheduleStatus.KILLING, ScheduleStatus.KILLED)
    scheduler.now_ms += 1
    await scheduler.create(1, priority=7)
    await scheduler.storage.write(lambda tx: tx.save_cron_job(CRON))
    result = (await scheduler.result(GetJobSummary())).job_summary_result
    assert result is not None
    assert result.summaries == {
        JobSummary(a_job(3, priority=7), JobStats(finished_task_count=2, pending_task_count=1)),
        JobSummary(CRON, JobStats(), next_cron_run_ms=24 * 3600 * 1000),
    }
    none = (await scheduler.result(GetJobSummary("nosuch"))).job_summary_result
    assert none is not None
    assert none.summaries == frozenset()


async def test_roles_are_summed_up_by_jobs_and_cron_jobs(scheduler: Scheduler) -> None:
    await scheduler.create()
    await scheduler.create(key=OTHER)
    await scheduler.create(key=JobKey("ads", "prod", "x"))
    await scheduler.storage.write(lambda tx: tx.save_cron_job(CRON))
    result = (await scheduler.result(GetRoleSummary())).role_summary_result
    assert result is not None
    assert result.summaries == {RoleSummary("www", 2, 0), RoleSummary("ads", 1, 1)}


async def test_a_jobs_configurations_are_grouped_with_their_instances(scheduler: Scheduler) -> None:
    await scheduler.create(4)
    await scheduler.call(KillTasks(JOB, frozenset({2})))
    await scheduler.storage.write(lambda tx: scheduler.state.insert_pending(tx, a_task(priority=7), [2]))
    result = (await scheduler.result(GetConfigSummary(JOB))).config_summary_result
    assert result is not None
    assert result.summary.key == JOB
    assert {group.config: group.instances for group in result.summary.groups} == {
        a_task(): {Range(0, 1), Range(3, 3)},
        a_task(priority=7): {Range(2, 2)},
    }


async def test_a_job_without_tasks_has_no_configurations(scheduler: Scheduler) -> None:
    result = (await scheduler.result(GetConfigSummary(JOB))).config_summary_result
    assert result is not None
    assert (result.summary.key, result.summary.groups) == (JOB, frozenset())
    assert await refused(scheduler, GetConfigSummary(JobKey("www", "prod", "a b"))) == ("ERROR", None)
    assert await refused(scheduler, GetConfigSummary(None)) == ("ERROR", "A job key was expected.")


def amounts(cpus: float, ram_mb: int, disk_mb: int) -> ResourceAggregate:
    return ResourceAggregate(frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb)}))


async def test_quota_is_told_with_what_is_used_of_it(scheduler: Scheduler) -> None:
    zero = amounts(0.0, 0, 0)
    result = (await scheduler.result(GetQuota("www"))).get_quota_result
    assert result == GetQuotaResult(zero, zero, zero, zero, zero)
    await scheduler.set_quota("www", 4.0, 4096, 8192)
    await scheduler.create(2, tier="preferred")
    await scheduler.create(1, key=OTHER)
    await scheduler.create(1, key=JobKey("ads", "prod", "x"))
    result = (await scheduler.result(GetQuota("www"))).get_quota_result
    assert result == GetQuotaResult(amounts(4.0, 4096, 8192), amounts(1.0, 128, 128), amounts(0.5, 64, 64), zero, zero)


@pytest.mark.parametrize("role", [None, "", " "])
async def test_quota_is_asked_of_some_role(scheduler: Scheduler, role: str | None) -> None:
    assert await refused(scheduler, GetQuota(role)) == ("ERROR", "Argument cannot be blank")


async def test_populating_shows_a_job_as_it_would_be_let_in_and_does_nothing(scheduler: Scheduler) -> None:
    job = a_job(99_999, tier=None, resources=RESOURCES | {Resource(named_port="http")})
    result = (await scheduler.result(PopulateJobConfig(job))).populate_job_result
    assert result is not None
    assert result.task_config == a_task(
        resources=RESOURCES | {Resource(named_port="http")},
        task_links=frozendict({"http": "http://%host%:%port:http%"}),
    )
    assert scheduler.tasks(JOB) == []


async def test_populating_says_what_is_wrong(scheduler: Scheduler) -> None:
    assert await refused(scheduler, PopulateJobConfig(None)) == ("ERROR", "A job was expected.")
    assert await refused(scheduler, PopulateJobConfig(a_job(0))) == (
        "INVALID_REQUEST",
        "Invalid configuration: Instance count must be positive.",
    )


async def test_tiers_are_told_with_their_settings(scheduler: Scheduler) -> None:
    result = (await scheduler.result(GetTierConfigs())).get_tier_config_result
    assert result is not None
    assert result.default_tier_name == "preemptible"
    assert result.tiers == {
        TierConfig("preferred", frozendict(preemptible="false", revocable="false")),
        TierConfig("preemptible", frozendict(preemptible="true", revocable="false")),
        TierConfig("revocable", frozendict(preemptible="true", revocable="true")),
    }


async def test_reads_leave_the_log_alone(scheduler: Scheduler) -> None:
    await scheduler.create()
    entries = list(scheduler.log.entries)
    for call in (GetJobs(), GetJobSummary(), GetRoleSummary(), GetQuota("www"), GetTasksStatus(TaskQuery())):
        assert (await scheduler.call(call)).response_code is ResponseCode.OK
    assert scheduler.log.entries == entries
