from __future__ import annotations

import trio
import trio.testing

from aurorad.scheduler.pace import Pace


async def test_others_run_only_once_a_bite_is_over(autojump_clock: trio.testing.MockClock) -> None:
    heard: list[str] = []

    async def other() -> None:
        heard.append("other")

    async with trio.open_nursery() as nursery:
        pace = Pace()
        nursery.start_soon(other)
        await pace.breathe()
        assert heard == []
        for _ in range(5):  # who runs first of those that can is left to chance
            autojump_clock.jump(0.01)
            await pace.breathe()
        assert heard == ["other"]


async def test_a_long_computation_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    with trio.CancelScope() as scope:
        pace = Pace()
        scope.cancel()
        while True:
            autojump_clock.jump(0.01)
            await pace.breathe()
    assert scope.cancelled_caught
