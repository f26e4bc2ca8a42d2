"""The life of a task and of an update, transcribed once more from the sheets: the simulation does not ask the product.

A row is a state and what may follow it. Behind a colon: r, it has a successor; rs, if it is a service; rf, if its
failures allow it; rk, unless it was being killed; f, a failure is counted; l, LOST follows at once. That a killed task
makes room for a cron run is noted once more.
"""

from __future__ import annotations

import itertools

import msgspec

from aurorad.api.enums import JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import ScheduledTask

_TASKS = """
THROTTLED   PENDING
PENDING     ASSIGNED
ASSIGNED    STARTING RUNNING FINISHED:rs FAILED:f,rf KILLED:r LOST:r KILLING PREEMPTING RESTARTING DRAINING
STARTING    RUNNING FINISHED:rs FAILED:f,rf KILLED:r LOST:r KILLING PREEMPTING RESTARTING DRAINING PARTITIONED
RUNNING     FINISHED:rs FAILED:f,rf KILLED:r LOST:r KILLING PREEMPTING RESTARTING DRAINING PARTITIONED
PARTITIONED ASSIGNED STARTING RUNNING FINISHED FAILED:f,rf LOST:rk KILLING:l PREEMPTING:l RESTARTING:l DRAINING:l
PREEMPTING  FINISHED:r FAILED:r KILLED:r LOST:r KILLING PARTITIONED:l
RESTARTING  FINISHED:r FAILED:r KILLED:r LOST:r KILLING PARTITIONED:l
DRAINING    FINISHED:r FAILED:r KILLED:r LOST:r KILLING PARTITIONED:l
KILLING     FINISHED FAILED KILLED LOST PARTITIONED:l KILLING
"""

_UPDATES = """
ROLLING_FORWARD             ROLLING_BACK ROLL_FORWARD_PAUSED ROLL_FORWARD_AWAITING_PULSE ROLLED_FORWARD ABORTED FAILED ERROR
ROLLING_BACK                ROLL_BACK_PAUSED ROLL_BACK_AWAITING_PULSE ROLLED_BACK ABORTED ERROR FAILED
ROLL_FORWARD_PAUSED         ROLLING_BACK ROLLING_FORWARD ROLL_FORWARD_AWAITING_PULSE ABORTED ERROR
ROLL_BACK_PAUSED            ROLLING_BACK ROLL_BACK_AWAITING_PULSE ABORTED ERROR
ROLL_FORWARD_AWAITING_PULSE ROLLING_BACK ROLLING_FORWARD ROLL_FORWARD_PAUSED ABORTED ERROR
ROLL_BACK_AWAITING_PULSE    ROLLING_BACK ROLL_BACK_PAUSED ABORTED ERROR
"""  # noqa: E501 - a table is read across

S = ScheduleStatus
ENDED = frozenset({S.FINISHED, S.FAILED, S.KILLED, S.LOST})
ON_AGENT = frozenset(
    {S.ASSIGNED, S.STARTING, S.RUNNING, S.PARTITIONED, S.KILLING, S.PREEMPTING, S.RESTARTING, S.DRAINING}
)
ACTIVE = ON_AGENT | {S.PENDING, S.THROTTLED}
MAY_BE_FORGOTTEN = ENDED | {S.PENDING, S.THROTTLED, S.KILLING}


def _tasks() -> dict[tuple[S, S], frozenset[str]]:
    rows = (line.split() for line in _TASKS.strip().splitlines())
    cells = ((row[0], *cell.partition(":")[::2]) for row in rows for cell in row[1:])
    return {
        (ScheduleStatus[one], ScheduleStatus[other]): frozenset(filter(None, marks.split(",")))
        for one, other, marks in cells
    }


_STEPS = _tasks()
_UPDATE_STEPS = {
    (JobUpdateStatus[row[0]], JobUpdateStatus[other])
    for row in (line.split() for line in _UPDATES.strip().splitlines())
    for other in row[1:]
}
ENDED_UPDATES = frozenset(JobUpdateStatus) - {one for one, _ in _UPDATE_STEPS}


def wrong_step(before: ScheduledTask, after: ScheduledTask) -> str | None:
    """What is not legal about a stored change of one task, in a few words."""
    path = _path(before, after)
    failures = before.failure_count
    for number, (one, other) in enumerate(itertools.pairwise(path)):
        marks = _STEPS.get((one, other))
        if marks is None:
            return f"{one.name} to {other.name}"
        if "l" in marks and path[number + 2 : number + 3] != [S.LOST]:
            return f"{one.name} to {other.name} without LOST"
        failures += "f" in marks
    if after.status is not path[-1]:
        return f"status {after.status.name}, but its last event is {path[-1].name}"
    if after.failure_count != failures:
        return f"{after.failure_count} failures, {failures} were expected"
    return None


def as_it_began(task: ScheduledTask) -> ScheduledTask:
    """The record as it was after its first event."""
    return msgspec.structs.replace(task, status=task.task_events[0].status, task_events=task.task_events[:1])


def has_successor(before: ScheduledTask, after: ScheduledTask) -> bool:
    """Whether this change, to an end, must bring a successor into being."""
    path = _path(before, after)
    marks = _STEPS.get((path[-2], path[-1]), frozenset()) if len(path) > 1 else frozenset()
    config = after.assigned_task.task
    may_fail = config.max_task_failures == -1 or after.failure_count < config.max_task_failures
    return (
        "r" in marks
        or ("rs" in marks and config.is_service)
        or ("rf" in marks and (config.is_service or may_fail))
        or ("rk" in marks and all(event.status is not S.KILLING for event in after.task_events))
    )


def _path(before: ScheduledTask, after: ScheduledTask) -> list[S]:
    """The states that it went through, by its events; those of former partitions may have been forgotten."""
    shared = 0
    for one, other in zip(before.task_events, after.task_events, strict=False):
        if one != other:
            break
        shared += 1
    return [before.status, *(event.status for event in after.task_events[shared:])]


def may_follow(one: JobUpdateStatus, other: JobUpdateStatus) -> bool:
    return (one, other) in _UPDATE_STEPS


def can_follow(one: S, other: S) -> bool:
    return (one, other) in _STEPS
