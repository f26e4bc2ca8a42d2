"""Kills are passed on, and repeated (task-state-machine sheet, section 8)."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask
from aurorad.flags import Flags
from aurorad.scheduler.kills import Kills
from aurorad.storage.events import TaskChanged
from aurorad.vars import Vars
from tests.scheduler.pretend_engine import PretendEngine

S = ScheduleStatus


class Half(random.Random):
    """Every wait is half as long again as the last."""

    def random(self) -> float:
        return 0.5


class Killed(PretendEngine):
    """Notes when."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def kill(self, task_id: str) -> None:
        await trio.lowlevel.checkpoint()
        self.times.append(round(trio.current_time(), 1))


def change(before: S | None, after: S | None) -> TaskChanged:
    tasks = [ScheduledTask(AssignedTask("a"), status) if status is not None else None for status in (before, after)]
    return TaskChanged(*tasks)


def kills(engine: Killed, stats: Vars) -> Kills:
    return Kills(engine=engine, flags=Flags(), stats=stats, rng=Half())


async def test_a_kill_is_repeated_ever_more_seldom(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    engine, stats = Killed(), Vars()
    it = kills(engine, stats)
    nursery.start_soon(it.run)
    it.request("a")
    it.changed(change(S.RUNNING, S.KILLING))
    await trio.sleep(1000)
    waits = [22.5, 33.8, 50.6, 75.9, 113.9, 170.9, 256.3, 300.0]  # from 15 s on, half as long again, at most 5 min
    expected = [0.0]
    for wait in waits:
        expected.append(expected[-1] + wait)
    within = [time for time in expected if time < 1000]
    assert engine.times == pytest.approx(within, abs=0.5)
    assert stats.get("task_kill_retries") == len(within) - 1


@pytest.mark.parametrize("end", [S.KILLED, S.FINISHED, S.FAILED, S.LOST, None])
async def test_nobody_is_reminded_of_what_has_ended(
    end: S | None, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    engine, stats = Killed(), Vars()
    it = kills(engine, stats)
    nursery.start_soon(it.run)
    it.changed(change(S.RUNNING, S.KILLING))
    it.changed(change(S.KILLING, end))
    await trio.sleep(1000)
    assert engine.times == []


@pytest.mark.parametrize("status", [S.KILLING, S.RESTARTING, S.PREEMPTING, S.DRAINING])
async def test_a_task_found_ending_is_killed_at_once_and_reminded_of(
    status: S, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    engine = Killed()
    it = kills(engine, Vars())
    nursery.start_soon(it.run)
    it.changed(change(None, status))
    await trio.sleep(30)
    assert engine.times == [0.0, 22.5]


@pytest.mark.parametrize("status", [S.PENDING, S.ASSIGNED, S.STARTING, S.RUNNING, S.PARTITIONED, S.LOST, S.THROTTLED])
async def test_a_task_found_in_any_other_state_is_left_alone(
    status: S, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    engine = Killed()
    it = kills(engine, Vars())
    nursery.start_soon(it.run)
    it.changed(change(None, status))
    await trio.sleep(1000)
    assert engine.times == []
