"""The offers that are held, in the order in which they are used (scheduling sheet, 4)."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Hashable, Iterable, Iterator
from operator import attrgetter

import trio

from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import HostAttributes
from aurorad.engine.base import Engine, Offer
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import matching, resources
from aurorad.rules.admission import DEDICATED
from aurorad.rules.matching import Values
from aurorad.scheduler.demand import Demand
from aurorad.scheduler.limits import revocable_types
from aurorad.scheduler.ordered import HeldOffer, Kind, Ordered
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

AT_ONCE = 500
"""Offers taken in without a pause, for a connected engine offers all its agents in one go."""

MADE_WITHIN_S = 3.0
"""A master that is asked for offers makes them in its next round, each second as a rule."""

_SPARE = 4096
"""So many things that nobody may need any more are kept before it is worth clearing them away."""


class Offers:
    """At most one offer of each agent. Nothing here outlives a connection to the engine."""

    def __init__(self, *, storage: Storage, engine: Engine, flags: Flags, stats: Vars, rng: random.Random) -> None:
        self._storage = storage
        self._engine = engine
        self._flags = flags
        self._stats = stats
        self._rng = rng
        self._revocable_types = revocable_types(flags)
        self.latest_number = 0
        """The number of the latest arrival, also of one that is gone."""
        self.demand = Demand(engine)
        self.order = Ordered()
        self._by_number: dict[int, HeldOffer] = {}  # oldest first
        self._by_id: dict[str, HeldOffer] = {}
        self._by_agent: dict[str, HeldOffer] = {}
        self._by_host: dict[str, tuple[int, ...]] = {}  # their numbers
        self._arrivals: list[HeldOffer] = []  # by number, also some that are gone
        self._kinds: dict[Hashable, Kind] = {}
        self._values: dict[Hashable, Values] = {}
        self._returns: Timers[str] = Timers()
        self._added = trio.Event()
        self._void: list[dict[int, HeldOffer]] = []
        self._has_void = trio.Event()
        self.arrived: Callable[[], None] = lambda: None
        """Called after offers were added."""
        stats.declare("scheduler_resource_offers", "offers_rescinded", "offer_accept_races", "offer_cancel_failures")
        stats.gauge("outstanding_offers", lambda: len(self._by_id))

    def ordered(self) -> list[HeldOffer]:
        """All offers, in the order of use."""
        return list(self.order)

    def arrived_after(self, number: int, most: int) -> list[HeldOffer]:
        """The first `most` that arrived after offer `number`, oldest first; some of them may be gone."""
        start = bisect.bisect_right(self._arrivals, number, key=_number_of)
        return self._arrivals[start : start + most]

    def holds(self, number: int) -> bool:
        return number in self._by_number

    def all(self) -> Iterator[Offer]:
        """The offers as they came, oldest first."""
        return (held.offer for held in self._by_number.values())

    def agent(self, agent_id: str) -> HeldOffer | None:
        """The offer of an agent."""
        return self._by_agent.get(agent_id)

    async def of_agent(self, agent_id: str) -> HeldOffer:
        """The offer of an agent; waits until there is one."""
        while agent_id not in self._by_agent:
            await self._added.wait()
        return self._by_agent[agent_id]

    async def at_hand(self) -> None:
        """Who only looks at offers finds them here, even if nobody needed any until now. Waits a little for them."""
        if self.demand.ask():
            with trio.move_on_after(MADE_WITHIN_S):
                await self._added.wait()

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
        self.demand.offered()
        began = trio.current_time()
        for start in range(0, len(offers), AT_ONCE):
            await self._receive_some(offers[start : start + AT_ONCE])
            await trio.lowlevel.checkpoint()
        self._stats.observe("scheduler_resource_offers", trio.current_time() - began)

    async def _receive_some(self, offers: tuple[Offer, ...]) -> None:
        if any(map(self._is_news, offers)):
            await write_patiently(self._storage, lambda tx: self._save_hosts(tx, offers))
        split: list[str] = []
        for offer in offers:
            other = self._by_agent.get(offer.agent_id)
            if other is None:
                self._add(offer)
            else:
                self._remove(other)
                split += [other.offer.id, offer.id]
        self._tell()
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
        self._void.append(self._by_number)  # to free many thousands at once takes too long
        self._by_number = {}
        for held_by in (self._by_id, self._by_agent, self._by_host):
            held_by.clear()
        self.order.clear()
        self._arrivals.clear()
        self._returns.clear()
        self._has_void.set()

    def host_changed(self, hostname: str) -> None:
        """A host's maintenance mode changed: its offers count as new ones, in another place of the order."""
        for number in self._by_host.get(hostname, ()):
            self.renew(number)

    def renew_agent(self, agent_id: str) -> None:
        """Have the offer of an agent, if there is one, looked at again by everyone."""
        held = self._by_agent.get(agent_id)
        if held is not None:
            self.renew(held.number)

    def renew(self, number: int) -> None:
        """Have an offer, if it is still held, looked at again by everyone."""
        held = self._by_number.get(number)
        if held is not None:
            self._remove(held)
            self._add(held.offer)
            self._tell()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._free)
            if not self._flags.hold_offers_forever:
                nursery.start_soon(self._return)
                nursery.start_soon(self.demand.run)

    async def _return(self) -> None:
        """Return offers that were held long enough for nothing."""
        pace = Pace()
        while True:
            for offer_id in await self._returns.due():
                held = self._by_id.get(offer_id)
                if held is not None:
                    self._remove(held)
                    await self._engine.decline(offer_id, self._flags.offer_filter_duration)
                    self.demand.in_vain()
                await pace.breathe()

    async def _free(self) -> None:
        """Free the memory of void offers, a few at a time."""
        while True:
            await self._has_void.wait()
            self._has_void = trio.Event()
            pace = Pace()
            while self._void:
                while self._void[-1]:
                    self._void[-1].popitem()
                    await pace.breathe()
                self._void.pop()

    def _tell(self) -> None:
        self._added.set()
        self._added = trio.Event()
        self.arrived()

    def _add(self, offer: Offer) -> None:
        flags = self._flags
        mode = self._mode_of(offer.hostname)
        values = self._values_of(offer)
        kind = self._kind_of(offer, mode, DEDICATED in values)
        place = matching.offer_order(
            mode,
            offer.unavailability_start_ms,
            self._rng.random(),
            flags.offer_order,
            kind.amounts,
            kind.revocable_amounts[0],
        )
        self.latest_number += 1
        held = HeldOffer(offer, self.latest_number, (*place, self.latest_number), values, mode, kind)
        self._by_number[held.number] = held
        self._by_id[offer.id] = held
        self._by_agent[offer.agent_id] = held
        self._by_host[offer.hostname] = (*self._by_host.get(offer.hostname, ()), held.number)
        self.order.add(held)
        if len(self._arrivals) > 2 * len(self._by_number) + _SPARE:
            self._arrivals = list(self._by_number.values())
        else:
            self._arrivals.append(held)
        if not flags.hold_offers_forever:
            jitter_s = flags.offer_hold_jitter_window * self._rng.random()
            self._returns.set(offer.id, flags.min_offer_hold_time + jitter_s)

    def _remove(self, held: HeldOffer) -> None:
        del self._by_number[held.number]
        del self._by_id[held.offer.id]
        del self._by_agent[held.offer.agent_id]
        numbers = self._by_host.pop(held.offer.hostname)
        if len(numbers) > 1:
            self._by_host[held.offer.hostname] = tuple(number for number in numbers if number != held.number)
        self.order.remove(held)
        self._returns.cancel(held.offer.id)

    def _kind_of(self, offer: Offer, mode: MaintenanceMode, is_dedicated: bool) -> Kind:
        key = (offer.resources, mode, is_dedicated, offer.unavailability_start_ms)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) > 2 * len(self._by_number) + _SPARE:
                self._kinds.clear()
            kind = self._kinds[key] = kind_of(offer, self._revocable_types)
        return kind

    def _values_of(self, offer: Offer) -> Values:
        values = self._values.get(offer.attributes)
        if values is None:
            if len(self._values) > 2 * len(self._by_number) + _SPARE:
                self._values.clear()
            values = self._values[offer.attributes] = matching.values_of(offer.attributes)
        return values

    def _mode_of(self, hostname: str) -> MaintenanceMode:
        stored = self._storage.tables.hosts.get(hostname)
        return (stored.mode if stored is not None else None) or MaintenanceMode.NONE

    def _is_news(self, offer: Offer) -> bool:
        """Whether the host is not on record as the offer describes it."""
        stored = self._storage.tables.hosts.get(offer.hostname)
        return (
            stored is None
            or stored.slave_id != offer.agent_id
            or stored.mode is None
            or stored.attributes != offer.attributes
        )

    def _save_hosts(self, tx: Transaction, offers: Iterable[Offer]) -> None:
        for offer in offers:
            tx.save_host_attributes(self._host_of(offer))

    def _host_of(self, offer: Offer) -> HostAttributes:
        """The host as the offer describes it; its maintenance mode is ours to say."""
        return HostAttributes(offer.hostname, offer.attributes, self._mode_of(offer.hostname), offer.agent_id)


def kind_of(offer: Offer, types: resources.Types = resources.REVOCABLE) -> Kind:
    """What the resources of an offer make it; `types` are those that a revocable request wants revocable."""
    bag, revocable_bag = (resources.bag_of_offer(offer.resources, revocable, types) for revocable in (False, True))
    names = {resource.name for resource in offer.resources}
    is_plain = len(names) == len(offer.resources) and not any(resource.revocable for resource in offer.resources)
    amounts, revocable_amounts = resources.amounts_of(bag), resources.amounts_of(revocable_bag)
    total = {
        name: sum(resource.scalar or 0 for resource in offer.resources if resource.name == name)
        for name in ("cpus", "mem")
    }
    return Kind(
        amounts=amounts,
        revocable_amounts=revocable_amounts,
        bag=bag,
        revocable_bag=revocable_bag,
        layout=tuple((r.name, r.role, r.reservation) for r in offer.resources) if is_plain else None,
        ports=tuple(span for resource in offer.resources if resource.name == "ports" for span in resource.ranges),
        has_cpus_and_ram=min(total.values()) > 0,
        revocable_types=types,
    )


_number_of = attrgetter("number")
