from __future__ import annotations

import trio
from trio.testing import MockClock

from aurorad.scheduler.permits import Permits


def taken(permits: Permits) -> int:
    return sum(1 for _ in range(1000) if permits.take())


async def test_without_a_limit_there_is_always_one() -> None:
    permits = Permits(None)
    assert taken(permits) == 1000
    await permits.wait()


async def test_those_of_one_second_may_be_saved_up(autojump_clock: MockClock) -> None:
    permits = Permits(40)
    assert taken(permits) == 40
    await trio.sleep(0.5)
    assert taken(permits) == 20
    await trio.sleep(100)
    assert taken(permits) == 40


async def test_less_than_one_a_second_is_possible(autojump_clock: MockClock) -> None:
    permits = Permits(0.1)
    start = trio.current_time()
    for _ in range(3):
        await permits.wait()
        assert permits.take()
    assert 19.9 < trio.current_time() - start < 20.1


async def test_waiting_ends_however_numbers_are_rounded(autojump_clock: MockClock) -> None:
    permits = Permits(3.0)
    await trio.sleep(1e6 / 7)
    for _ in range(1000):
        await permits.wait()
        assert permits.take()
