"""What time alone does to a task (task-state-machine sheet, sections 6, 8 and 9)."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, PartitionPolicy, ScheduledTask, TaskEvent
from aurorad.flags import Flags
from aurorad.scheduler.deadlines import TRANSIENT_STATES
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import START_MS, World, config, story

S = ScheduleStatus
NOT_TRANSIENT = (S.STARTING, S.RUNNING, S.PENDING)


def deaf_world(flags: Flags | None = None) -> World:
    engine = PretendEngine(Agent("host-1", cpus=0.1))
    engine.deaf = True
    return World(engine, dataclasses.replace(flags or Flags(), reconciliation_initial_delay=1e6))


def stored(status: S, since_s: float = 0, policy: PartitionPolicy | None = None) -> ScheduledTask:
    place = AssignedTask("a", "agent-of-host-1", "host-1", msgspec.structs.replace(config(), partition_policy=policy))
    event = TaskEvent(START_MS - round(since_s * 1000), status)
    return ScheduledTask(place, status, task_events=(event,))


async def status_after(it: World, task: ScheduledTask, *seconds: float) -> list[tuple[S, str | None]]:
    """The last event of a task that a scheduler found, at these times after it began."""
    seen = []
    async with it.serving():
        await it.storage.write(lambda tx: tx.save_tasks(task))
        it.engine.reconcile = _say_nothing  # type: ignore[method-assign]
        await it.start()
        for at_s in seconds:
            await trio.sleep_until(at_s)
            seen.append(story(it.task("a"))[-1])
    return seen


async def _say_nothing(task_ids: tuple[str, ...]) -> None:
    await trio.lowlevel.checkpoint()


def test_the_transient_states_are_those_of_the_sheet() -> None:
    assert {S.ASSIGNED, S.PREEMPTING, S.RESTARTING, S.KILLING, S.DRAINING} == TRANSIENT_STATES


@pytest.mark.parametrize("status", sorted(TRANSIENT_STATES))
async def test_a_task_stuck_in_a_transient_state_is_lost(status: S, autojump_clock: MockClock) -> None:
    it = deaf_world()
    assert await status_after(it, stored(status, since_s=1000), 299, 301) == [
        (status, None),  # after a restart it has the whole time again
        (S.LOST, "Task timed out"),
    ]
    assert it.stats.get("timed_out_tasks") == 1
    assert (it.successor("a") is None) is (status is S.KILLING)


@pytest.mark.parametrize("status", NOT_TRANSIENT)
async def test_other_states_last(status: S, autojump_clock: MockClock) -> None:
    it = deaf_world()
    assert await status_after(it, stored(status), 3000) == [(status, None)]
    assert it.stats.get("timed_out_tasks") == 0


@pytest.mark.parametrize(
    ("policy", "since_s", "lost_at_s"),
    [
        (None, 0, 0),
        (PartitionPolicy(reschedule=True, delay_secs=0), 0, 0),
        (PartitionPolicy(reschedule=True, delay_secs=60), 0, 60),
        (PartitionPolicy(reschedule=True, delay_secs=60), 20, 40),
        (PartitionPolicy(reschedule=True, delay_secs=60), 80, 0),
        (PartitionPolicy(reschedule=True, delay_secs=60), -86_400, 60),  # the clock was set back
        (PartitionPolicy(reschedule=False), 0, None),
        (PartitionPolicy(reschedule=False, delay_secs=5), 0, None),
    ],
)
async def test_a_partition_lasts_as_long_as_the_policy_says(
    policy: PartitionPolicy | None, since_s: float, lost_at_s: float | None, autojump_clock: MockClock
) -> None:
    it = deaf_world()
    task = stored(S.PARTITIONED, since_s, policy)
    if lost_at_s is None:
        assert await status_after(it, task, 5000) == [(S.PARTITIONED, None)]
        return
    waiting = [max(lost_at_s - 1, 0)] if lost_at_s else []
    *before, after = await status_after(it, task, *waiting, lost_at_s + 1)
    assert before == [(S.PARTITIONED, None)] * len(waiting)
    assert after == (S.LOST, "Task partitioned for too long.")
    assert it.successor("a") is not None
    assert "a" in it.engine.killed


async def test_a_flag_says_how_long_a_transient_state_may_last(autojump_clock: MockClock) -> None:
    it = deaf_world(Flags(transient_task_state_timeout=7.0))
    assert await status_after(it, stored(S.ASSIGNED), 6, 8) == [(S.ASSIGNED, None), (S.LOST, "Task timed out")]


async def test_a_stuck_task_is_counted_once_however_long_the_log_has_no_room(autojump_clock: MockClock) -> None:
    it = deaf_world()
    async with it.serving():
        await it.storage.write(lambda tx: tx.save_tasks(stored(S.ASSIGNED)))
        it.engine.reconcile = _say_nothing  # type: ignore[method-assign]
        await it.start()
        it.log.full = True
        await trio.sleep(400)
        assert it.task("a").status is S.ASSIGNED
        it.log.full = False
        await it.until_status("a", S.LOST)
        await trio.sleep(1)
        assert it.stats.get("timed_out_tasks") == 1
