"""Candidates find an offer if and only if the rules say that one fits, whatever happens to offers and tasks."""

from __future__ import annotations

import random

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import Attribute, Constraint, TaskConfig
from aurorad.engine.base import Offer, Resource
from aurorad.flags import Flags
from aurorad.rules import executors, matching
from aurorad.rules.matching import Host, Request
from aurorad.scheduler.candidates import Candidates, key_of
from aurorad.scheduler.census import LiveCensus
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.ordered import START, HeldOffer
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.vars import Vars
from tests.scheduler.pretend_engine import PretendEngine
from tests.scheduler.world import config, limit, value
from tests.storage.memory_log import MemoryLog

JOB = config().job


def never() -> bool:
    return False


class Setting:
    """Offers that come and go, and candidates for one request."""

    def __init__(self, wanted: TaskConfig, seed: int = 1, flags: Flags | None = None) -> None:
        self.storage = Storage(MemoryLog(), Tables())
        self.stats = Vars()
        self.offers = Offers(
            storage=self.storage,
            engine=PretendEngine(),
            flags=flags or Flags(hold_offers_forever=True),
            stats=self.stats,
            rng=random.Random(seed),
        )
        self.request = request_of(wanted)
        self.census = LiveCensus(self.storage.tables, JOB, ["host", "rack"]) if self.request.limits else None
        self.now_ms = 0
        self.candidates = Candidates(
            key_of(self.request), self.request, self.offers, self.census, self.stats, lambda: self.now_ms
        )

    def verdict(self, held: HeldOffer) -> matching.Verdict:
        """By the rules."""
        bag = held.revocable_bag if self.request.revocable else held.bag
        host = Host(held.values, held.mode, held.offer.unavailability_start_ms)
        counts = self.census.counts if self.census is not None else {}
        return matching.judge(self.request, bag, host, counts, self.now_ms)

    def found(self) -> list[HeldOffer]:
        """All that a search finds."""
        assert self.candidates.catch_up(never)
        found: list[HeldOffer] = []
        while True:
            found += [
                held
                for held in self.candidates.walk(START, never)
                if held not in found and self.candidates.still_fits(held)
            ]
            if not self.candidates.reopen():
                return found


def request_of(wanted: TaskConfig, revocable: bool = False) -> Request:
    return matching.request_of(wanted, executors.BUILT_IN, revocable)


def offer(number: int, cpus: float = 4, host: int = 0, rack: str | None = None, start_ms: int | None = None) -> Offer:
    attributes = {Attribute("host", frozenset({f"h{host}"}))}
    if rack is not None:
        attributes.add(Attribute("rack", frozenset({rack})))
    resources = (Resource("cpus", cpus), Resource("mem", 4096.0), Resource("disk", 4096.0))
    return Offer(f"o{number}", f"a{number}", f"h{host}", resources, frozenset(attributes), start_ms)


CONSTRAINTS = st.sampled_from(
    [
        (),
        (limit("host", 1),),
        (limit("rack", 1),),
        (limit("rack", 2), limit("host", 1)),
        (value("rack", "r1"),),
        (value("rack", "r1", negated=True), limit("host", 2)),
        (value("dedicated", "www-data/x"),),
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("offer"),
            st.sampled_from([0.0, 0.5, 1.0, 4.0]),
            st.integers(0, 3),
            st.sampled_from([None, "r0", "r1", "r2"]),
            st.sampled_from([None, None, 5, 50]),
        ),
        st.tuples(st.just("gone"), st.integers(0, 100)),
        st.tuples(st.just("placed"), st.integers(0, 100)),
        st.tuples(st.just("ended"), st.integers(0, 100)),
        st.tuples(st.just("search")),
        st.tuples(st.just("few")),
        st.tuples(st.just("clear")),
        st.tuples(st.just("later")),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(constraints=CONSTRAINTS, steps=STEPS, seed=st.integers(0, 1000))
def test_a_search_finds_what_the_rules_say_fits_and_nothing_else(
    constraints: tuple[Constraint, ...], steps: list[tuple[object, ...]], seed: int
) -> None:
    async def live() -> None:
        setting = Setting(config(constraints=constraints), seed)
        async with trio.open_nursery() as nursery:
            await nursery.start(setting.storage.run)
            for number, step in enumerate([*steps, ("search",)]):
                await change(setting, number, step)
            nursery.cancel_scope.cancel()

    trio.run(live)


async def change(setting: Setting, number: int, step: tuple[object, ...]) -> None:
    held = setting.offers.ordered()
    match step:
        case ("offer", float(cpus), int(host), str() | None as rack, int() | None as start_ms):
            await setting.offers.receive((offer(number, cpus, host, rack, start_ms),))
        case ("gone", int(which)) if held:
            setting.offers.take(held[which % len(held)].number)
        case ("placed", int(which)) if setting.census is not None:
            fitting = setting.found()
            if fitting:
                setting.census.came(f"task-{number}", fitting[which % len(fitting)].values)
        case ("ended", int(which)) if setting.census is not None:
            setting.candidates.fewer_at(setting.census.left(f"task-{which}"))
        case ("few",):
            setting.candidates.catch_up(never)
            next(setting.candidates.walk(START, never), None)
        case ("clear",):
            setting.offers.clear()
        case ("later",):
            setting.now_ms += 20
        case ("search",):
            fits = {one.number for one in held if not setting.verdict(one) and one.kind.has_cpus_and_ram}
            found = [one.number for one in setting.found()]
            assert sorted(found) == sorted(fits)
            reasons = {setting.verdict(one) for one in held if one.kind.has_cpus_and_ram} - {()}
            assert not reasons or setting.candidates.nearest()


async def test_offers_are_found_in_the_order_of_use() -> None:
    setting = Setting(config())
    await in_storage(setting, *[offer(number, host=number) for number in range(50)])
    assert setting.found() == setting.offers.ordered()


async def test_no_offer_is_judged_before_it_is_needed() -> None:
    setting = Setting(config())
    await in_storage(setting, *[offer(number, host=number) for number in range(50)])
    assert setting.candidates.catch_up(never)
    first = next(setting.candidates.walk(START, never))
    setting.candidates.tell()
    assert first is setting.offers.ordered()[0]
    assert setting.stats.get("veto_evaluated_offers") == 1


async def test_offers_are_judged_once() -> None:
    setting = Setting(config(cpus=9))
    await in_storage(setting, *[offer(number, host=number) for number in range(50)])
    for _ in range(3):
        assert not setting.found()
        setting.candidates.tell()
        assert setting.stats.get("veto_evaluated_offers") == 50
    assert setting.stats.get("scheduling_veto_insufficient_resources") == 50


async def test_a_search_ends_when_it_is_late_and_goes_on_where_it_was() -> None:
    setting = Setting(config(cpus=9))
    await in_storage(setting, *[offer(number, host=number) for number in range(300)])
    assert setting.candidates.catch_up(never)
    assert not list(setting.candidates.walk(START, lambda: True))
    setting.candidates.tell()
    assert 0 < int(setting.stats.get("veto_evaluated_offers")) < 300
    assert not setting.found()
    setting.candidates.tell()
    assert setting.stats.get("veto_evaluated_offers") == 300


async def test_many_candidates_that_are_gone_do_not_make_a_search_late() -> None:
    setting = Setting(config())
    await in_storage(setting, *[offer(number, host=number) for number in range(300)])
    *used, last = setting.found()
    for held in used:
        assert setting.offers.take(held.number)
    looks = 0

    def soon() -> bool:
        nonlocal looks
        looks += 1
        return looks % 2 == 0

    searches = 1
    while not (found := list(setting.candidates.walk(START, soon))):
        searches += 1
    assert found == [last]
    assert searches == 3  # each forgot what it had passed


async def test_only_arrivals_that_fit_are_news_and_only_once() -> None:
    setting = Setting(config(cpus=2))
    await in_storage(setting, offer(1, host=1))
    assert len(setting.found()) == 1
    assert not setting.candidates.take_news()  # who searched has seen it
    await in_storage(setting, offer(2, host=2, cpus=1))
    assert setting.candidates.catch_up(never)
    assert not setting.candidates.take_news()
    await in_storage(setting, offer(3, host=3))
    assert setting.candidates.catch_up(never)
    assert setting.candidates.take_news()
    assert not setting.candidates.take_news()


async def test_offers_that_limits_keep_out_are_not_asked_until_there_is_room() -> None:
    setting = Setting(config(constraints=(limit("rack", 1),)))
    await in_storage(setting, *[offer(number, host=number, rack="r1") for number in range(50)])
    assert setting.census is not None
    setting.census.came("task-1", {"rack": frozenset({"r1"})})
    for _ in range(3):
        assert not setting.found()
    setting.candidates.tell()
    assert setting.stats.get("veto_evaluated_offers") == 50
    assert not setting.candidates.fewer_at(setting.census.left("a stranger"))
    assert setting.candidates.fewer_at(setting.census.left("task-1"))
    assert len(setting.found()) == 50


async def test_the_nearest_is_one_that_is_still_held_if_there_is_any() -> None:
    setting = Setting(config(cpus=9))
    await in_storage(setting, offer(1, cpus=9, host=1), offer(2, cpus=1, host=2))
    setting.found()
    assert matching.distance(setting.candidates.nearest()) == 15
    setting.offers.rescind("o1")
    assert matching.distance(setting.candidates.nearest()) == 515
    setting.offers.rescind("o2")
    assert setting.candidates.nearest()


def test_requests_share_candidates_if_the_same_offers_fit_them() -> None:
    spread = (limit("rack", 1),)
    assert key_of(request_of(config(name="a"))) == key_of(request_of(config(name="b", service=False)))
    assert key_of(request_of(config())) != key_of(request_of(config(cpus=2)))
    assert key_of(request_of(config())) != key_of(request_of(config(), revocable=True))
    assert key_of(request_of(config())) != key_of(request_of(config(constraints=(value("rack", "r1"),))))
    assert key_of(request_of(config(name="a", constraints=spread))) != key_of(
        request_of(config(name="b", constraints=spread))
    )


async def test_smaller_offers_come_first_if_told_so() -> None:
    setting = Setting(config(), flags=Flags(hold_offers_forever=True, offer_order=("CPU", "RANDOM")))
    await in_storage(setting, *[offer(number, cpus=9 - number, host=number) for number in range(5)])
    assert [held.kind.amounts[0] for held in setting.found()] == [5, 6, 7, 8, 9]


async def test_a_host_going_into_maintenance_is_looked_at_anew() -> None:
    setting = Setting(config())
    async with trio.open_nursery() as nursery:
        await nursery.start(setting.storage.run)
        await setting.offers.receive((offer(1, host=1),))
        assert len(setting.found()) == 1
        host = setting.storage.tables.hosts["h1"]
        await setting.storage.write(
            lambda tx: tx.save_host_attributes(msgspec.structs.replace(host, mode=MaintenanceMode.DRAINING))
        )
        setting.offers.host_changed("h1")
        assert not setting.found()
        nursery.cancel_scope.cancel()


async def in_storage(setting: Setting, *offers: Offer) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(setting.storage.run)
        await setting.offers.receive(offers)
        nursery.cancel_scope.cancel()
