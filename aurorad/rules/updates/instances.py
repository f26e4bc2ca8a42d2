"""What one instance needs next on its way to its target (updates sheet, section 6, decision table)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from aurorad.api.enums import ACTIVE_STATES, TERMINAL_STATES, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskConfig
from aurorad.api.updates import JobUpdateSettings
from aurorad.rules.task_states import TOLD_TO_END, last_change_ms


class Step(Enum):
    DONE = auto()
    FAILED = auto()
    KILL = auto()
    ADD = auto()
    WAIT = auto()


class Verdict(NamedTuple):
    """`until_ms`: when waiting, the wall-clock time at which the verdict changes by itself, if it does."""

    step: Step
    until_ms: int | None = None


def verdict(
    target: TaskConfig | None, actual: ScheduledTask | None, failures: int, settings: JobUpdateSettings, now_ms: int
) -> Verdict:
    """What to do for an instance that shall run `target`, or nothing at all when that is None.

    `actual` is its active task, `failures` how often the target ended since the instance had its turn.
    """
    if target is not None and failures > settings.max_per_instance_failures:
        return Verdict(Step.FAILED)
    if actual is None:
        return Verdict(Step.DONE if target is None else Step.ADD)
    if target is None or actual.assigned_task.task != target:
        return Verdict(Step.WAIT if actual.status is ScheduleStatus.KILLING else Step.KILL)
    if actual.status is not ScheduleStatus.RUNNING:
        return Verdict(Step.WAIT)
    proven_ms = last_change_ms(actual) + settings.min_wait_in_instance_running_ms
    return Verdict(Step.DONE) if now_ms >= proven_ms else Verdict(Step.WAIT, proven_ms)


def first_event_ms(task: ScheduledTask) -> int:
    return task.task_events[0].timestamp if task.task_events else 0


def failures(target: TaskConfig | None, tasks: Iterable[ScheduledTask], since_ms: int) -> int:
    """How many of an instance's `tasks` ended by themselves with the `target` configuration since then.

    Counted from what the store remembers, so the count survives a pause and a new leader (the original's does not).
    A task that somebody told to go (killed, restarted, preempted, drained) did not fail.
    """
    return sum(
        task.status in TERMINAL_STATES
        and (first_event_ms(task) >= since_ms or last_change_ms(task) > since_ms)
        and task.assigned_task.task == target
        and ended_by_itself(task)
        for task in tasks
    )


def ended_by_itself(task: ScheduledTask) -> bool:
    """Whether nobody told an ended task to end."""
    return all(event.status not in TOLD_TO_END for event in task.task_events)


def may_matter(after: ScheduledTask | None) -> bool:
    """Whether a task that became this (None: was removed) can change a verdict; one on its way cannot."""
    return after is None or after.status is ScheduleStatus.RUNNING or after.status in TERMINAL_STATES


def active_one(tasks: Iterable[ScheduledTask]) -> ScheduledTask | None:
    """The active task among those of one instance; there is never more than one."""
    return next((task for task in tasks if task.status in ACTIVE_STATES), None)
