"""Who holds what of the machine, and which offer is out. No I/O, no clock: times are passed in."""

from __future__ import annotations

import math

import msgspec

from aurorad.engine.local.capacity import Amounts


class Outstanding(msgspec.Struct, frozen=True):
    """An offer of everything that was free when it was made."""

    id: str
    free: Amounts


class _Filter(msgspec.Struct, frozen=True):
    """Until this time nobody wants these amounts or less."""

    until: float
    amounts: Amounts


class Offering:
    """At most one offer is out; it is replaced as soon as something else is free.

    A launch may still name the offer before: its sender did not know yet. It is judged by what is free now.
    """

    def __init__(self, total: Amounts, prefix: str) -> None:
        self._total = total
        self._prefix = prefix
        self._made = 0
        self._held: dict[str, Amounts] = {}
        self._used = Amounts()
        self._filter: _Filter | None = None
        self.outstanding: Outstanding | None = None

    @property
    def free(self) -> Amounts:
        """Never negative, even where a restart found the machine smaller than what runs on it."""
        return self._total.minus(self._used)

    def made(self, offer_id: str) -> bool:
        """Whether the offer is one of ours, out or replaced."""
        number = offer_id.removeprefix(self._prefix)
        return number != offer_id and number.isdecimal() and int(number) < self._made

    def hold(self, holder: str, wanted: Amounts) -> list[str]:
        """Set `wanted` aside for `holder`; or the names of what is missing, and nothing is."""
        missing = self.free.missing_for(wanted)
        if not missing:
            self.hold_anyway(holder, wanted)
        return missing

    def hold_anyway(self, holder: str, wanted: Amounts) -> None:
        """For what a restart found running."""
        self._held[holder] = wanted
        self._used = self._used.plus(wanted)

    def release(self, holder: str) -> None:
        held = self._held.pop(holder, None)
        if held is not None:
            self._used = self._used.minus(held)

    def used(self, offer_id: str, now: float, refuse_s: float) -> None:
        """The offer was accepted or declined: what is free now stays away for `refuse_s`."""
        if self.outstanding is not None and self.outstanding.id == offer_id:
            self.outstanding = None
            self._filter = _Filter(now + refuse_s, self.free) if refuse_s > 0 else None

    def stale(self) -> Outstanding | None:
        """The offer that no longer tells what is free; it counts as rescinded from now on."""
        stale = self.outstanding
        if stale is None or stale.free == self.free:
            return None
        self.outstanding = None
        return stale

    def next_at(self, now: float) -> float:
        """When an offer may be made: `now`, later, or infinity while one is out."""
        if self.outstanding is not None:
            return math.inf
        if self._filter is None or self._filter.amounts.missing_for(self.free):
            return now
        return max(now, self._filter.until)

    def make(self) -> Outstanding:
        self._filter = None
        self.outstanding = Outstanding(f"{self._prefix}{self._made}", self.free)
        self._made += 1
        return self.outstanding
