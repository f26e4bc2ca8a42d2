from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.calls import DescheduleCronJob, GetJobs, GetTierConfigs, ScheduleCronJob, StartCronJob
from aurorad.api.enums import ResponseCode
from aurorad.api.results import GetJobsResult
from aurorad.api.tasks import JobConfiguration, JobKey
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import CONFIG, HELLO


@pytest.fixture
def cron_file(job_file: Path) -> Path:
    text = job_file.read_text().replace("instances = 2", "instances = 2, cron_schedule = '*/5 * * * *'")
    job_file.write_text(text.replace("Service(", "Job("))
    return job_file


def test_scheduling_sends_the_job_and_tells_its_page(aurora: Runner, scheduler: FakeScheduler, cron_file: Path) -> None:
    scheduler.on(ScheduleCronJob, ok())
    ran = aurora("cron", "schedule", "--bind", "word=bye", KEY, cron_file)
    page = f"{scheduler.url}/scheduler/bozo/test/hello"
    assert (ran.code, ran.out) == (0, f"Cron job scheduled, status can be viewed at {page}\n")
    assert [type(call) for call in scheduler.calls] == [GetTierConfigs, ScheduleCronJob]
    (call,) = scheduler.of(ScheduleCronJob)
    assert call.description.key == HELLO
    assert (call.description.cron_schedule, call.description.instance_count) == ("*/5 * * * *", 2)
    assert "echo bye" in call.description.task_config.executor_config.data


def test_a_job_without_a_schedule_is_not_scheduled(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    ran = aurora("cron", "schedule", KEY, job_file)
    assert ran.code == 4
    assert ran.err.endswith('Non-cron jobs may only be created with "aurora job create" command\n')
    assert not scheduler.of(ScheduleCronJob)


def test_a_refused_schedule_is_told(aurora: Runner, scheduler: FakeScheduler, cron_file: Path) -> None:
    scheduler.on(ScheduleCronJob, refused("Invalid cron schedule: */5 * * * *"))
    ran = aurora("cron", "schedule", KEY, cron_file)
    assert ran.code == 10
    assert ran.err.endswith(f"Error scheduling cron job {KEY}:\n\tInvalid cron schedule: */5 * * * *\n")


def test_descheduling_succeeds_and_logs_what_the_scheduler_remarks(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(DescheduleCronJob, ok("Job bozo/test/hello is not scheduled with cron"))
    ran = aurora("cron", "deschedule", KEY)
    assert (ran.code, ran.out) == (0, "Cron descheduling succeeded.\n")
    assert ran.err == (
        f" INFO] Removing cron schedule for job {KEY}\n INFO] Job bozo/test/hello is not scheduled with cron\n"
    )
    assert scheduler.of(DescheduleCronJob) == [DescheduleCronJob(HELLO)]


def test_descheduling_a_job_that_is_being_updated_gets_the_hint(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(DescheduleCronJob, refused("Job is currently updating", ResponseCode.JOB_UPDATING_ERROR))
    ran = aurora("cron", "deschedule", KEY)
    assert ran.code == 10
    assert f"\nError descheduling cron job {KEY}:\n\tJob is currently updating\n\tError: job is locked" in ran.err


def test_starting_prints_nothing(aurora: Runner, scheduler: FakeScheduler, world: World) -> None:
    scheduler.on(StartCronJob, ok())
    ran = aurora("cron", "start", KEY)
    assert (ran.code, ran.out, ran.err) == (0, "", f" INFO] Starting cron job: {KEY}\n")
    assert scheduler.of(StartCronJob) == [StartCronJob(HELLO)]
    assert world.opened == []


def test_starting_may_open_the_page(aurora: Runner, scheduler: FakeScheduler, world: World) -> None:
    scheduler.on(StartCronJob, ok())
    assert aurora("cron", "start", "--open-browser", KEY).code == 0
    assert world.opened == [f"{scheduler.url}/scheduler/bozo/test/hello"]


def test_starting_what_is_not_scheduled_is_told(aurora: Runner, scheduler: FakeScheduler) -> None:
    text = "Failed to start cron job - No cron job found for bozo/test/hello."
    scheduler.on(StartCronJob, refused(text))
    ran = aurora("cron", "start", KEY)
    assert (ran.code, ran.err) == (10, f" INFO] Starting cron job: {KEY}\nError starting cron job {KEY}:\n\t{text}\n")


def test_showing_prints_the_schedule(aurora: Runner, scheduler: FakeScheduler) -> None:
    other = JobConfiguration(key=JobKey("bozo", "test", "other"), cron_schedule="1 * * * *", task_config=CONFIG)
    job = JobConfiguration(key=HELLO, cron_schedule="*/5 * * * *", task_config=CONFIG)
    scheduler.on(GetJobs, ok(get_jobs_result=GetJobsResult(frozenset({other, job}))))
    ran = aurora("cron", "show", KEY)
    assert (ran.code, ran.out) == (0, f"{KEY}\t */5 * * * *\n")
    assert scheduler.of(GetJobs) == [GetJobs("bozo")]


def test_showing_what_is_no_cron_job_is_status_6(aurora: Runner, scheduler: FakeScheduler) -> None:
    service = JobConfiguration(key=HELLO, task_config=CONFIG, instance_count=1)
    scheduler.on(GetJobs, ok(get_jobs_result=GetJobsResult(frozenset({service}))))
    ran = aurora("cron", "show", KEY)
    assert (ran.code, ran.err) == (6, f"No cron entry found for job {KEY}\n")


def test_a_scheduler_that_cannot_tell_is_status_6(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobs, refused("No such thing", ResponseCode.ERROR))
    ran = aurora("cron", "show", KEY)
    assert (ran.code, ran.err) == (6, f"Error getting cron status for {KEY}\n\tNo such thing\n")
