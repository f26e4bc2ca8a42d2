"""What holds of every update, whatever fails and whenever the updater is replaced."""

from __future__ import annotations

import dataclasses

import trio
import trio.testing
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aurorad.api.enums import JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskConfig
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateKey,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    VariableBatchJobUpdateStrategy,
)
from aurorad.rules.updates.transitions import ACTIVE
from tests.scheduler.updates_world import JOB, NEW, NEWER, OLD, Life, World, settings

S = JobUpdateStatus
T = ScheduleStatus


@dataclasses.dataclass(frozen=True)
class Case:
    initial: dict[int, TaskConfig]
    count: int
    strategy: JobUpdateStrategy
    group: int
    """The largest group."""
    failing: dict[int, int]
    """How often each instance of NEW fails before it lives."""
    max_failed: int
    max_per_instance: int
    rollback: bool
    interruptions: list[tuple[float, str]]


def queues(size: int) -> tuple[JobUpdateStrategy, int]:
    return JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(size)), size


def batches(size: int, autopause: bool) -> tuple[JobUpdateStrategy, int]:
    return JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(size, autopause)), size


def varying(sizes: list[int], autopause: bool) -> tuple[JobUpdateStrategy, int]:
    strategy = VariableBatchJobUpdateStrategy(tuple(sizes), autopause)
    return JobUpdateStrategy(var_batch_strategy=strategy), max(sizes)


sizes = st.integers(1, 4)
strategies = (
    st.builds(queues, sizes)
    | st.builds(batches, sizes, st.booleans())
    | st.builds(varying, st.lists(sizes, min_size=1, max_size=3), st.booleans())
)
cases = st.builds(
    lambda chosen, **rest: Case(strategy=chosen[0], group=chosen[1], **rest),
    strategies,
    initial=st.dictionaries(st.integers(0, 6), st.sampled_from([OLD, NEWER]), max_size=6),
    count=st.integers(1, 7),
    failing=st.dictionaries(st.integers(0, 6), st.integers(1, 3), max_size=3),
    max_failed=st.integers(0, 2),
    max_per_instance=st.integers(0, 2),
    rollback=st.booleans(),
    interruptions=st.lists(
        st.tuples(st.floats(0.01, 3.0), st.sampled_from(["restart", "pause", "silence", "drain", "back"])), max_size=4
    ),
)


@given(cases)
@hypothesis_settings(max_examples=150)
def test_every_update_ends_as_it_should(case: Case) -> None:
    trio.run(_play, case, clock=trio.testing.MockClock(autojump_threshold=0))


async def _play(case: Case) -> None:
    left = dict(case.failing)

    def life(task: ScheduledTask) -> Life:
        instance = task.assigned_task.instance_id
        if task.assigned_task.task != NEW or not left.get(instance):
            return Life()
        left[instance] -= 1
        return Life(0.3)

    async with World(life).running() as world:
        await world.create(OLD, *(i for i, config in case.initial.items() if config == OLD))
        await world.create(NEWER, *(i for i, config in case.initial.items() if config == NEWER))
        key = await world.update(
            NEW,
            case.count,
            settings(
                update_strategy=case.strategy,
                max_failed_instances=case.max_failed,
                max_per_instance_failures=case.max_per_instance,
                rollback_on_failure=case.rollback,
            ),
        )
        for after_s, what in case.interruptions:
            await trio.sleep(after_s)
            await _interrupt(world, key, what)
        await _to_its_end(world, key)
        _check(world, key, case)


async def _interrupt(world: World, key: JobUpdateKey, what: str) -> None:
    if what == "restart":
        await world.restart_updater()
    elif what == "silence":
        world.stop_updater()
        await trio.sleep(2)
        await world.restart_updater()
    elif what == "drain":
        await _drain(world)
    elif what == "back":
        if world.status(key) in ACTIVE:
            await world.ask(world.updater.rollback, key)
    elif world.status(key) in ACTIVE:
        await world.ask(world.updater.pause, key)
        await trio.sleep(2)
        await world.ask(world.updater.resume, key)


async def _drain(world: World) -> None:
    """Somebody else takes all running tasks of the first host down: that is nobody's failure."""
    for task in world.tables.job_tasks(JOB, frozenset({T.RUNNING}))[:2]:
        await world.move(task.assigned_task.task_id, T.DRAINING, expected=T.RUNNING)
        await world.move(task.assigned_task.task_id, T.KILLED, expected=T.DRAINING)


async def _to_its_end(world: World, key: JobUpdateKey) -> None:
    """Resume it after each of its own pauses."""
    paused = (S.ROLL_FORWARD_PAUSED, S.ROLL_BACK_PAUSED)
    while True:
        await world.until(key, *paused, *(status for status in S if status not in ACTIVE))
        if world.status(key) not in paused:
            return
        await world.ask(world.updater.resume, key)


def _was_spared(world: World, key: JobUpdateKey, case: Case) -> bool:
    """A task that is drained before it fails has not failed."""
    return world.status(key) is S.ROLLED_FORWARD and any(what == "drain" for _, what in case.interruptions)


def _check(world: World, key: JobUpdateKey, case: Case) -> None:
    wanted = dict.fromkeys(range(case.count), NEW)
    failing = {i for i, times in case.failing.items() if i < case.count and times > case.max_per_instance}
    asked_back = any(
        event.status is S.ROLLING_BACK and event.user == "bob" for event in world.details(key).update_events
    )
    if asked_back:
        assert world.status(key) is S.ROLLED_BACK
        assert world.configs() == case.initial
    elif len(failing) <= case.max_failed or _was_spared(world, key, case):
        assert world.status(key) is S.ROLLED_FORWARD
        assert world.configs() == wanted
    elif case.rollback:
        assert world.status(key) is S.ROLLED_BACK
        assert world.configs() == case.initial
    else:
        assert world.status(key) is S.FAILED
    assert world.most_at_once <= case.group
    actions = world.actions(key)
    assert len(set(actions)) == len(actions), f"an instance event was recorded twice: {actions}"
    world_failed = {i for i, action in actions if action == "INSTANCE_UPDATE_FAILED"}
    assert world_failed <= failing
