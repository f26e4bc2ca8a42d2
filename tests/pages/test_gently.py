import time

import trio

from aurorad.pages import gently as module
from aurorad.pages.gently import gently


async def test_all_items_are_looked_at_in_order() -> None:
    assert await gently(str, range(3)) == ["0", "1", "2"]
    assert await gently(str, []) == []


async def test_others_get_their_turn_during_long_work() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await gently(lambda _: time.sleep(module.LONGEST_HOLD_S), range(5))
        nursery.cancel_scope.cancel()
    assert turns >= 4
