from __future__ import annotations

import trio
import trio.testing

from aurorad.pace import Pace, gently


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


async def test_all_items_are_looked_at_in_order() -> None:
    assert await gently(str, range(3)) == ["0", "1", "2"]
    assert await gently(str, []) == []


async def test_others_get_their_turn_while_items_are_looked_at(autojump_clock: trio.testing.MockClock) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await gently(lambda _: autojump_clock.jump(0.02), range(5))
        nursery.cancel_scope.cancel()
    assert turns >= 4
