"""Statistics of what should move on and does not."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from aurorad.flags import Flags
from aurorad.scheduler.stalled import Stalled
from aurorad.vars import Vars
from tests.scheduler import updates_world
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.updates_world import settings
from tests.scheduler.world import World, config


async def test_the_task_that_waits_longest_is_told_until_it_is_gone(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=4))).running() as it:

        def longest() -> int:
            return int(it.stats.get("tasks_pending_longest_secs"))

        assert longest() == 0
        (large,) = await it.create(config(1000, name="large"))
        await trio.sleep(600)
        (larger,) = await it.create(config(1001, name="larger"))
        await trio.sleep(600)
        assert 1140 <= longest() <= 1200
        await it.kill(large)
        await trio.sleep(61)
        assert 600 <= longest() <= 661
        await it.kill(larger)
        await trio.sleep(61)
        assert longest() == 0


async def test_an_update_that_waits_for_a_task_without_room_rests_until_it_is_paused(
    autojump_clock: MockClock,
) -> None:
    never = updates_world.Life(placed=False)
    async with updates_world.World(lambda _: never).running() as it:
        stats = Vars()
        stalled = Stalled(tables=it.tables, groups=lambda: (), flags=Flags(), stats=stats, now_ms=updates_world.now_ms)
        await stalled.look()
        assert stats.get("job_updates_rolling") == 0
        key = await it.update(config(1), 1, settings())
        await trio.sleep(7200)
        await stalled.look()
        assert stats.get("job_updates_rolling") == 1
        assert 7190 <= int(stats.get("job_updates_idle_longest_secs")) <= 7200
        await it.ask(it.updater.pause, key)
        await stalled.look()
        assert stats.get("job_updates_rolling") == 0
        assert stats.get("job_updates_idle_longest_secs") == 0
