from __future__ import annotations

import msgspec
import pytest

from aurorad.api.calls import AddInstances, GetTasksWithoutConfigs
from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import CountSlaPolicy, InstanceKey, SlaPolicy, TaskQuery
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import CONFIG, HELLO, task, tasks

PENDING, RUNNING = ScheduleStatus.PENDING, ScheduleStatus.RUNNING


def test_instances_are_added_without_a_word_on_stdout(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING), task(3, RUNNING)))
    scheduler.on(AddInstances, ok())
    ran = aurora("job", "add", f"{KEY}/3", "2")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f" INFO] Adding 2 instances to {KEY} using the task config of instance 3\n"
    assert scheduler.of(AddInstances) == [AddInstances(InstanceKey(HELLO, 3), 2)]
    assert scheduler.of(GetTasksWithoutConfigs) == [
        GetTasksWithoutConfigs(TaskQuery(job_keys=frozenset({HELLO}), statuses=ACTIVE_STATES))
    ]


def test_it_waits_for_the_new_instances_alone(aurora: Runner, scheduler: FakeScheduler, world: World) -> None:
    scheduler.on(
        GetTasksWithoutConfigs,
        tasks(task(0, RUNNING), task(3, RUNNING)),
        tasks(task(4, PENDING), task(5, RUNNING)),
        tasks(task(4, RUNNING), task(5, RUNNING)),
    )
    scheduler.on(AddInstances, ok())
    ran = aurora("job", "add", "--wait-until=RUNNING", f"{KEY}/0", "2")
    assert ran.code == 0
    assert world.slept == [2]
    assert f" INFO] Waiting until {KEY} is RUNNING: 1 of 2\n" in ran.err
    assert scheduler.of(GetTasksWithoutConfigs)[-1].query.instance_ids == {4, 5}


def test_the_instance_must_be_active(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING)))
    ran = aurora("job", "add", f"{KEY}/1", "1")
    assert (ran.code, ran.err) == (6, "Invalid instance parameter: [1]\n")
    assert scheduler.of(AddInstances) == []


def test_a_promise_is_warned_of_and_a_refusal_is_status_10(aurora: Runner, scheduler: FakeScheduler) -> None:
    config = msgspec.structs.replace(CONFIG, sla_policy=SlaPolicy(count_sla_policy=CountSlaPolicy(3, 10)))
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING, config=config)))
    scheduler.on(AddInstances, refused("too many"))
    ran = aurora("job", "add", f"{KEY}/0", "1")
    assert (ran.code, ran.out) == (10, "WARNING: Adding instances without updating SlaPolicy.\n")
    assert ran.err.endswith("Command failure:\n\ttoo many\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((KEY, "1"), f"Task instance specifier {KEY} is not in the form CLUSTER/ROLE/ENV/NAME/INSTANCE"),
        ((f"{KEY}/x", "1"), "Instance must be an integer, but got x"),
        ((f"{KEY}/0", "0"), "a whole number of 1 or more was expected"),
        ((f"{KEY}/0",), "instance_count"),
    ],
)
def test_malformed_arguments_are_usage_errors(aurora: Runner, arguments: tuple[str, ...], told: str) -> None:
    ran = aurora("job", "add", *arguments)
    assert ran.code == 2
    assert told in ran.err
