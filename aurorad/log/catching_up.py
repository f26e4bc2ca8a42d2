"""Learning from other members what this one missed, a piece at a time."""

from __future__ import annotations

from aurorad.log.here import Here
from aurorad.log.messages import Fetch, Fetched, Status


class CatchingUp:
    """Fetches while it is known that more is chosen than is learned here. One piece at a time, each durable first.

    A member that is RECOVERING asks from time to time what others have learned, leader or not: it may have a seat
    already, and be needed to elect one.

    Without room it takes no values, but hears of truncations, which make room.
    """

    def __init__(self, here: Here) -> None:
        self._here = here
        self._to = 0  # all below this is chosen
        self._of: str | None = None  # who is being asked
        self._ask_at = 0.0  # again, or at all

    @property
    def under_way(self) -> bool:
        return self._of is not None

    @property
    def next_at(self) -> float | None:
        return self._ask_at if self.under_way or self._is_recovering else None

    @property
    def _is_recovering(self) -> bool:
        return self._here.replica.status is Status.RECOVERING

    def need(self, now: float, to: int, of: str) -> None:
        """Positions below `to` are chosen; `of` knows them."""
        self._to = max(self._to, to)
        replica = self._here.replica
        if self._of is None and replica.learned_to < self._to and (replica.room or now >= self._ask_at):
            self._ask(now, of)

    def fetched(self, now: float, sender: str, told: Fetched) -> None:
        """A piece, or nothing but where the other one's log begins."""
        replica = self._here.replica
        if self._of is None:
            return  # late: nothing is needed any more
        if not replica.room:
            replica.forgotten(told)
            self._of, self._ask_at = None, now + self._here.timing.full_s
            return
        before = replica.learned_to
        replica.caught(told)
        if replica.learned_to > before and (replica.learned_to < self._to or self._is_recovering):
            self._ask(now, sender)
        elif replica.learned_to >= self._to:
            self._of = None

    def tick(self, now: float) -> None:
        if now < self._ask_at or not (self.under_way or self._is_recovering):
            return
        self._ask_at = now + self._here.timing.fetch_s
        if self.under_way and self._here.replica.learned_to >= self._to and not self._is_recovering:
            self._of = None
        elif others := [address for address in self._here.others if address != self._of] or self._here.others:
            self._ask(now, self._here.rng.choice(others))

    def _ask(self, now: float, of: str) -> None:
        self._of, self._ask_at = of, now + self._here.timing.fetch_s
        self._here.outbox.hold((of,), Fetch(self._here.replica.learned_to))
