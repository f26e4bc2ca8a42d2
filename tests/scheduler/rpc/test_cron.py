"""Calls about cron jobs: the checks of the thrift-api sheet, section 3, in their order."""

from __future__ import annotations

import msgspec
import pytest

from aurorad.api.calls import (
    AddInstances,
    CreateJob,
    DescheduleCronJob,
    GetJobs,
    GetJobSummary,
    GetRoleSummary,
    KillTasks,
    ReplaceCronTemplate,
    ScheduleCronJob,
    StartCronJob,
)
from aurorad.api.enums import CronCollisionPolicy, JobUpdateStatus, ResponseCode, ScheduleStatus
from aurorad.api.results import RoleSummary
from aurorad.api.tasks import Constraint, InstanceKey, JobConfiguration, JobKey, TaskConstraint, ValueConstraint
from tests.scheduler.rpc.conftest import Scheduler, a_job, message
from tests.scheduler.rpc.test_jobs import BAD, NO_JOB, begin_update, refusal

JOB = JobKey("www", "prod", "hello")
Save = type[ScheduleCronJob] | type[ReplaceCronTemplate]


def a_cron_job(
    schedule: str | None = "5 4 * * *",
    instances: int = 1,
    policy: CronCollisionPolicy | None = None,
    key: JobKey = JOB,
    **task: object,
) -> JobConfiguration:
    job = a_job(instances, key, **({"is_service": False} | task))
    return msgspec.structs.replace(job, cron_schedule=schedule, cron_collision_policy=policy)


async def schedule(scheduler: Scheduler, job: JobConfiguration | None = None) -> None:
    response = await scheduler.call(ScheduleCronJob(job or a_cron_job()))
    assert response.response_code is ResponseCode.OK, response
    assert response.result is None
    assert response.details == ()


async def test_scheduling_stores_the_job_and_starts_nothing(scheduler: Scheduler) -> None:
    await schedule(scheduler, a_cron_job(instances=3))
    assert scheduler.storage.tables.cron_jobs[JOB].instance_count == 3
    assert scheduler.tasks(JOB) == []
    assert scheduler.stats.get("thrift_workload_createOrUpdateCronTemplate") == 3


@pytest.mark.parametrize("call", [ScheduleCronJob, ReplaceCronTemplate])
async def test_either_call_replaces_what_is_there_and_leaves_its_tasks_alone(scheduler: Scheduler, call: Save) -> None:
    await schedule(scheduler)
    await scheduler.call(StartCronJob(JOB))
    response = await scheduler.call(call(a_cron_job("6 4 * * *", 3)))
    assert response.response_code is ResponseCode.OK
    assert scheduler.storage.tables.cron_jobs[JOB].cron_schedule == "6 4 * * *"
    assert len(scheduler.tasks(JOB)) == 1
    assert scheduler.stats.get("thrift_workload_createOrUpdateCronTemplate") == 4


async def test_replacing_needs_something_to_replace(scheduler: Scheduler) -> None:
    answer = refusal(await scheduler.call(ReplaceCronTemplate(a_cron_job())))
    assert answer == ("INVALID_REQUEST", "No cron job found for www/prod/hello.")
    assert not scheduler.storage.tables.cron_jobs


@pytest.mark.parametrize("call", [ScheduleCronJob, ReplaceCronTemplate])
@pytest.mark.parametrize(
    ("job", "code", "text"),
    [
        (a_cron_job(key=BAD), "ERROR", None),
        (a_cron_job(instances=0), "INVALID_REQUEST", "Instance count must be positive."),
        (a_cron_job(None), "INVALID_REQUEST", "Job www/prod/hello has no cron schedule"),
        (a_cron_job(None, 5000), "INVALID_REQUEST", "Job www/prod/hello has no cron schedule"),
        (a_cron_job("x", 5000), "INVALID_REQUEST", "Instance count must be between 1 and 4000 inclusive."),
        (
            a_cron_job("x", tier="preferred"),
            "INVALID_REQUEST",
            "Insufficient resource quota: CPU quota exceeded by 0.50 core(s); disk quota exceeded by 64.00 MB; "
            "RAM quota exceeded by 64.00 MB",
        ),
        (a_cron_job(""), "INVALID_REQUEST", "Job has an empty cron schedule."),
        (a_cron_job("x"), "INVALID_REQUEST", "Invalid cron schedule: x"),
        (
            a_cron_job("x", policy=CronCollisionPolicy.RUN_OVERLAP),
            "INVALID_REQUEST",
            "Invalid cron schedule: x",
        ),
        (
            a_cron_job(policy=CronCollisionPolicy.RUN_OVERLAP),
            "INVALID_REQUEST",
            "The RUN_OVERLAP collision policy has been removed (AURORA-38).",
        ),
        (a_cron_job(", * * * *"), "ERROR", None),
    ],
)
async def test_what_cannot_be_scheduled_is_refused(
    scheduler: Scheduler, call: Save, job: JobConfiguration, code: str, text: str | None
) -> None:
    assert refusal(await scheduler.call(call(job))) == (code, text)
    assert not scheduler.storage.tables.cron_jobs


async def test_a_service_is_no_cron_job(scheduler: Scheduler) -> None:
    answer = await scheduler.call(ScheduleCronJob(a_cron_job(is_service=True)))
    assert (message(answer) or "").startswith("A service task may not be run on a cron schedule: JobConfiguration(key:")


async def test_a_call_without_a_job_is_an_error(scheduler: Scheduler) -> None:
    for call in (ScheduleCronJob(), ReplaceCronTemplate(), DescheduleCronJob(), StartCronJob()):
        assert (await scheduler.call(call)).response_code is ResponseCode.ERROR
    for call in (DescheduleCronJob(BAD), StartCronJob(BAD)):
        assert refusal(await scheduler.call(call)) == ("ERROR", None)


async def test_a_job_that_runs_already_is_not_scheduled(scheduler: Scheduler) -> None:
    await scheduler.create()
    answer = refusal(await scheduler.call(ScheduleCronJob(a_cron_job("x"))))
    assert answer == ("INVALID_REQUEST", "Job www/prod/hello already exists")
    await scheduler.call(KillTasks(JOB))
    await schedule(scheduler)


async def test_an_update_bars_all_changes_of_the_schedule_but_no_start(scheduler: Scheduler) -> None:
    await schedule(scheduler)
    await begin_update(scheduler, JOB, JobUpdateStatus.ROLLING_FORWARD)
    barred = ("JOB_UPDATING_ERROR", "Job is currently updating")
    for call in (ScheduleCronJob(a_cron_job("x", 5000)), ReplaceCronTemplate(a_cron_job()), DescheduleCronJob(JOB)):
        assert refusal(await scheduler.call(call)) == barred
    assert (await scheduler.call(StartCronJob(JOB))).response_code is ResponseCode.OK


async def test_production_cron_jobs_count_against_quota(scheduler: Scheduler) -> None:
    await scheduler.set_quota("www", 1.0, 128, 128)
    await schedule(scheduler, a_cron_job(instances=2, tier="preferred"))
    other = a_cron_job(key=JobKey("www", "prod", "other"), tier="preferred")
    assert (message(await scheduler.call(ScheduleCronJob(other))) or "").startswith("Insufficient resource quota: CPU")
    await schedule(scheduler, a_cron_job(instances=1, tier="preferred"))
    await schedule(scheduler, other)


@pytest.mark.parametrize("call", [ScheduleCronJob, ReplaceCronTemplate])
async def test_a_description_may_not_smuggle_in_the_job_of_another_role(
    scheduler: Scheduler, call: type[ScheduleCronJob | ReplaceCronTemplate]
) -> None:
    """What only another role may ask for does not pass under a second key."""
    await schedule(scheduler)
    dedicated = Constraint("dedicated", TaskConstraint(value=ValueConstraint(values=frozenset({"store/x"}))))
    job = a_cron_job(job=JobKey("store", "prod", "hello"), constraints=frozenset({dedicated}))
    code, text = refusal(await scheduler.call(call(job)))
    assert text is not None
    assert (code, "store/prod/hello by its tasks: one key was expected" in text) == ("INVALID_REQUEST", True)


async def test_descheduling_removes_the_job_and_leaves_its_tasks(scheduler: Scheduler) -> None:
    await schedule(scheduler)
    await scheduler.call(StartCronJob(JOB))
    response = await scheduler.call(DescheduleCronJob(JOB))
    assert (response.response_code, response.details) == (ResponseCode.OK, ())
    assert not scheduler.storage.tables.cron_jobs
    assert [task.status for task in scheduler.tasks(JOB)] == [ScheduleStatus.PENDING]


async def test_descheduling_what_is_not_there_is_fine(scheduler: Scheduler) -> None:
    response = await scheduler.call(DescheduleCronJob(NO_JOB))
    assert response.response_code is ResponseCode.OK
    assert message(response) == "Job www/prod/nosuch is not scheduled with cron"


async def test_starting_creates_the_tasks_before_it_answers(scheduler: Scheduler) -> None:
    await schedule(scheduler, a_cron_job(instances=2))
    response = await scheduler.call(StartCronJob(JOB))
    assert (response.response_code, response.details) == (ResponseCode.OK, ())
    assert [task.assigned_task.instance_id for task in scheduler.tasks(JOB)] == [0, 1]


async def test_starting_what_is_not_there_is_refused(scheduler: Scheduler) -> None:
    answer = refusal(await scheduler.call(StartCronJob(NO_JOB)))
    assert answer == ("INVALID_REQUEST", "Failed to start cron job - No cron job found for www/prod/nosuch.")


async def test_starting_a_running_job_kills_it_first(scheduler: Scheduler) -> None:
    await schedule(scheduler)
    await scheduler.call(StartCronJob(JOB))
    await scheduler.run_all(JOB)
    await scheduler.call(StartCronJob(JOB))
    (task,) = scheduler.tasks(JOB)
    assert task.status is ScheduleStatus.KILLING
    assert task.task_events[-1].message == "Killed by cronScheduler"


async def test_the_key_of_a_cron_job_is_taken(scheduler: Scheduler) -> None:
    await schedule(scheduler)
    answers = [
        refusal(await scheduler.call(CreateJob(a_job()))),
        refusal(await scheduler.call(AddInstances(InstanceKey(JOB, 0), 1))),
        refusal(await scheduler.call(CreateJob(a_cron_job()))),
    ]
    assert answers == [
        ("INVALID_REQUEST", "Job www/prod/hello already exists"),
        ("INVALID_REQUEST", "Instances may not be added to cron jobs."),
        ("INVALID_REQUEST", "Cron jobs may only be created/updated by calling scheduleCronJob."),
    ]


async def test_killing_the_tasks_leaves_the_schedule(scheduler: Scheduler) -> None:
    await schedule(scheduler)
    await scheduler.call(StartCronJob(JOB))
    assert (await scheduler.call(KillTasks(JOB))).response_code is ResponseCode.OK
    assert JOB in scheduler.storage.tables.cron_jobs


class TestReading:
    async def test_the_template_is_the_jobs_configuration(self, scheduler: Scheduler) -> None:
        await schedule(scheduler, a_cron_job(instances=2))
        for running in (False, True):
            if running:
                await scheduler.call(StartCronJob(JOB))
                await schedule(scheduler, a_cron_job(instances=2))
            result = (await scheduler.result(GetJobs("www"))).get_jobs_result
            assert result is not None
            (config,) = result.configs
            assert (config.cron_schedule, config.instance_count) == ("5 4 * * *", 2)

    async def test_the_summary_tells_the_next_run_of_cron_jobs_only(self, scheduler: Scheduler) -> None:
        await schedule(scheduler)
        await scheduler.create(key=JobKey("www", "prod", "service"))
        result = (await scheduler.result(GetJobSummary("www"))).job_summary_result
        assert result is not None
        assert {summary.job.key.name: summary.next_cron_run_ms for summary in result.summaries} == {
            "hello": (4 * 60 + 5) * 60_000,
            "service": None,
        }

    async def test_roles_count_their_cron_jobs(self, scheduler: Scheduler) -> None:
        await schedule(scheduler)
        result = (await scheduler.result(GetRoleSummary())).role_summary_result
        assert result is not None
        assert result.summaries == {RoleSummary("www", 0, 1)}
