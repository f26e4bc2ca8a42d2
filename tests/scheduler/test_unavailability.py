"""Agents that were announced to become unavailable (scheduling sheet, section 8)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.engine.base import InverseOffer
from aurorad.flags import Flags
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, now_ms, story

S = ScheduleStatus


def world() -> World:
    return World(PretendEngine(Agent("h1")), Flags(unavailability_threshold=60.0))


@pytest.mark.parametrize(("starts_in_s", "taken_down_after_s"), [(1000, 940), (61, 1), (30, 0), (-5, 0)])
async def test_tasks_leave_so_long_before_and_the_mode_stays(
    autojump_clock: MockClock, starts_in_s: int, taken_down_after_s: int
) -> None:
    async with world().running() as running:
        ids = await running.create(config(), 3)
        await running.until_count(S.RUNNING, 3)
        announced = trio.current_time()
        running.engine.tell(InverseOffer("i1", "h1", now_ms() + starts_in_s * 1000))
        for task_id in ids:
            drained = await running.until_status(task_id, S.DRAINING)
            assert story(drained)[-1] == (S.DRAINING, "Draining machine for maintenance.")
        assert trio.current_time() - announced == pytest.approx(taken_down_after_s, abs=0.1)
        assert running.tables.hosts["h1"].mode is MaintenanceMode.NONE
        assert running.stats.get("scheduler_inverse_offers") == 1


async def test_what_is_announced_again_holds_as_it_is_said_last(autojump_clock: MockClock) -> None:
    async with world().running() as running:
        (task_id,) = await running.create(config())
        await running.until_status(task_id, S.RUNNING)
        running.engine.tell(InverseOffer("i1", "h1", now_ms() + 100_000))
        running.engine.tell(InverseOffer("i2", "h1", now_ms() + 1_000_000))
        await trio.sleep(900)
        assert running.task(task_id).status is S.RUNNING
        await running.until_status(task_id, S.DRAINING)


async def test_hosts_without_a_name_or_without_tasks_are_no_trouble(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world().running() as running:
        running.engine.tell(InverseOffer("i1", None, now_ms()))
        running.engine.tell(InverseOffer("i2", "nohost", now_ms()))
        await trio.sleep(1)
        assert "inverse offer i1 names no host" in caplog.text
        assert running.stats.get("scheduler_inverse_offers") == 2
