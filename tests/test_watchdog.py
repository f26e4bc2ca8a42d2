import time

import trio

from aurorad.vars import Vars
from aurorad.watchdog import LIMIT_S, Watchdog


def test_a_step_that_holds_the_loop_is_counted_and_measured() -> None:
    stats = Vars()

    async def hold() -> None:
        until = time.perf_counter() + LIMIT_S * 1.2
        while time.perf_counter() < until:
            pass

    trio.run(hold, instruments=[Watchdog(stats)])
    longest = stats.get("event_loop_longest_hold_ms")
    assert stats.get("event_loop_long_holds") == 1
    assert isinstance(longest, float)
    assert longest >= LIMIT_S * 1000


async def test_added_later_it_counts_from_the_next_step_on() -> None:
    stats = Vars()
    watchdog = Watchdog(stats)
    trio.lowlevel.add_instrument(watchdog)
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()
    trio.lowlevel.remove_instrument(watchdog)
    longest = stats.get("event_loop_longest_hold_ms")
    assert isinstance(longest, float)
    assert longest < 60_000  # not all of the time since the machine was started
