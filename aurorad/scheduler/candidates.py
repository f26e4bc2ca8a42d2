"""What is known of the offers for all tasks that ask for the same (scheduling sheet, 3 and 4.4).

Every offer is judged once. One that cannot take such a task is forgotten, since that cannot change as long as it is
held; one that a limit keeps from it waits until there are fewer tasks at that place; the others are candidates, in the
order of use. Offers are judged in that order and no further than somebody needs, so a search costs what it finds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping

from aurorad.rules import matching
from aurorad.rules.matching import Host, Request, Verdict
from aurorad.scheduler.census import LiveCensus, Place
from aurorad.scheduler.claims import Parts
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.ordered import START, HeldOffer, Kind, Ordered
from aurorad.vars import Vars

_END = (float("inf"),)  # behind every offer

_UNTIL_LATE = 64
"""Offers judged without a look at the time."""

_MOST_KINDS = 4096
_MOST_VERDICTS = 64
"""Of which an example is kept; those that are near enough to be shown are few."""


class _Judged:
    """All offers with the same verdict."""

    __slots__ = ("count", "example", "verdict")

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.count = 0  # since it was last told
        self.example = 0  # the number of the last of them


def key_of(request: Request) -> Hashable:
    """Requests with the same key can share candidates: an offer that fits one fits all, and gives them the same."""
    return (
        request.amounts,
        request.allocated,
        tuple(request.task.items()),
        request.revocable,
        request.is_dedicated,
        request.values,
        request.limits,
        request.config.job if request.limits else None,
    )


class Candidates:
    """`unavailable_before_ms` says now which announced unavailability counts as maintenance."""

    def __init__(
        self,
        key: Hashable,
        request: Request,
        offers: Offers,
        census: LiveCensus | None,
        stats: Vars,
        unavailable_before_ms: Callable[[], int],
    ) -> None:
        self.key = key
        """`key_of` the request."""
        self.request = request
        self.census = census
        """Where the tasks of the job are; None where no limit asks for it."""
        self.parts: dict[object, Parts] = {}
        """What a task gets of offers, by their layout."""
        self._offers = offers
        self._stats = stats
        self._unavailable_before_ms = unavailable_before_ms
        self._fitting = Ordered()
        self._limited: dict[Place, list[tuple[tuple[float, ...], HeldOffer]]] = {}
        self._reopened: set[Place] = set()
        self._judged_to = START
        """Of the offers up to number `_seen`, those up to here in the order were judged."""
        self._seen = offers.latest_number
        self._has_news = False
        self._is_particular = bool(request.values or request.limits)
        self._by_kind: dict[Kind, _Judged] = {}
        self._by_verdict: dict[Verdict, _Judged] = {}
        self._untold: list[_Judged] = []

    def catch_up(self, is_late: Callable[[], bool]) -> bool:
        """Judge what arrived meanwhile, as far as it was passed by. False if it got late before the end."""
        while self._seen < self._offers.latest_number:
            arrivals = self._offers.arrived_after(self._seen, _UNTIL_LATE)
            for held in arrivals:
                if held.order < self._judged_to and self._offers.holds(held.number):
                    self._has_news |= self._fits(held)
            self._seen = arrivals[-1].number if arrivals else self._offers.latest_number
            if is_late():
                break
        return self._seen == self._offers.latest_number

    def take_news(self) -> bool:
        """Whether any arrival has become a candidate since this was last asked: who waits has walked past the others,
        which may be kept for somebody else."""
        has_news, self._has_news = self._has_news, False
        return has_news

    def walk(self, order: tuple[float, ...], is_late: Callable[[], bool]) -> Iterator[HeldOffer]:
        """The candidates behind a place in the order of use, as of the last `catch_up`; ends early when it is late.

        Whether one is so still is to be asked at the moment of use: `still_fits`.
        """
        if order > START:
            next(self._held(START, is_late), None)  # forgets what this search has used by now, before it is very much
        if self._fitting and not (yield from self._held(order, is_late)):
            return
        until_late = _UNTIL_LATE
        for held in self._offers.order.after(self._judged_to):
            self._judged_to = held.order
            if self._fits(held) and held.order > order:
                yield held
            until_late -= 1
            if not until_late:
                until_late = _UNTIL_LATE
                if is_late():
                    break
        else:
            self._judged_to = _END

    def _held(self, order: tuple[float, ...], is_late: Callable[[], bool]) -> Generator[HeldOffer, None, bool]:
        """The candidates behind a place that are held still; on the way to each, those that are not are forgotten.

        False if it got late before the end.
        """
        passed, gone = order, 0
        for held in self._fitting.after(order):
            if self._offers.holds(held.number):
                if gone:
                    self._fitting.cut(passed, held.order)
                passed, gone = held.order, 0
                yield held
            else:
                gone += 1
                if not gone % _UNTIL_LATE and is_late():
                    self._fitting.cut(passed, held.order)
                    return False
        if gone:
            self._fitting.cut(passed, _END)
        return True

    def still_fits(self, held: HeldOffer) -> bool:
        """Whether time and the other tasks of the job have left a candidate one; else it is put where it belongs."""
        is_limited = (
            self.census is not None and matching.met_limit(self.request, held.values, self.census.counts) is not None
        )
        start_ms = held.offer.unavailability_start_ms
        if not is_limited and (start_ms is None or start_ms >= self._unavailable_before_ms()):
            return True
        self._fitting.remove(held)
        self._judge(held)
        return False

    def fewer_at(self, places: tuple[Place, ...]) -> bool:
        """There are fewer tasks at these places; whether anybody waited for that."""
        reopened = self._limited.keys() & places
        self._reopened |= reopened
        return bool(reopened)

    def reopen(self) -> bool:
        """Judge again a few of the offers that limits kept out and do no longer; False if there are none."""
        has_any = False
        for place in sorted(self._reopened):
            for held in self._released(place):
                has_any = True
                self._fits(held)
        return has_any

    def note(self, held: HeldOffer, verdict: Verdict) -> None:
        """An offer, or what is left of it, does not fit."""
        self._count(held, self._known(verdict))

    def nearest(self) -> Verdict:
        """Of the offers that do not fit, why not the nearest; of those that are gone, if there are no others."""
        known = [judged for judged in self._by_verdict.values() if judged.verdict]
        held = [judged for judged in known if self._offers.holds(judged.example)]
        return min((judged.verdict for judged in held or known), key=matching.distance, default=())

    def _fits(self, held: HeldOffer) -> bool:
        """Judge an offer; if it fits, it is a candidate now."""
        if not held.kind.has_cpus_and_ram:
            return False
        if self._judge(held):
            return False
        self._fitting.add(held)
        return True

    def _judge(self, held: HeldOffer) -> Verdict:
        judged = None if self._is_particular else self._by_kind.get(held.kind)
        if judged is None:
            judged = self._known(self._verdict(held))
            if not self._is_particular and held.offer.unavailability_start_ms is None:
                if len(self._by_kind) >= _MOST_KINDS:
                    self._by_kind.clear()
                self._by_kind[held.kind] = judged
        self._count(held, judged)
        if judged.verdict and not matching.is_static(judged.verdict):
            self._put_aside(held)
        return judged.verdict

    def _verdict(self, held: HeldOffer) -> Verdict:
        request = self.request
        return matching.judge_amounts(
            request,
            held.kind.revocable_amounts if request.revocable else held.kind.amounts,
            Host(held.values, held.mode, held.offer.unavailability_start_ms),
            self.census.counts if self.census is not None else _NOBODY,
            self._unavailable_before_ms(),
        )

    def _put_aside(self, held: HeldOffer) -> None:
        assert self.census is not None, "only a limit may change its mind"
        place = matching.met_limit(self.request, held.values, self.census.counts)
        assert place is not None, "a limit was met a moment ago"
        waiting = self._limited.setdefault(place, [])
        if not len(waiting) & (len(waiting) - 1):  # whenever it doubled: offers that are gone must not pile up
            waiting[:] = [entry for entry in waiting if self._offers.holds(entry[1].number)]
            heapq.heapify(waiting)
        heapq.heappush(waiting, (held.order, held))

    def _released(self, place: Place) -> Iterator[HeldOffer]:
        """As many of the first that wait for a place as it has room for."""
        assert self.census is not None, "only a limit puts offers aside"
        name, _ = place
        most = min(matching.limit_of(constraint) for constraint in self.request.limits if constraint.name == name)
        room = most - self.census.counts.get(place, 0)
        waiting = self._limited[place]
        if room <= 0:
            self._reopened.discard(place)
        released: list[HeldOffer] = []
        while waiting and len(released) < room:
            held = heapq.heappop(waiting)[1]
            if self._offers.holds(held.number):
                released.append(held)
        if not waiting:
            del self._limited[place]
            self._reopened.discard(place)
        return iter(released)

    def _known(self, verdict: Verdict) -> _Judged:
        judged = self._by_verdict.get(verdict)
        if judged is None:
            if len(self._by_verdict) >= _MOST_VERDICTS:
                self._forget_far_ones()
            judged = self._by_verdict[verdict] = _Judged(verdict)
        return judged

    def _forget_far_ones(self) -> None:
        self.tell()
        self._by_kind.clear()
        nearest = sorted(
            (judged for judged in self._by_verdict.values() if self._offers.holds(judged.example)),
            key=lambda judged: matching.distance(judged.verdict),
        )
        self._by_verdict = {judged.verdict: judged for judged in nearest[: _MOST_VERDICTS // 2]}

    def _count(self, held: HeldOffer, judged: _Judged) -> None:
        if not judged.count:
            self._untold.append(judged)
        judged.count += 1
        judged.example = held.number

    def tell(self) -> None:
        """Count in the statistics what was judged since."""
        for judged in self._untold:
            self._stats.count("veto_evaluated_offers", judged.count)
            if judged.verdict:
                kind = "static" if matching.is_static(judged.verdict) else "dynamic"
                self._stats.count(f"scheduling_veto_{kind}", judged.count)
                for veto in judged.verdict:
                    self._stats.count(f"scheduling_veto_{veto.type.value}", judged.count)
            judged.count = 0
        self._untold.clear()


_NOBODY: Mapping[Place, int] = {}
