from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aurorad.scheduler.timers import Timers


async def test_keys_come_in_the_order_of_their_deadlines(autojump_clock: MockClock) -> None:
    timers: Timers[str] = Timers()
    timers.set("late", 3)
    timers.set("early", 1)
    timers.set("now", 0)
    assert await timers.due() == ["now"]
    assert await timers.due() == ["early"]
    assert trio.current_time() == pytest.approx(1)
    assert await timers.due() == ["late"]
    assert trio.current_time() == pytest.approx(3)
    assert len(timers) == 0


async def test_a_key_set_again_is_moved_in_either_direction(autojump_clock: MockClock) -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1)
    timers.set("a", 5)
    timers.set("b", 9)
    timers.set("b", 2)
    assert await timers.due() == ["b"]
    assert trio.current_time() == pytest.approx(2)
    assert await timers.due() == ["a"]
    assert trio.current_time() == pytest.approx(5)


async def test_a_key_that_was_cancelled_never_comes(autojump_clock: MockClock) -> None:
    timers: Timers[str] = Timers()
    timers.set("gone", 1)
    timers.cancel("gone")
    timers.cancel("never there")
    timers.set("there", 2)
    assert await timers.due() == ["there"]


async def test_an_earlier_deadline_wakes_who_waits_for_a_later_one(autojump_clock: MockClock) -> None:
    timers: Timers[str] = Timers()
    timers.set("late", 100)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            assert await timers.due() == ["early"]
            assert trio.current_time() == pytest.approx(11)

        await trio.sleep(10)
        timers.set("early", 1)


async def test_nothing_is_lost_by_a_cancelled_wait(autojump_clock: MockClock) -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await timers.due()
    with trio.move_on_after(0.5):
        await timers.due()
    assert await timers.due() == ["a"]


async def test_what_is_cancelled_is_cleared_away(autojump_clock: MockClock) -> None:
    timers: Timers[int] = Timers()
    for key in range(10_000):
        timers.set(key, 1000)
        timers.cancel(key)
    assert len(timers) == 0
    assert len(timers._heap) < 100
    await wait_all_tasks_blocked()
