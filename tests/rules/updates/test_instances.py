"""What one instance needs next: the decision table of the updates sheet, section 6."""

import pytest

from aurorad.api.enums import ACTIVE_STATES, TERMINAL_STATES, ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from aurorad.api.updates import JobUpdateSettings
from aurorad.rules.updates.instances import Step, Verdict, active_one, failures, may_matter, verdict

OLD, NEW = TaskConfig(is_service=True, priority=1), TaskConfig(is_service=True, priority=2)
SETTINGS = JobUpdateSettings(max_per_instance_failures=1, min_wait_in_instance_running_ms=500)
KILLING, RUNNING = ScheduleStatus.KILLING, ScheduleStatus.RUNNING
KILLABLE = sorted(ACTIVE_STATES - {KILLING})


def task(config: TaskConfig, *statuses: ScheduleStatus, at_ms: int = 1000) -> ScheduledTask:
    events = tuple(TaskEvent(at_ms, status) for status in statuses)
    return ScheduledTask(AssignedTask(task_id="t", task=config), statuses[-1], task_events=events)


def decide(target: TaskConfig | None, actual: ScheduledTask | None, failed: int = 0, now_ms: int = 2000) -> Verdict:
    return verdict(target, actual, failed, SETTINGS, now_ms)


def test_absent_and_to_be_absent_is_done() -> None:
    assert decide(None, None) == Verdict(Step.DONE)


def test_absent_and_to_be_present_is_added() -> None:
    assert decide(NEW, None) == Verdict(Step.ADD)


@pytest.mark.parametrize("status", KILLABLE)
@pytest.mark.parametrize("target", [None, NEW])
def test_whatever_is_there_and_shall_not_be_is_killed(status: ScheduleStatus, target: TaskConfig | None) -> None:
    assert decide(target, task(OLD, status)) == Verdict(Step.KILL)


@pytest.mark.parametrize("target", [None, NEW])
def test_a_kill_under_way_is_waited_for(target: TaskConfig | None) -> None:
    assert decide(target, task(OLD, RUNNING, KILLING)) == Verdict(Step.WAIT)


@pytest.mark.parametrize("status", sorted(ACTIVE_STATES - {RUNNING}))
def test_the_target_on_its_way_is_waited_for(status: ScheduleStatus) -> None:
    assert decide(NEW, task(NEW, status)) == Verdict(Step.WAIT)


def test_the_target_is_watched_until_it_has_run_long_enough() -> None:
    assert decide(NEW, task(NEW, RUNNING, at_ms=1000), now_ms=1499) == Verdict(Step.WAIT, 1500)
    assert decide(NEW, task(NEW, RUNNING, at_ms=1000), now_ms=1500) == Verdict(Step.DONE)


def test_failures_up_to_the_limit_are_borne() -> None:
    assert decide(NEW, task(NEW, ScheduleStatus.PENDING), failed=1) == Verdict(Step.WAIT)
    assert decide(NEW, task(NEW, ScheduleStatus.PENDING), failed=2) == Verdict(Step.FAILED)
    assert decide(NEW, None, failed=1) == Verdict(Step.ADD)
    assert decide(NEW, None, failed=2) == Verdict(Step.FAILED)


@pytest.mark.parametrize("status", sorted(TERMINAL_STATES))
def test_every_way_to_end_by_itself_is_a_failure(status: ScheduleStatus) -> None:
    assert failures(NEW, [task(NEW, RUNNING, status)], since_ms=1000) == 1


@pytest.mark.parametrize(
    "told", [KILLING, ScheduleStatus.RESTARTING, ScheduleStatus.PREEMPTING, ScheduleStatus.DRAINING]
)
def test_a_task_that_was_told_to_go_did_not_fail(told: ScheduleStatus) -> None:
    assert failures(NEW, [task(NEW, RUNNING, told, ScheduleStatus.KILLED)], since_ms=1000) == 0


def test_other_configurations_and_tasks_that_run_do_not_count() -> None:
    assert failures(NEW, [task(OLD, RUNNING, ScheduleStatus.FAILED), task(NEW, RUNNING)], since_ms=1000) == 0


def test_only_what_happened_since_the_instance_had_its_turn_counts() -> None:
    added = task(NEW, ScheduleStatus.PENDING, RUNNING, ScheduleStatus.FAILED, at_ms=1000)
    assert failures(NEW, [added], since_ms=1000) == 1
    assert failures(NEW, [added], since_ms=1001) == 0


def test_a_task_there_before_the_turn_counts_when_it_ends_after_it() -> None:
    events = (TaskEvent(10, ScheduleStatus.PENDING), TaskEvent(1000, ScheduleStatus.FAILED))
    before = ScheduledTask(AssignedTask(task=NEW), ScheduleStatus.FAILED, task_events=events)
    assert failures(NEW, [before], since_ms=999) == 1
    assert failures(NEW, [before], since_ms=1000) == 0


def test_a_task_on_its_way_changes_no_verdict() -> None:
    on_the_way = {s for s in ScheduleStatus if not may_matter(task(NEW, s))}
    assert on_the_way == set(ScheduleStatus) - TERMINAL_STATES - {RUNNING}
    assert may_matter(None)
    for status in on_the_way & ACTIVE_STATES:
        assert decide(NEW, task(NEW, status)) == Verdict(Step.WAIT)


def test_the_active_task_is_found_among_the_ended() -> None:
    active = task(NEW, ScheduleStatus.THROTTLED)
    assert active_one([task(NEW, ScheduleStatus.FAILED), active]) is active
    assert active_one([task(NEW, ScheduleStatus.FAILED)]) is None
