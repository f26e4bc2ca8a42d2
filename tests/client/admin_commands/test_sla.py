"""`aurora_admin` about what jobs would miss (admin-commands sheet, section 7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.calls import GetTasksWithoutConfigs
from aurorad.api.enums import LIVE_STATES, ScheduleStatus
from aurorad.api.results import ScheduleStatusResult
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig, TaskEvent, TaskQuery
from tests.client.conftest import WALL_S, Runner
from tests.client.fake_scheduler import FakeScheduler, ok

LONG_S, SHORT_S = 100_000, 600


def live(job: str, hosts: str, up_s: int = LONG_S) -> list[ScheduledTask]:
    """A task of the job for each letter, on the host of that name."""
    ran = TaskEvent(int(WALL_S - up_s) * 1000, ScheduleStatus.RUNNING)
    config = TaskConfig(JobKey("www", "prod", job), production=True)
    return [
        ScheduledTask(AssignedTask(f"{job}-{n}", slave_host=host, task=config, instance_id=n), task_events=(ran,))
        for n, host in enumerate(hosts)
    ]


def answer(scheduler: FakeScheduler, *tasks: ScheduledTask) -> None:
    scheduler.on(GetTasksWithoutConfigs, ok(schedule_status_result=ScheduleStatusResult(tuple(tasks))))


def test_hosts_that_no_job_would_miss_are_listed(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    answer(scheduler, *live("web", "abcdefghijkl"), *live("api", "aaabbcdefg"), *live("small", "l"))
    ran = aurora_admin("sla_list_safe_domain", "west", "80", "1h")
    assert (ran.code, ran.out) == (0, "b\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n")
    assert scheduler.calls == [GetTasksWithoutConfigs(TaskQuery(statuses=LIVE_STATES))]


def test_hosts_may_be_excluded_and_chosen(aurora_admin: Runner, scheduler: FakeScheduler, tmp_path: Path) -> None:
    answer(scheduler, *live("web", "abcdefghij"))
    wanted = tmp_path / "hosts"
    wanted.write_text("a\n\nb\nz\n")
    ran = aurora_admin("sla_list_safe_domain", "-x", "b,c", "-I", wanted, "west", "80", "1h")
    assert (ran.code, ran.out) == (0, "a\n")
    ran = aurora_admin("sla_list_safe_domain", "-i", "a", "-I", wanted, "west", "80", "1h")
    assert (ran.code, ran.err) == (1, "Cannot specify both filename and list for the same option.\n")


def test_what_jobs_were_promised_may_come_from_a_file(
    aurora_admin: Runner, scheduler: FakeScheduler, tmp_path: Path
) -> None:
    answer(scheduler, *live("web", "abcdefghij"), *live("api", "aabbcdefgh"))
    promises = tmp_path / "promises"
    promises.write_text("west/www/prod/api 75.5 30m\n\neast/www/prod/api 100 1d\n")
    ran = aurora_admin("sla_list_safe_domain", "-l", "-o", promises, "west", "90", "1h")
    assert ran.out.splitlines()[:2] == ["a\twest/www/prod/api\t75.50\t1800", "a\twest/www/prod/web\t90.00\t3600"]
    promises.write_text("west/www/prod/api 75.5\n")
    ran = aurora_admin("sla_list_safe_domain", "-o", promises, "west", "90", "1h")
    assert (ran.code, ran.err) == (1, f"Invalid line in {promises}:west/www/prod/api 75.5\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("west", "0", "1h"), "Invalid percentage 0. Must be within (0, 100].\n"),
        (("west", "most", "1h"), "Invalid percentage most. Must be within (0, 100].\n"),
        (("west", "95", "1x"), "Invalid time span: 1x\n"),
        (
            ("--grouping=by_rack", "west", "95", "1h"),
            "Unknown grouping function by_rack. Must be one of: ['by_host', 'none']\n",
        ),
    ],
)
def test_what_cannot_be_is_told(
    aurora_admin: Runner, scheduler: FakeScheduler, arguments: tuple[str, ...], words: str
) -> None:
    ran = aurora_admin("sla_list_safe_domain", *arguments)
    assert (ran.code, ran.err, scheduler.calls) == (1, words, [])


def test_a_probe_tells_what_is_left_of_each_job(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    answer(scheduler, *live("web", "abcdefghij"), *live("api", "aabbcdefg"), *live("api", "h", SHORT_S))
    ran = aurora_admin("sla_probe_hosts", "--hosts=a,j,z", "west", "80", "15m")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            "a\twest/www/prod/api\t70.00\tFalse\t300",
            "a\twest/www/prod/web\t90.00\tTrue\t0",
            "j\twest/www/prod/web\t90.00\tTrue\t0",
        ],
    )


def test_a_probe_of_all_hosts_at_once(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    answer(scheduler, *live("web", "abcdefghij"))
    ran = aurora_admin("sla_probe_hosts", "--hosts=a,j", "--grouping=none", "west", "90", "15m")
    assert ran.out == "a\twest/www/prod/web\t80.00\tFalse\tn/a\nj\twest/www/prod/web\t80.00\tFalse\tn/a\n"
