"""Every update ends, or says what it waits for."""

from __future__ import annotations

import pytest

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.api.updates import (
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
)
from aurorad.rules import job_diff
from aurorad.rules.updates.transitions import ACTIVE
from aurorad.rules.updates.waiting import waits_for
from tests.rules.updates.test_evaluation import NEW, NOW, OLD, UPDATED, UPDATING, task

S, T = JobUpdateStatus, ScheduleStatus
SETTINGS = JobUpdateSettings(
    max_per_instance_failures=2,
    min_wait_in_instance_running_ms=12_000,
    update_strategy=JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(9)),
)


def details(*events: JobUpdateEvent, began: tuple[int, ...] = (), done: tuple[int, ...] = ()) -> JobUpdateDetails:
    changes = job_diff.diff(dict.fromkeys(range(4), OLD), NEW, 6)
    update = JobUpdate(instructions=job_diff.instructions(changes, SETTINGS))
    noted = [(i, UPDATING) for i in began] + [(i, UPDATED) for i in done]
    return JobUpdateDetails(update, events, tuple(JobInstanceUpdateEvent(i, 200, action) for i, action in noted))


def said(found: JobUpdateDetails, *tasks: ScheduledTask, objections: dict[str, str] | None = None) -> tuple[str, ...]:
    by_instance: dict[int, list[ScheduledTask]] = {}
    for each in tasks:
        by_instance.setdefault(each.assigned_task.instance_id, []).append(each)
    return waits_for(found, lambda i: by_instance.get(i, ()), objections or {}, NOW)


ROLLING = JobUpdateEvent(S.ROLLING_FORWARD, 1, "alice")


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            JobUpdateEvent(S.ROLL_FORWARD_PAUSED, 2, "bob", "look first"),
            "It was paused by bob (look first): it goes on when somebody resumes it.",
        ),
        (
            JobUpdateEvent(S.ROLL_FORWARD_PAUSED, 2, None, "Update auto paused"),
            "It was paused by itself (Update auto paused): it goes on when somebody resumes it.",
        ),
        (
            JobUpdateEvent(S.ROLL_FORWARD_AWAITING_PULSE, 2),
            "It waits for a pulse (pulseJobUpdate): the service that watches over it has given none in time.",
        ),
        (ROLLING, "It is about to begin its next instances."),
    ],
)
def test_an_update_that_does_nothing_says_why(event: JobUpdateEvent, sentence: str) -> None:
    assert said(details(ROLLING, event)) == (sentence,)


@pytest.mark.parametrize("status", sorted(set(S) - ACTIVE))
def test_an_update_that_ended_waits_for_nothing(status: JobUpdateStatus) -> None:
    assert said(details(ROLLING, JobUpdateEvent(status, 2))) == ()


def test_instances_that_wait_for_the_same_are_told_together() -> None:
    found = details(ROLLING, began=(0, 1, 2, 3, 4, 5), done=(5,))
    tasks = [
        task(0, NEW, T.PENDING),
        task(1, NEW, T.PENDING),
        task(2, NEW, T.RUNNING, at_ms=NOW - 2000),
        task(3, OLD, T.KILLING),
        task(4, NEW, T.ASSIGNED),
    ]
    assert said(found, *tasks) == (
        "Instances 0-1 must find a host.",
        "Instance 2 must run for 10 s more.",
        "Instance 3 must end first.",
        "Instance 4 must start.",
    )


def test_failures_so_far_are_told() -> None:
    ended = task(0, NEW, T.RUNNING, T.FAILED, at_ms=300)
    assert said(details(ROLLING, began=(0,)), ended, task(0, NEW, T.THROTTLED, at_ms=300)) == (
        "Instance 0 ended too soon and must wait before it is tried again (one failure so far, 2 allowed).",
    )


def test_a_promise_that_holds_a_task_back_is_told() -> None:
    old = task(0, OLD, T.RUNNING)
    sentence = "3 of 4 instances must have run for 30 s without it; 2 have"
    assert said(details(ROLLING, began=(0,)), old, objections={old.assigned_task.task_id: sentence}) == (
        f"Instance 0 may not be taken down yet: {sentence}.",
    )


def test_a_lost_agent_is_told() -> None:
    assert said(details(ROLLING, began=(4,)), task(4, NEW, T.PARTITIONED)) == (
        "Instance 4 must be reached again: its agent does not answer.",
    )


def test_the_way_back_is_told_of_its_own_instances() -> None:
    back = JobUpdateEvent(S.ROLLING_BACK, 150)
    found = details(ROLLING, back)
    noted = (JobInstanceUpdateEvent(5, 200, JobUpdateAction.INSTANCE_ROLLING_BACK),)
    found = JobUpdateDetails(found.update, found.update_events, noted)
    assert said(found, task(5, NEW, T.KILLING)) == ("Instance 5 must end first.",)
