"""A scheduler may end at any moment: the next one goes on from the tables."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import TERMINAL_STATES, ScheduleStatus
from aurorad.engine.base import TaskState
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, story

S = ScheduleStatus


async def test_running_tasks_are_found_again(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        ids = await world.create(config(), 3)
        await world.until_count(S.RUNNING, 3)
        await world.restart()
        await trio.sleep(1000)
        assert world.tables.count(S.RUNNING) == 3
        assert set(world.engine.live_tasks()) == set(ids)
        assert frozenset(world.engine.reconciled[0]) == frozenset(ids)


async def test_pending_tasks_are_placed_by_the_next_scheduler(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("small", cpus=1))).running() as world:
        (task_id,) = await world.create(config(cpus=8))
        await trio.sleep(1)
        await world.stop()
        world.engine.add(Agent("large"))
        await world.restart()
        with trio.fail_after(1):
            await world.until_status(task_id, S.RUNNING)


async def flapping(world: World) -> str:
    """A task whose two ancestors failed quickly."""
    (task_id,) = await world.create(config())
    for _ in range(2):
        await world.until_status(task_id, S.RUNNING)
        world.engine.status(task_id, TaskState.TASK_FAILED)
        task_id = (await world.until_successor(task_id)).assigned_task.task_id
    return task_id


async def test_a_penalty_goes_on_counting_while_no_scheduler_runs(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        task_id = await flapping(world)
        await trio.sleep(10)
        await world.restart()
        throttled, pending, *_ = (await world.until_status(task_id, S.RUNNING)).task_events
        assert throttled.status is S.THROTTLED
        assert (pending.timestamp - throttled.timestamp) // 1000 == 30


async def test_a_penalty_is_not_longer_for_a_scheduler_whose_clock_is_behind(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        task_id = await flapping(world)
        world.clock_shift_ms = -86_400_000
        began = trio.current_time()
        await world.restart()
        await world.until_status(task_id, S.RUNNING)
        assert trio.current_time() - began < 32


async def test_tasks_that_the_engine_lost_meanwhile_are_replaced_at_once(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        kept, lost = await world.create(config(), 2)
        await world.until_count(S.RUNNING, 2)
        await world.stop()
        world.engine.forget(lost)
        await world.restart()
        with trio.fail_after(1):
            await world.until_status(lost, S.LOST)
            await world.until_count(S.RUNNING, 2)
        assert story(world.task(lost))[-1] == (S.LOST, "Reconciliation: Task is unknown")
        assert world.task(kept).status is S.RUNNING
        assert world.successor(lost) is not None


async def test_what_happened_meanwhile_is_told_and_acknowledged(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(service=False))
        await world.until_status(task_id, S.RUNNING)
        await world.stop()
        world.engine.status(task_id, TaskState.TASK_FINISHED, "done")
        await world.restart()
        await world.until_status(task_id, S.FINISHED)
        await trio.sleep(1)
        assert not world.engine.unacknowledged


@pytest.mark.parametrize("target", [S.KILLING, S.RESTARTING, S.DRAINING, S.PREEMPTING])
async def test_a_kill_that_never_reached_the_engine_is_made_up_for(
    target: ScheduleStatus, autojump_clock: MockClock
) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        await world.stop()
        await world.change(task_id, target)
        await world.restart()
        with trio.fail_after(1):
            await world.until_status(task_id, S.KILLED)
        assert (world.successor(task_id) is None) is (target is S.KILLING)


async def test_a_task_logged_as_assigned_but_never_launched_is_replaced(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        await trio.sleep(1)
        world.engine.deaf = True
        (task_id,) = await world.create(config())
        await trio.sleep(1)
        assert world.task(task_id).status is S.ASSIGNED
        world.engine.deaf = False
        await world.restart()
        await world.until_status(task_id, S.LOST)
        await world.until_count(S.RUNNING, 1)


async def test_tasks_known_to_none_but_the_engine_are_found_and_killed(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        await world.storage.write(lambda tx: tx.remove_tasks([task_id]))
        await trio.sleep(3600)
        assert task_id in world.engine.killed
        assert not world.engine.live_tasks()


async def test_old_history_is_forgotten_by_the_next_scheduler_too(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(service=False))
        await world.until_status(task_id, S.RUNNING)
        world.engine.status(task_id, TaskState.TASK_FINISHED)
        await world.until_status(task_id, S.FINISHED)
        await world.stop()
        await trio.sleep(23 * 3600)
        await world.restart()
        await trio.sleep(23 * 3600)
        await trio.sleep(1.9 * 3600)
        assert world.tasks()
        await trio.sleep(0.2 * 3600)
        assert not world.tasks()


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope after so many steps of any task."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.left = steps
        self.scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


@pytest.mark.parametrize("first_step", range(1, 211, 30))
def test_a_scheduler_may_be_cancelled_at_any_step(first_step: int) -> None:
    """Tasks are created, one fails, one is killed: whenever the scheduler is cut off, all comes right in the end."""

    async def story_with_cut(step: int) -> None:
        async with World(PretendEngine(Agent("host-1", cpus=3))).serving() as world:
            cut = CancelAtStep(step, world.scope)
            trio.lowlevel.add_instrument(cut)
            try:
                with trio.move_on_after(5):
                    await begin(world)
            finally:
                trio.lowlevel.remove_instrument(cut)
            await world.restart()
            await trio.sleep(400)
            check(world)

    async def begin(world: World) -> None:
        with world.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(world.scheduler.run)
                await nursery.start(create_and_disturb, world)
                await trio.sleep(2)
                world.scope.cancel()

    async def create_and_disturb(world: World, task_status: trio.TaskStatus[None]) -> None:
        ids = await world.create(config(), 3)
        task_status.started()
        await world.until_count(S.RUNNING, 3)
        world.engine.status(ids[0], TaskState.TASK_FAILED)
        await world.kill(ids[1])

    def check(world: World) -> None:
        active = [task for task in world.tasks() if task.status not in TERMINAL_STATES]
        running = {task.assigned_task.task_id for task in active}
        assert all(task.status is S.RUNNING for task in active)
        assert set(world.engine.live_tasks()) == running
        instances = [task.assigned_task.instance_id for task in active]
        assert len(instances) == len(set(instances)), "an instance runs twice"
        killed = {
            task.assigned_task.instance_id
            for task in world.tasks()
            if any(event.status is S.KILLING for event in task.task_events)
        }
        created = {task.assigned_task.instance_id for task in world.tasks()}
        assert set(instances) == created - killed
        assert not world.engine.unacknowledged

    for step in range(first_step, first_step + 30, 2):
        trio.run(story_with_cut, step, clock=MockClock(autojump_threshold=0))
