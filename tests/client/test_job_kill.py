from __future__ import annotations

import msgspec
import pytest

from aurorad.api.calls import GetTasksWithoutConfigs, KillTasks
from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import CountSlaPolicy, SlaPolicy
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import CONFIG, HELLO, task, tasks

RUNNING, KILLING, KILLED = ScheduleStatus.RUNNING, ScheduleStatus.KILLING, ScheduleStatus.KILLED


def alive(scheduler: FakeScheduler, *instances: int) -> None:
    """These run until they are killed, which is done at once."""
    running = tasks(*(task(i, RUNNING) for i in instances))
    killed = tasks(*(task(i, KILLED) for i in instances))
    scheduler.on(KillTasks, ok())
    scheduler.on(GetTasksWithoutConfigs, lambda call: running if call.query.statuses == ACTIVE_STATES else killed)


def test_killall_kills_one_after_the_other(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler, 1, 0)
    ran = aurora("job", "killall", KEY)
    assert ran.code == 0
    assert ran.out == ("Successfully killed instances [0]\nSuccessfully killed instances [1]\nJob killall succeeded\n")
    assert ran.err == f" INFO] Killing tasks for job: {KEY}\n INFO] Instances to be killed: [0, 1]\n"
    assert scheduler.of(KillTasks) == [KillTasks(HELLO, frozenset({0})), KillTasks(HELLO, frozenset({1}))]


def test_a_batch_is_killed_together_with_a_message(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler, 0, 1, 2)
    ran = aurora("job", "kill", "--batch-size=2", "-m", "enough", f"{KEY}/0,2,7")
    assert ran.out == "Successfully killed instances [0, 2]\nJob kill succeeded\n"
    assert scheduler.of(KillTasks) == [KillTasks(HELLO, frozenset({0, 2}), "enough")]


def test_killall_without_batching_names_no_instances(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler, 0)
    assert aurora("job", "killall", "--no-batch", KEY).out == "Job killall succeeded\n"
    assert scheduler.of(KillTasks) == [KillTasks(HELLO)]


@pytest.mark.parametrize("spelling", ["", "/", "/all"])
def test_kill_wants_instances(aurora: Runner, scheduler: FakeScheduler, spelling: str) -> None:
    ran = aurora("job", "kill", KEY + spelling)
    assert ran.code == 6
    assert ran.err == ("The instances list cannot be omitted in a kill command!; use killall to kill all instances\n")


def test_strict_refuses_what_is_not_active(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler, 0)
    ran = aurora("job", "kill", "--strict", f"{KEY}/0-1")
    assert (ran.code, scheduler.of(KillTasks)) == (6, [])
    assert ran.err == "Invalid instance parameter: [1]\n"


def test_nothing_to_kill_is_told_and_is_no_error(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler)
    ran = aurora("job", "killall", KEY)
    assert ran.code == 0
    assert f"No tasks to kill found for job {KEY}\n" in ran.err


def test_a_refused_kill_is_status_10(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler, 0)
    scheduler.on(KillTasks, refused("not you"))
    ran = aurora("job", "killall", KEY)
    assert ran.code == 10
    assert ran.err.endswith("Kill of instances [0] failed with error:\n\tnot you\n")


def test_it_gives_up_on_what_will_not_die_after_four_minutes(
    aurora: Runner, scheduler: FakeScheduler, world: World
) -> None:
    scheduler.on(KillTasks, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, KILLING), task(1, KILLING)))
    ran = aurora("job", "killall", KEY)
    assert ran.code == 4
    assert ran.err.endswith(
        "Instances [0] were not killed in time\nExceeded maximum number of errors while killing instances\n"
    )
    assert world.slept == [2, 4, 8, 16, 32, 64, 128]


def test_failures_that_were_allowed_are_told_in_the_end(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(KillTasks, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, KILLING), task(1, KILLING)))
    ran = aurora("job", "killall", "--max-total-failures=2", KEY)
    assert ran.code == 4
    assert ran.err.endswith("Errors occurred while killing instances\n")


def test_without_batching_a_survivor_is_status_9(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(KillTasks, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, KILLING)))
    ran = aurora("job", "kill", "--no-batching", f"{KEY}/0")
    assert (ran.code, ran.err.splitlines()[-1]) == (9, "Instances [0] were not killed in time")


def test_killing_under_a_policy_warns(aurora: Runner, scheduler: FakeScheduler) -> None:
    policy = SlaPolicy(count_sla_policy=CountSlaPolicy(3, 10))
    config = msgspec.structs.replace(CONFIG, sla_policy=policy)
    alive(scheduler, 0)
    answer = scheduler.answers[GetTasksWithoutConfigs][0]
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING, config=config)), answer)
    ran = aurora("job", "kill", f"{KEY}/0")
    assert ran.out.startswith("WARNING: Killing instances without updating SlaPolicy.\n")


def test_the_page_is_opened_on_request_and_told_without_browser(
    aurora: Runner, scheduler: FakeScheduler, world: World
) -> None:
    world.has_browser = False
    alive(scheduler, 0)
    ran = aurora("job", "killall", "--open-browser", KEY)
    assert world.opened == [f"{scheduler.url}/scheduler/bozo/test/hello"]
    assert f"No browser could be started; the page is {world.opened[0]}\n" in ran.err
