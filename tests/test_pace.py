from __future__ import annotations

import itertools

import pytest
import trio
import trio.testing

from aurorad.pace import Pace, gently, give_way, next_batch


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


async def test_a_batch_is_what_waits_up_to_so_many() -> None:
    send, receive = trio.open_memory_channel[int](10)
    for number in range(5):
        send.send_nowait(number)
    assert await next_batch(receive, 3) == [0, 1, 2]
    assert await next_batch(receive, 3) == [3, 4]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send.send, 5)
        assert await next_batch(receive, 3) == [5]


async def test_the_last_batch_of_a_closed_channel_is_what_was_left() -> None:
    send, receive = trio.open_memory_channel[int](10)
    send.send_nowait(1)
    send.close()
    assert await next_batch(receive, 3) == [1]
    with pytest.raises(trio.EndOfChannel):
        await next_batch(receive, 3)


async def test_of_many_who_give_way_one_at_a_time_goes_on() -> None:
    went_on: list[int] = []
    turns = 0

    async def work() -> None:
        while True:
            await give_way()
            went_on.append(turns)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(work)
        while turns < 100:
            turns += 1
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert went_on
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(went_on))
