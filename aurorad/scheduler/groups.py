"""Pending tasks of equal configuration (scheduling sheet, 1)."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from aurorad.api import keys
from aurorad.api.tasks import TaskConfig
from aurorad.rules.matching import Request
from aurorad.scheduler.candidates import Candidates
from aurorad.scheduler.ordered import START


class PendingGroup(msgspec.Struct, frozen=True):
    """What is shown of a group that waits."""

    name: str
    task_ids: tuple[str, ...]
    penalty_ms: int
    reasons: tuple[str, ...]


class Group:
    """The tasks of one configuration, first come first served, and how far they have come with the offers.

    They go round: every offer is asked for one task a round, as long as any takes one. So the tasks spread over the
    hosts, as far as there are hosts. Offers that arrive during a round have to wait for the next.
    """

    def __init__(self, request: Request, candidates: Candidates) -> None:
        self.request = request
        self.candidates = candidates
        self.queue: OrderedDict[str, None] = OrderedDict()
        """The first leave first: each look at the first of a plain dictionary passes all that have left."""
        self.penalty_ms = 0
        self.order = START
        """How far this round has come in the order of use."""
        self.latest_number = 0
        """The last offer that had arrived when this round began."""
        self.has_placed = False
        """Whether this round was of any use."""

    @property
    def config(self) -> TaskConfig:
        return self.request.config

    def next_round(self, latest_number: int) -> bool:
        """Begin another round; whether there is any hope for it."""
        is_hopeful = self.has_placed or self.latest_number < latest_number
        self.order = START
        self.latest_number = latest_number
        self.has_placed = False
        return is_hopeful

    def reasons(self) -> tuple[str, ...]:
        """Why the nearest fit does not fit; empty before the first attempt."""
        return tuple(veto.reason for veto in self.candidates.nearest())

    def shown(self) -> PendingGroup:
        return PendingGroup(keys.canonical(self.config.job), tuple(self.queue), self.penalty_ms, self.reasons())
