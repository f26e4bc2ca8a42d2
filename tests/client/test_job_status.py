from __future__ import annotations

import json
import time

import msgspec
import pytest

from aurorad.api.calls import GetJobs, GetPendingReason, GetTasksWithoutConfigs
from aurorad.api.enums import ScheduleStatus
from aurorad.api.results import GetJobsResult, GetPendingReasonResult, PendingReason, Response
from aurorad.api.tasks import JobConfiguration, JobKey, Metadata, TaskEvent
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import CONFIG, HELLO, task, tasks

RUNNING, PENDING, FAILED = ScheduleStatus.RUNNING, ScheduleStatus.PENDING, ScheduleStatus.FAILED


def jobs(*keys: JobKey) -> Response:
    return ok(get_jobs_result=GetJobsResult(frozenset(JobConfiguration(key=key) for key in keys)))


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch, home: object) -> None:
    time.tzset()


def test_active_and_other_tasks_are_shown(aurora: Runner, scheduler: FakeScheduler) -> None:
    config = msgspec.structs.replace(CONFIG, metadata=frozenset({Metadata("k", "v")}))
    failed = TaskEvent(1_411_404_000, FAILED, "Task failed.")
    scheduler.on(
        GetTasksWithoutConfigs,
        tasks(task(1, FAILED, events=[failed]), task(0, RUNNING, ports={"http": 31001}, config=config)),
    )
    ran = aurora("job", "status", KEY)
    assert ran.code == 0
    assert ran.out == (
        "Active tasks (1):\n"
        "\tTask role: bozo, env: test, name: hello, instance: 0, status: RUNNING on host1\n"
        "\t  CPU: 2 core(s), RAM: 2048 MB, Disk: 4096 MB\n"
        "\t  assigned ports: {'http': 31001}\n"
        "\t  failure count: 0 (max 1)\n"
        "\t  events:\n"
        "\t   1970-01-01 00:00:01 PENDING:\n"
        "\t  metadata:\n"
        "\t\t  (key: 'k', value: 'v')\n"
        "Inactive tasks (1):\n"
        "\tTask role: bozo, env: test, name: hello, instance: 1, status: FAILED on host1\n"
        "\t  CPU: 2 core(s), RAM: 2048 MB, Disk: 4096 MB\n"
        "\t  events:\n"
        "\t   1970-01-01 00:00:01 PENDING:\n"
        "\t   1970-01-17 08:03:24 FAILED: Task failed.\n"
    )


def test_a_waiting_task_says_why(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, PENDING, host=None), task(1, PENDING, host=None)))
    reasons = frozenset({PendingReason("task-0", "Insufficient: CPU,Insufficient: RAM"), PendingReason("task-1", "")})
    scheduler.on(GetPendingReason, ok(get_pending_reason_result=GetPendingReasonResult(reasons)))
    lines = aurora("job", "status", KEY).out.splitlines()
    assert lines[1].endswith("instance: 0, status: PENDING (Insufficient: CPU, Insufficient: RAM)")
    assert next(line for line in lines if "instance: 1" in line).endswith("status: PENDING")


def test_a_scheduler_that_does_not_say_why_is_no_error(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, PENDING, host=None)))
    scheduler.on(GetPendingReason, refused("no"))
    ran = aurora("job", "status", KEY)
    assert (ran.code, ran.out.splitlines()[1].rsplit(" ", 1)[-1]) == (0, "PENDING")


def test_nothing_found_is_status_6_or_json(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks())
    ran = aurora("job", "status", KEY)
    assert ran.code == 6
    assert ran.err.endswith(f" INFO] No tasks were found for jobkey {KEY}\nFound no jobs matching {KEY}\n")
    ran = aurora("job", "status", "--write-json", KEY)
    assert (ran.code, ran.out) == (0, f'{{"jobspec":"{KEY}","error":"No matching jobs found"}}\n')


def test_json_has_names_for_statuses_and_leaves_out_what_is_unset(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING), task(1, FAILED)))
    (job,) = json.loads(aurora("job", "status", "--write-json", KEY).out)
    (active,), (inactive,) = job["active"], job["inactive"]
    assert (job["job"], active["status"], inactive["status"]) == (KEY, "RUNNING", "FAILED")
    assert active["taskEvents"] == [{"timestamp": 1000, "status": "PENDING"}]
    assert "ancestorId" not in active
    config = active["assignedTask"]["task"]
    assert (config["isService"], config["production"]) == (True, False)
    assert config["resources"] == [{"diskMb": 4096}, {"numCpus": 2.0}, {"ramMb": 2048}]
    assert config["executorConfig"] == {"name": "AuroraExecutor"}
    assert config["container"] == {"mesos": {"volumes": []}}


def test_globs_choose_among_the_jobs_of_the_cluster(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobs, jobs(HELLO, JobKey("bozo", "prod", "hello"), JobKey("bozo", "test", "other")))
    assert aurora("job", "list", "west/bozo/*/h*").out == "west/bozo/prod/hello\nwest/bozo/test/hello\n"
    assert aurora("job", "list", "*/*/*/other").out == "west/bozo/test/other\n"
    assert aurora("job", "list", "west/bozo/none").out == ""
    assert scheduler.of(GetJobs) == [GetJobs("bozo"), GetJobs(None), GetJobs("bozo")]


def test_a_full_key_is_listed_as_it_is(aurora: Runner, scheduler: FakeScheduler) -> None:
    assert aurora("job", "list", KEY).out == f"{KEY}\n"
    assert scheduler.calls == []


def test_jobs_that_cannot_be_listed_are_status_4(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobs, refused("no"))
    assert aurora("job", "list", "west").code == 4


@pytest.mark.parametrize(
    ("which", "path"), [("west", ""), ("west/bozo", "/bozo"), ("west/bozo/test/hello", "/bozo/test/hello")]
)
def test_open_prints_and_opens_the_page(
    aurora: Runner, scheduler: FakeScheduler, world: World, which: str, path: str
) -> None:
    ran = aurora("job", "open", which)
    assert (ran.code, ran.out) == (0, f"{scheduler.url}/scheduler{path}\n")
    assert world.opened == [ran.out.strip()]
