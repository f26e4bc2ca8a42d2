"""The steps of a whole update, decided from stored facts: updates sheet, sections 5 and 6."""

import msgspec
import pytest

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    CountSlaPolicy,
    JobKey,
    PercentageSlaPolicy,
    ScheduledTask,
    SlaPolicy,
    TaskConfig,
    TaskEvent,
)
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
)
from aurorad.rules import job_diff
from aurorad.rules.updates.evaluation import AUTO_PAUSED, Course, Kill, Outcome
from aurorad.rules.updates.plan import Plan
from tests.rules.updates.model import by_instance

JOB = JobKey("www", "prod", "web")
OLD, NEW = (TaskConfig(JOB, is_service=True, priority=priority) for priority in (1, 2))
UPDATING, UPDATED = JobUpdateAction.INSTANCE_UPDATING, JobUpdateAction.INSTANCE_UPDATED
UPDATE_FAILED = JobUpdateAction.INSTANCE_UPDATE_FAILED
BACK, IS_BACK = JobUpdateAction.INSTANCE_ROLLING_BACK, JobUpdateAction.INSTANCE_ROLLED_BACK
BACK_FAILED = JobUpdateAction.INSTANCE_ROLLBACK_FAILED
S = JobUpdateStatus
RUNNING, PENDING, FAILED = ScheduleStatus.RUNNING, ScheduleStatus.PENDING, ScheduleStatus.FAILED
QUEUE_OF_9 = JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(9))
BATCH_OF_8 = JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(8))
QUEUE_OF_2 = JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(2))
PAUSING = JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(2, autopause_after_batch=True))
NOW = 10_000


def task(instance: int, config: TaskConfig, *statuses: ScheduleStatus, at_ms: int = 100) -> ScheduledTask:
    events = tuple(TaskEvent(at_ms, status) for status in statuses)
    assigned = AssignedTask(task_id=f"{instance}-{config.priority}", task=config, instance_id=instance)
    return ScheduledTask(assigned, statuses[-1], task_events=events)


def step(
    tasks: list[ScheduledTask],
    *actions: tuple[int, JobUpdateAction],
    initial: int = 4,
    desired: int = 4,
    statuses: tuple[JobUpdateEvent, ...] = (JobUpdateEvent(S.ROLLING_FORWARD, 1, "alice"),),
    strategy: JobUpdateStrategy = QUEUE_OF_2,
    limit: int = 1000,
    **settings: object,
) -> Outcome:
    """Evaluate an update from `initial` OLD instances to `desired` NEW ones; `actions` were recorded at 200 ms."""
    chosen = msgspec.structs.replace(JobUpdateSettings(update_strategy=strategy), **settings)
    changes = job_diff.diff(dict.fromkeys(range(initial), OLD), NEW, desired)
    instructions: JobUpdateInstructions = job_diff.instructions(changes, chosen)
    events = tuple(JobInstanceUpdateEvent(instance, 200, action) for instance, action in actions)
    details = JobUpdateDetails(JobUpdate(instructions=instructions), statuses, events)
    found = by_instance(tasks)
    course = Course(Plan.of(instructions), details, lambda i: found.get(i, ()))
    return course.advance(NOW, limit)


def kills(*task_ids: str, to: TaskConfig | None = NEW) -> list[Kill]:
    """Of the tasks with these ids, to make room for one of `to` each."""
    return [Kill(int(task_id.split("-")[0]), task_id, to) for task_id in task_ids]


def olds(*instances: int) -> list[ScheduledTask]:
    return [task(i, OLD, RUNNING) for i in instances]


def news(*instances: int) -> list[ScheduledTask]:
    return [task(i, NEW, RUNNING, at_ms=300) for i in instances]


ROLLING_BACK = (JobUpdateEvent(S.ROLLING_FORWARD, 1, "alice"), JobUpdateEvent(S.ROLLING_BACK, 150))


def test_the_first_group_is_started_by_killing_what_is_there() -> None:
    found = step(olds(0, 1, 2, 3))
    assert found == Outcome(events=[(0, UPDATING), (1, UPDATING)], kills=kills("0-1", "1-1"))


def test_a_killed_instance_is_added_anew() -> None:
    assert step(olds(1, 2, 3), (0, UPDATING), (1, UPDATED), (2, UPDATED)) == Outcome(
        events=[(3, UPDATING)], kills=kills("3-1"), adds={0: NEW}
    )


def test_an_instance_that_proved_itself_makes_room_for_the_next() -> None:
    found = step([*news(0), task(1, NEW, PENDING), *olds(2, 3)], (0, UPDATING), (1, UPDATING))
    assert found == Outcome(events=[(0, UPDATED), (2, UPDATING)], kills=kills("2-1"))


def test_a_young_instance_is_looked_at_again_when_it_has_run_long_enough() -> None:
    found = step(
        [*news(0), task(1, NEW, RUNNING, at_ms=200), *olds(2, 3)],
        (0, UPDATING),
        (1, UPDATING),
        min_wait_in_instance_running_ms=NOW,
    )
    assert found == Outcome(wake_ms=NOW + 200)


def test_it_ends_when_nobody_is_left() -> None:
    found = step(news(0, 1), (0, UPDATED), (1, UPDATING), initial=2, desired=2)
    assert found == Outcome(events=[(1, UPDATED)], status=S.ROLLED_FORWARD)


def test_new_instances_come_first_and_surplus_ones_go_last() -> None:
    assert step(olds(0, 1), initial=2, desired=4).adds == {2: NEW, 3: NEW}
    assert step([*news(0, 1), *olds(2, 3)], (0, UPDATED), (1, UPDATED), desired=2).kills == kills("2-1", "3-1", to=None)


def test_a_removed_instance_is_done_once_it_is_gone() -> None:
    found = step(news(0, 1), (0, UPDATED), (1, UPDATED), (2, UPDATING), (3, UPDATING), desired=2)
    assert found == Outcome(events=[(2, UPDATED), (3, UPDATED)], status=S.ROLLED_FORWARD)


def failed(instance: int, config: TaskConfig = NEW, at_ms: int = 300) -> list[ScheduledTask]:
    """An ended task and its successor."""
    ended = task(instance, config, RUNNING, FAILED, at_ms=at_ms)
    return [ended, task(instance, config, PENDING, at_ms=at_ms)]


def test_a_failure_beyond_the_limits_rolls_back() -> None:
    found = step([*failed(0), *olds(1, 2, 3)], (0, UPDATING), (1, UPDATING), rollback_on_failure=True)
    assert found == Outcome(
        events=[(0, UPDATE_FAILED)], status=S.ROLLING_BACK, message="Latest failure: instance 0 exited."
    )


def test_a_failure_beyond_the_limits_fails_the_update_when_no_rollback_is_wanted() -> None:
    found = step([*failed(0), *olds(1, 2, 3)], (0, UPDATING))
    assert found.status is S.FAILED
    assert found.message == "Latest failure: instance 0 exited."
    assert not found.kills


def test_a_failure_within_the_limit_of_an_instance_is_waited_out() -> None:
    found = step([*failed(0), *olds(1, 2, 3)], (0, UPDATING), (1, UPDATING), max_per_instance_failures=1)
    assert found == Outcome(kills=kills("1-1"))


def test_a_failed_instance_within_the_limit_of_the_job_is_left_behind() -> None:
    found = step([*failed(0), *news(1), *olds(2, 3)], (0, UPDATING), (1, UPDATING), max_failed_instances=1)
    assert found == Outcome(
        events=[(0, UPDATE_FAILED), (1, UPDATED), (2, UPDATING), (3, UPDATING)], kills=kills("2-1", "3-1")
    )


def test_instances_that_failed_before_a_pause_still_count() -> None:
    resumed = (
        JobUpdateEvent(S.ROLLING_FORWARD, 1, "alice"),
        JobUpdateEvent(S.ROLL_FORWARD_PAUSED, 220, "alice"),
        JobUpdateEvent(S.ROLLING_FORWARD, 250, "alice"),
    )
    found = step(
        [*failed(0), *failed(1), *olds(2, 3)],
        (0, UPDATE_FAILED),
        (1, UPDATING),
        max_failed_instances=1,
        statuses=resumed,
    )
    assert found.status is S.FAILED


def test_an_update_may_end_well_with_failed_instances_within_the_limit() -> None:
    found = step(
        [*failed(0), *news(1)], (0, UPDATE_FAILED), (1, UPDATING), initial=2, desired=2, max_failed_instances=1
    )
    assert found == Outcome(events=[(1, UPDATED)], status=S.ROLLED_FORWARD)


def test_an_instance_once_done_is_not_looked_at_again() -> None:
    assert step([*failed(0), *olds(1, 2, 3)], (0, UPDATED)).events == [(1, UPDATING), (2, UPDATING)]


def test_rolling_back_takes_the_last_first_and_skips_those_never_touched() -> None:
    found = step(
        [*failed(0), *news(1), *olds(2, 3)], (0, UPDATING), (1, UPDATED), (0, UPDATE_FAILED), statuses=ROLLING_BACK
    )
    assert found == Outcome(events=[(1, BACK), (0, BACK)], kills=kills("1-2", "0-2", to=OLD))


def test_rolling_back_tells_of_those_whose_way_there_came_to_nothing() -> None:
    """updates sheet, section 6: only an instance without earlier events is passed over in silence."""
    found = step(olds(0, 1), (1, UPDATING), initial=2, desired=2, statuses=ROLLING_BACK)
    assert found.events == [(1, BACK), (1, IS_BACK)]
    assert not found.kills


def test_rolling_back_ends_when_all_is_as_before() -> None:
    found = step(olds(0, 1, 2, 3), (0, UPDATING), (1, UPDATED), (1, BACK), (0, IS_BACK), statuses=ROLLING_BACK)
    assert found == Outcome(events=[(1, IS_BACK)], status=S.ROLLED_BACK)


def test_rolling_back_removes_what_was_added() -> None:
    found = step(news(0, 1), (0, UPDATED), (1, UPDATING), initial=0, desired=2, statuses=ROLLING_BACK)
    assert found == Outcome(events=[(1, BACK), (0, BACK)], kills=kills("1-2", "0-2", to=None))


def test_a_rollback_that_fails_ends_the_update() -> None:
    found = step([*failed(0, OLD), *olds(1, 2, 3)], (0, BACK), statuses=ROLLING_BACK, rollback_on_failure=True)
    assert found == Outcome(events=[(0, BACK_FAILED)], status=S.FAILED, message="Latest failure: instance 0 exited.")


def test_a_turn_begins_without_failures_though_the_clock_was_set_back() -> None:
    ended = failed(0, OLD, at_ms=NOW + 500)[0]
    found = step([ended, *olds(1, 2, 3)], (0, UPDATED), statuses=ROLLING_BACK)
    assert found == Outcome(events=[(0, BACK)], adds={0: OLD}, after_ms=NOW + 500)


def test_what_the_old_tasks_did_before_the_rollback_is_no_failure_of_it() -> None:
    found = step([*failed(0, OLD, at_ms=50), *olds(1, 2, 3)], (0, BACK), statuses=ROLLING_BACK)
    assert found == Outcome()


@pytest.mark.parametrize(
    "status", [ScheduleStatus.THROTTLED, PENDING, ScheduleStatus.ASSIGNED, ScheduleStatus.PARTITIONED]
)
def test_an_old_instance_that_does_not_run_is_replaced_not_waited_for(status: ScheduleStatus) -> None:
    assert step([task(0, OLD, status)], initial=1, desired=1).kills == kills("0-1")


def pause(at_ms: int) -> tuple[JobUpdateEvent, ...]:
    return (JobUpdateEvent(S.ROLL_FORWARD_PAUSED, at_ms, None, AUTO_PAUSED),)


def rolling(at_ms: int) -> tuple[JobUpdateEvent, ...]:
    return (JobUpdateEvent(S.ROLLING_FORWARD, at_ms, "alice"),)


def test_autopause_does_not_hold_the_first_batch() -> None:
    assert step(olds(0, 1, 2, 3), strategy=PAUSING).events == [(0, UPDATING), (1, UPDATING)]


def test_autopause_waits_for_the_whole_batch() -> None:
    assert step([*news(0), *olds(2, 3)], (0, UPDATING), (1, UPDATING), strategy=PAUSING).status is None


def test_autopause_comes_before_the_next_batch() -> None:
    found = step([*news(0, 1), *olds(2, 3)], (0, UPDATED), (1, UPDATING), strategy=PAUSING)
    assert found == Outcome(events=[(1, UPDATED)], status=S.ROLL_FORWARD_PAUSED, message=AUTO_PAUSED)


def test_resuming_after_an_autopause_starts_the_next_batch() -> None:
    found = step(
        [*news(0, 1), *olds(2, 3)],
        (0, UPDATED),
        (1, UPDATED),
        strategy=PAUSING,
        statuses=rolling(1) + pause(250) + rolling(260),
    )
    assert found.events == [(2, UPDATING), (3, UPDATING)]


def test_a_pause_by_a_person_does_not_replace_an_autopause() -> None:
    found = step(
        [*news(0, 1), *olds(2, 3)],
        (0, UPDATED),
        (1, UPDATING),
        strategy=PAUSING,
        statuses=(*rolling(1), JobUpdateEvent(S.ROLL_FORWARD_PAUSED, 190, "alice", AUTO_PAUSED), *rolling(195)),
    )
    assert found.status is S.ROLL_FORWARD_PAUSED


def test_there_is_no_autopause_after_the_last_batch() -> None:
    found = step(news(0, 1), (0, UPDATED), (1, UPDATING), initial=2, desired=2, strategy=PAUSING, statuses=rolling(1))
    assert found.status is S.ROLLED_FORWARD


def test_a_rollback_does_not_autopause() -> None:
    found = step(
        [*olds(3), *news(0, 1, 2)],
        *((i, UPDATED) for i in range(3)),
        (3, BACK),
        (3, IS_BACK),
        strategy=PAUSING,
        statuses=ROLLING_BACK,
    )
    assert found.events == [(2, BACK), (1, BACK)]


def test_an_update_that_does_not_roll_is_not_evaluated() -> None:
    with pytest.raises(AssertionError, match="ROLL_FORWARD_PAUSED"):
        step(olds(0), statuses=rolling(1) + pause(2))


def test_a_step_is_cut_into_parts_that_nobody_notices() -> None:
    whole = step(olds(*range(8)), initial=8, desired=8, strategy=BATCH_OF_8)
    assert len(whole.events) == 8
    parts = step(olds(*range(8)), initial=8, desired=8, strategy=BATCH_OF_8, limit=6)
    assert parts == Outcome(events=[(i, UPDATING) for i in range(3)], kills=kills("0-1", "1-1", "2-1"), has_more=True)


PERCENTAGE, COUNT = (
    SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(90, 60)),
    SlaPolicy(count_sla_policy=CountSlaPolicy(3, 60)),
)
WITH_OLD_PROMISE, WITH_NEW_PROMISE = (
    msgspec.structs.replace(OLD, sla_policy=PERCENTAGE),
    msgspec.structs.replace(NEW, sla_policy=COUNT),
)


@pytest.mark.parametrize(
    ("statuses", "aware", "promises"),
    [
        ((JobUpdateEvent(S.ROLLING_FORWARD, 1),), True, [COUNT, COUNT]),
        ((JobUpdateEvent(S.ROLLING_FORWARD, 1),), False, [None, None]),
        ((JobUpdateEvent(S.ROLLING_BACK, 1),), True, [PERCENTAGE, None]),
    ],
)
def test_whose_promise_a_kill_keeps(
    statuses: tuple[JobUpdateEvent, ...], aware: bool, promises: list[SlaPolicy | None]
) -> None:
    """Forward the new configuration's, also for what is removed; back that of the instance as it was, if it was."""
    changes = job_diff.diff({0: WITH_OLD_PROMISE, 2: WITH_OLD_PROMISE}, WITH_NEW_PROMISE, 2)
    chosen = JobUpdateSettings(update_strategy=QUEUE_OF_9, sla_aware=aware)
    instructions = job_diff.instructions(changes, chosen)
    details = JobUpdateDetails(JobUpdate(instructions=instructions), statuses)
    tasks = {0: [task(0, WITH_NEW_PROMISE, RUNNING)], 1: [task(1, WITH_NEW_PROMISE, RUNNING)]}
    if statuses[0].status is S.ROLLING_FORWARD:
        tasks = {0: [task(0, WITH_OLD_PROMISE, RUNNING)], 2: [task(2, WITH_OLD_PROMISE, RUNNING)]}
    found = Course(Plan.of(instructions), details, lambda i: tasks.get(i, ())).advance(NOW, limit=1000)
    assert [kill.policy for kill in sorted(found.kills)] == promises
