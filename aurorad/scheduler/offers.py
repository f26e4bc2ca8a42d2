"""The offers that are held, in the order in which they are used (scheduling sheet, 4)."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Callable, Iterable, Iterator

import msgspec
import trio

from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import HostAttributes
from aurorad.engine.base import Engine, Offer
from aurorad.flags import Flags
from aurorad.rules import matching, resources
from aurorad.rules.matching import OfferOrder, Values
from aurorad.rules.resources import Bag
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

AT_ONCE = 500
"""Offers taken in without a pause, for a connected engine offers all its agents in one go."""


class HeldOffer(msgspec.Struct, frozen=True, eq=False):
    """An offer with its number, which grows with each arrival, and its place in the order of use."""

    offer: Offer
    number: int
    order: OfferOrder
    values: Values
    bag: Bag
    revocable_bag: Bag


class Offers:
    """At most one offer of each agent. Nothing here outlives a connection to the engine."""

    def __init__(self, *, storage: Storage, engine: Engine, flags: Flags, stats: Vars, rng: random.Random) -> None:
        self._storage = storage
        self._engine = engine
        self._flags = flags
        self._stats = stats
        self._rng = rng
        self.latest_number = 0
        """The number of the latest arrival, also of one that is gone."""
        self._by_number: dict[int, HeldOffer] = {}  # oldest first
        self._by_id: dict[str, HeldOffer] = {}
        self._by_agent: dict[str, HeldOffer] = {}
        self._by_host: dict[str, dict[int, HeldOffer]] = {}
        self._order: list[HeldOffer] = []
        self._returns: Timers[str] = Timers()
        self._added = trio.Event()
        self.arrived: Callable[[], None] = lambda: None
        """Called after offers were added."""
        stats.declare("scheduler_resource_offers", "offers_rescinded", "offer_accept_races", "offer_cancel_failures")
        stats.gauge("outstanding_offers", lambda: len(self._by_id))

    def ordered(self) -> list[HeldOffer]:
        """All offers, in the order of use."""
        return list(self._order)

    def newer_than(self, number: int) -> list[HeldOffer]:
        """Those that arrived after offer `number`, in the order of use."""
        newer = itertools.takewhile(lambda held: held.number > number, reversed(self._by_number.values()))
        return sorted(newer, key=_order_of)

    def holds(self, number: int) -> bool:
        return number in self._by_number

    def all(self) -> Iterator[Offer]:
        """The offers as they came, oldest first."""
        return (held.offer for held in self._by_number.values())

    def agent(self, agent_id: str) -> HeldOffer | None:
        """The offer of an agent, if there is one."""
        return self._by_agent.get(agent_id)

    async def of_agent(self, agent_id: str) -> HeldOffer:
        """The offer of an agent; waits until there is one."""
        while agent_id not in self._by_agent:
            await self._added.wait()
        return self._by_agent[agent_id]

    def take(self, number: int) -> bool:
        """Stop holding an offer, to use it; False if it is no longer held."""
        held = self._by_number.get(number)
        if held is None:
            self._stats.count("offer_accept_races")
            return False
        self._remove(held)
        return True

    async def receive(self, offers: tuple[Offer, ...]) -> None:
        """Note the hosts, then hold the offers. Two of one agent go back at once, to return as one."""
        self._stats.count("scheduler_resource_offers", len(offers))
        for start in range(0, len(offers), AT_ONCE):
            await self._receive_some(offers[start : start + AT_ONCE])
            await trio.lowlevel.checkpoint()

    async def _receive_some(self, offers: tuple[Offer, ...]) -> None:
        if any(self._host_of(offer) != self._storage.tables.hosts.get(offer.hostname) for offer in offers):
            await write_patiently(self._storage, lambda tx: self._save_hosts(tx, offers))
        split: list[str] = []
        for offer in offers:
            other = self._by_agent.get(offer.agent_id)
            if other is None:
                self._add(offer)
            else:
                self._remove(other)
                split += [other.offer.id, offer.id]
        self.arrived()
        for offer_id in split:
            await self._engine.decline(offer_id, 0)

    def rescind(self, offer_id: str) -> None:
        """The engine took an offer back."""
        self._stats.count("offers_rescinded")
        held = self._by_id.get(offer_id)
        if held is None:
            self._stats.count("offer_cancel_failures")
        else:
            self._remove(held)

    def clear(self) -> None:
        """All offers are void."""
        for held in list(self._order):
            self._remove(held)

    def host_changed(self, hostname: str) -> None:
        """A host's maintenance mode changed: its offers count as new ones, in another place of the order."""
        for number in list(self._by_host.get(hostname, ())):
            self.renew(number)

    def renew(self, number: int) -> None:
        """Have an offer, if it is still held, looked at again by everyone."""
        held = self._by_number.get(number)
        if held is not None:
            self._remove(held)
            self._add(held.offer)
            self.arrived()

    def renew_agent(self, agent_id: str) -> None:
        """Have what an agent offers, if anything, looked at again by everyone."""
        held = self._by_agent.get(agent_id)
        if held is not None:
            self.renew(held.number)

    async def run(self) -> None:
        """Return offers that were held long enough for nothing."""
        while True:
            for offer_id in await self._returns.due():
                held = self._by_id.get(offer_id)
                if held is not None:
                    self._remove(held)
                    await self._engine.decline(offer_id, self._flags.offer_filter_duration)

    def _add(self, offer: Offer) -> None:
        host = self._storage.tables.hosts.get(offer.hostname)
        mode = (host.mode if host is not None else None) or MaintenanceMode.NONE
        order = matching.offer_order(mode, offer.unavailability_start_ms, self._rng.random())
        self.latest_number += 1
        held = HeldOffer(
            offer,
            self.latest_number,
            order,
            matching.values_of(offer.attributes),
            resources.bag_of_offer(offer.resources, revocable=False),
            resources.bag_of_offer(offer.resources, revocable=True),
        )
        self._by_number[held.number] = held
        self._by_id[offer.id] = held
        self._by_agent[offer.agent_id] = held
        self._by_host.setdefault(offer.hostname, {})[held.number] = held
        bisect.insort(self._order, held, key=_order_of)
        self._added.set()
        self._added = trio.Event()
        if not self._flags.hold_offers_forever:
            jitter_s = self._flags.offer_hold_jitter_window * self._rng.random()
            self._returns.set(offer.id, self._flags.min_offer_hold_time + jitter_s)

    def _remove(self, held: HeldOffer) -> None:
        del self._by_number[held.number]
        del self._by_id[held.offer.id]
        del self._by_agent[held.offer.agent_id]
        of_host = self._by_host[held.offer.hostname]
        del of_host[held.number]
        if not of_host:
            del self._by_host[held.offer.hostname]
        place = bisect.bisect_left(self._order, held.order, key=_order_of)
        while self._order[place] is not held:
            place += 1
        del self._order[place]
        self._returns.cancel(held.offer.id)

    def _save_hosts(self, tx: Transaction, offers: Iterable[Offer]) -> None:
        for offer in offers:
            tx.save_host_attributes(self._host_of(offer))

    def _host_of(self, offer: Offer) -> HostAttributes:
        """The host as the offer describes it; its maintenance mode is ours to say."""
        stored = self._storage.tables.hosts.get(offer.hostname)
        mode = (stored.mode if stored is not None else None) or MaintenanceMode.NONE
        return HostAttributes(offer.hostname, offer.attributes, mode, offer.agent_id)


def _order_of(held: HeldOffer) -> OfferOrder:
    return held.order
