"""Pending tasks of equal configuration: a verdict on an offer holds for all of a group (scheduling sheet, 1)."""

from __future__ import annotations

from collections import deque

import msgspec

from aurorad.api import keys
from aurorad.api.tasks import TaskConfig
from aurorad.rules import matching
from aurorad.rules.matching import Request, Verdict
from aurorad.scheduler.offers import HeldOffer, Offers


class PendingGroup(msgspec.Struct, frozen=True):
    """What is shown of a group that waits."""

    name: str
    task_ids: tuple[str, ...]
    penalty_ms: int
    reasons: tuple[str, ...]


class Search:
    """One way through the offers, each asked for one task a round, as long as it says yes.

    So the tasks of a group spread over the hosts, as far as there are hosts.
    """

    def __init__(self, offers: list[HeldOffer], latest_number: int, asked_all: bool) -> None:
        self.latest_number = latest_number
        self.asked_all = asked_all
        self._round = deque(offers)
        self._next_round: deque[HeldOffer] = deque()

    def next(self) -> HeldOffer | None:
        if not self._round:
            self._round, self._next_round = self._next_round, self._round
        return self._round.popleft() if self._round else None

    def again(self, held: HeldOffer) -> None:
        """This offer took a task; it may take another, after the others."""
        self._next_round.append(held)


class Group:
    """The tasks of one configuration, first come first served, and what is known of the offers for them."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.queue: dict[str, None] = {}
        self.penalty_ms = 0
        self.search: Search | None = None
        self.wants_all = True
        """Whether the next search asks every offer again, not only those that came since the last one."""
        self._asked_until = 0
        self._static: dict[int, Verdict] = {}
        self._nearest: Verdict = ()
        self._has_met_limit = False

    @property
    def config(self) -> TaskConfig:
        return self.request.config

    @property
    def depends_on_job(self) -> bool:
        """Whether another task of the job, by ending, may make room for these."""
        return self._has_met_limit

    def begin(self, offers: Offers) -> Search:
        """The search that is under way, or a new one."""
        if self.search is None:
            offered = self._all(offers) if self.wants_all else offers.newer_than(self._asked_until)
            self.search = Search(offered, offers.latest_number, self.wants_all)
            self.wants_all = False
        return self.search

    def finish(self) -> None:
        """Every candidate was asked."""
        if self.search is not None:
            self._asked_until = self.search.latest_number
            self.search = None

    def note(self, held: HeldOffer, verdict: Verdict, lasting: bool) -> None:
        """Remember why an offer does not fit; for good, if that lasts as long as the offer."""
        if not matching.is_static(verdict):
            self._has_met_limit = True
        elif lasting:
            self._static[held.number] = verdict
        if not self._nearest or matching.distance(verdict) < matching.distance(self._nearest):
            self._nearest = verdict

    def reasons(self) -> tuple[str, ...]:
        """Why the nearest fit does not fit; empty before the first attempt."""
        return tuple(veto.reason for veto in self._nearest)

    def shown(self) -> PendingGroup:
        return PendingGroup(keys.canonical(self.config.job), tuple(self.queue), self.penalty_ms, self.reasons())

    def _all(self, offers: Offers) -> list[HeldOffer]:
        """All offers but those that said no for good; what is remembered of offers that are gone is forgotten."""
        held = offers.ordered()
        self._static = {number: verdict for number, verdict in self._static.items() if offers.holds(number)}
        self._has_met_limit = False
        if held:
            self._nearest = min(self._static.values(), key=matching.distance, default=())
        return [offer for offer in held if offer.number not in self._static]
