"""Offers in the order in which they are used: many of them, that come and go all the time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from operator import attrgetter

import msgspec

from aurorad.api.enums import MaintenanceMode
from aurorad.engine.base import Offer
from aurorad.rules.matching import OfferOrder, Values
from aurorad.rules.resources import Amounts, Bag, Types

_FULL = 512
"""Offers in a part before it is halved: inserting moves no more than so many."""

START: OfferOrder = ()
"""Before every offer."""


class Kind(msgspec.Struct, frozen=True, eq=False):
    """What many offers have in common: nothing but a constraint tells offers of the same kind apart."""

    amounts: Amounts
    revocable_amounts: Amounts
    bag: Bag
    revocable_bag: Bag
    layout: tuple[tuple[str, str, str | None], ...] | None
    """Name and role of each resource, if none is there twice or revocable: then all are taken alike."""
    ports: tuple[tuple[int, int], ...]
    has_cpus_and_ram: bool
    revocable_types: Types


class HeldOffer(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An offer with its number, which grows with each arrival, and its place in the order of use."""

    offer: Offer
    number: int
    order: OfferOrder
    """Unlike that of any other offer."""
    values: Values
    mode: MaintenanceMode
    kind: Kind

    @property
    def bag(self) -> Bag:
        return self.kind.bag

    @property
    def revocable_bag(self) -> Bag:
        return self.kind.revocable_bag


_order_of = attrgetter("order")


class Ordered:
    """A sorted set, in parts of bounded size."""

    def __init__(self) -> None:
        self._parts: list[list[HeldOffer]] = []
        self._lasts: list[OfferOrder] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[HeldOffer]:
        return self.after(START)

    def after(self, order: OfferOrder) -> Iterator[HeldOffer]:
        """All behind this place. Offers may come and go meanwhile: it is not said whether those are told."""
        while (at := bisect_right(self._lasts, order)) < len(self._parts):
            part = self._parts[at]
            part = part[bisect_right(part, order, key=_order_of) :]
            order = part[-1].order
            yield from part

    def add(self, held: HeldOffer) -> None:
        self._count += 1
        at = bisect_left(self._lasts, held.order)
        if at < len(self._parts):
            insort(self._parts[at], held, key=_order_of)
        elif at:
            at -= 1
            self._parts[at].append(held)
            self._lasts[at] = held.order
        else:
            self._parts.append([held])
            self._lasts.append(held.order)
        if len(self._parts[at]) > _FULL:
            self._halve(at)

    def remove(self, held: HeldOffer) -> None:
        """Raises `KeyError` if it is not there."""
        at = bisect_left(self._lasts, held.order)
        part = self._parts[at] if at < len(self._parts) else []
        place = bisect_left(part, held.order, key=_order_of)
        if place == len(part) or part[place] is not held:
            raise KeyError(held.number)
        self._delete(at, place, place + 1)

    def cut(self, after: OfferOrder, before: OfferOrder) -> None:
        """Remove all behind one place and before a later one: many far quicker than one by one."""
        at, goes_on = bisect_right(self._lasts, after), True
        while goes_on and at < len(self._parts):
            part = self._parts[at]
            end = bisect_left(part, before, key=_order_of)
            goes_on = end == len(part)
            self._delete(at, bisect_right(part, after, key=_order_of), end)
            if part:
                at += 1

    def clear(self) -> None:
        self._parts.clear()
        self._lasts.clear()
        self._count = 0

    def _delete(self, at: int, start: int, end: int) -> None:
        """Remove these of a part, and the part if nothing is left of it."""
        part = self._parts[at]
        del part[start:end]
        self._count -= end - start
        if part:
            self._lasts[at] = part[-1].order
        else:
            del self._parts[at], self._lasts[at]

    def _halve(self, at: int) -> None:
        part = self._parts[at]
        half = len(part) // 2
        self._parts[at : at + 1] = [part[:half], part[half:]]
        self._lasts.insert(at, part[half - 1].order)
