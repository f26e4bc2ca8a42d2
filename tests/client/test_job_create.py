from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob, GetTasksWithoutConfigs, GetTierConfigs
from aurorad.api.enums import ResponseCode, ScheduleStatus
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import FakeScheduler, Http, ok, refused
from tests.client.values import HELLO, task, tasks

PENDING, RUNNING, FINISHED = ScheduleStatus.PENDING, ScheduleStatus.RUNNING, ScheduleStatus.FINISHED


def test_it_prints_the_page_of_the_job(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(CreateJob, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, PENDING)))
    ran = aurora("job", "create", KEY, job_file)
    assert ran.code == 0
    assert ran.out == f"Job create succeeded: job url={scheduler.url}/scheduler/bozo/test/hello\n"
    assert ran.err == f" INFO] Creating job hello\n INFO] Checking status of {KEY}\n"
    assert [type(call) for call in scheduler.calls] == [GetTierConfigs, CreateJob, GetTasksWithoutConfigs]


def test_the_job_is_sent_with_tier_owner_and_count(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(CreateJob, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, PENDING)))
    aurora("job", "create", "--bind", "word=bye", KEY, job_file)
    (call,) = scheduler.of(CreateJob)
    assert call.description.key == HELLO
    assert call.description.instance_count == 2
    assert call.description.task_config.tier == "preemptible"
    assert '"cmdline": "echo bye"' in call.description.task_config.executor_config.data


def test_a_job_that_exists_is_told_and_is_status_4(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(CreateJob, refused("Job bozo/test/hello already exists"))
    ran = aurora("job", "create", KEY, job_file)
    assert ran.code == 4
    assert ran.err.endswith("Job creation failed due to error:\n\tJob bozo/test/hello already exists\n")


def test_a_job_being_updated_gets_the_hint(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(CreateJob, refused("Job is currently updating", ResponseCode.JOB_UPDATING_ERROR))
    ran = aurora("job", "create", KEY, job_file)
    assert ran.err.endswith(
        "\tJob is currently updating\n\tError: job is locked by an active update.\n"
        "      Run 'aurora update abort' or wait for the active update to finish.\n"
    )


def test_wait_until_running_polls_with_growing_pauses(
    aurora: Runner, scheduler: FakeScheduler, job_file: Path, world: World
) -> None:
    scheduler.on(CreateJob, ok())
    pending = tasks(task(0, PENDING), task(1, RUNNING))
    running = tasks(task(0, RUNNING), task(1, FINISHED))
    scheduler.on(GetTasksWithoutConfigs, pending, pending, running)
    assert aurora("job", "create", "--wait-until", "RUNNING", KEY, job_file).code == 0
    assert world.slept == [2, 4]


def test_wait_until_finished_looks_at_the_newest_task_of_each_instance(
    aurora: Runner, scheduler: FakeScheduler, job_file: Path, world: World
) -> None:
    scheduler.on(CreateJob, ok())
    old = task(0, FINISHED, began=1, task_id="old")
    scheduler.on(GetTasksWithoutConfigs, tasks(old, task(0, RUNNING, began=2)), tasks(old, task(0, FINISHED, began=2)))
    assert aurora("job", "create", "--wait-until=FINISHED", KEY, job_file).code == 0
    assert world.slept == [2]


def test_a_job_that_left_no_task_is_an_error(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(CreateJob, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks())
    ran = aurora("job", "create", KEY, job_file)
    assert ran.code == 4
    assert ran.err.endswith(f"Error occurred while creating job {KEY}\n")


def test_open_browser_opens_the_page(aurora: Runner, scheduler: FakeScheduler, job_file: Path, world: World) -> None:
    scheduler.on(CreateJob, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, PENDING)))
    aurora("job", "create", "--open-browser", KEY, job_file)
    assert world.opened == [f"{scheduler.url}/scheduler/bozo/test/hello"]


def test_a_cron_job_is_refused(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    text = job_file.read_text().replace("instances = 2", "instances = 2, cron_schedule = '* * * * *'")
    job_file.write_text(text)
    ran = aurora("job", "create", KEY, job_file)
    assert (ran.code, scheduler.of(CreateJob)) == (4, [])
    assert ran.err == 'Cron jobs may only be scheduled with "aurora cron schedule" command\n'


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_are_status_30(aurora: Runner, scheduler: FakeScheduler, job_file: Path, status: int) -> None:
    scheduler.on(CreateJob, Http(status))
    ran = aurora("job", "create", KEY, job_file)
    assert ran.code == 30
    assert "Not authorized to talk to west" in ran.err


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("jobs = [", "hello.aurora:1: SyntaxError: '[' was never closed: jobs = [\n"),
        (
            "jobs = [Job(nam = 'x')]",
            "hello.aurora:1: AttributeError: Unknown schema attribute nam (did you mean name?)",
        ),
        ("jobs = []", "No job defined in this config!\n"),
    ],
)
def test_a_broken_file_is_one_message_and_status_3(
    aurora: Runner, scheduler: FakeScheduler, job_file: Path, broken: str, message: str
) -> None:
    job_file.write_text(broken)
    ran = aurora("job", "create", KEY, job_file)
    assert ran.code == 3
    assert ran.err.startswith("Error loading configuration: ")
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert scheduler.calls == []


def test_an_unknown_job_key_lists_the_jobs_there_are(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    ran = aurora("job", "create", "west/bozo/test/hallo", job_file)
    assert ran.code == 3
    assert ran.err == (
        "Error loading configuration: Could not find job west/bozo/test/hallo\n"
        "Candidates are:\n  west/bozo/test/hello\n"
    )


def test_settings_nobody_can_want_are_fatal(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    job_file.write_text(job_file.read_text() + "\njobs = [jobs[0](update_config=UpdateConfig(max_total_failures=2))]")
    ran = aurora("job", "create", KEY, job_file)
    assert ran.code == 1
    assert ran.err.startswith("FATAL] max_total_failures in update_config must be lesser than the job size.\n")
