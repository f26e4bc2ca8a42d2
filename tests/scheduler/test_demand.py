"""Who needs no offers leaves them to others, and nobody who needs some is left without."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.flags import Flags
from aurorad.scheduler.demand import AGAIN_S
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config

S = ScheduleStatus
HELD_S = 361  # longer than any offer


def world() -> World:
    return World(PretendEngine(Agent("host-1")))


async def test_offers_are_suppressed_once_one_went_back_and_nobody_waits(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        await trio.sleep(200)
        early = it.engine.is_suppressed
        await trio.sleep(HELD_S - 200)
        assert (early, it.engine.is_suppressed) == (False, True)
        assert len(it.engine.declined) == 1
        await trio.sleep(1000)
        assert len(it.engine.declined) == 1
        assert not it.engine.offers


async def test_the_first_who_waits_has_offers_made_again(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        await trio.sleep(HELD_S)
        (task_id,) = await it.create(config())
        with trio.fail_after(2):
            await it.until_status(task_id, S.RUNNING)
        assert not it.engine.is_suppressed


async def test_offers_are_not_suppressed_while_somebody_waits(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        await it.create(config(cpus=1000))
        await trio.sleep(HELD_S)
        assert it.engine.declined
        assert not it.engine.is_suppressed


async def test_who_waits_asks_again_if_the_call_was_lost(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        await trio.sleep(HELD_S)
        it.engine.deaf = True
        (task_id,) = await it.create(config())
        await trio.sleep(10)
        it.engine.deaf = False
        assert it.engine.is_suppressed
        with trio.fail_after(AGAIN_S):
            await it.until_status(task_id, S.RUNNING)


async def test_a_full_cluster_is_asked_for_offers_now_and_then_only(autojump_clock: MockClock) -> None:
    async with World(PretendEngine()).running() as it:
        await it.create(config())
        await trio.sleep(10 * AGAIN_S)
        assert it.engine.revivals == 10


async def test_a_new_connection_is_offered_everything(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        await trio.sleep(HELD_S)
        assert it.engine.is_suppressed
        await it.restart()
        await trio.sleep(1)
        assert it.scheduler.offers.ordered()


async def test_who_only_wants_to_look_has_offers_made(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        await it.scheduler.offers.at_hand()
        assert it.engine.revivals == 0
        await trio.sleep(HELD_S)
        assert not it.scheduler.offers.ordered()
        await it.scheduler.offers.at_hand()
        assert it.scheduler.offers.ordered()
        await trio.sleep(HELD_S)
        assert it.engine.is_suppressed
        assert it.engine.revivals == 1


async def test_who_looks_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        await trio.sleep(HELD_S)
        it.engine.deaf = True
        with trio.fail_after(5):
            await it.scheduler.offers.at_hand()


async def test_who_holds_offers_for_ever_wants_them_for_ever(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1")), Flags(hold_offers_forever=True)).running() as it:
        await trio.sleep(10_000)
        assert not it.engine.is_suppressed
        assert not it.engine.revivals
