"""Simulated time, and what happened in it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from tests.simulation.trace import Violation


class Timeline:
    """What happens when; the same order each time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = itertools.count()

    def at(self, when: float, do: Callable[..., None], *given: object) -> None:
        heapq.heappush(self._queue, (max(when, self.now), next(self._count), do, given))

    def after(self, seconds: float, do: Callable[..., None], *given: object) -> None:
        self.at(self.now + seconds, do, *given)

    def run(self, until: float, over: Callable[[], bool]) -> None:
        """Until that time, or until it is `over`."""
        while self._queue and self._queue[0][0] <= until and not over():
            self.now, _, do, given = heapq.heappop(self._queue)
            do(*given)
        if not over():
            self.now = until


class Trace:
    """Equal for equal seeds, byte for byte. Lines are made of what is kept only if somebody reads them."""

    def __init__(self, timeline: Timeline) -> None:
        self.violations: list[Violation] = []
        self._timeline = timeline
        self._kept: list[tuple[float, str, str, tuple[object, ...]]] = []

    def __call__(self, who: str, what: str, *more: object) -> None:
        """`more` must not change any more."""
        self._kept.append((self._timeline.now, who, what, more))

    def violated(self, rule: str, what: str) -> None:
        self.violations.append(Violation(rule, what))
        self("VIOLATED", f"{rule}: {what}")

    def lines(self) -> list[str]:
        return [f"{now:10.5f} {who:8} {' '.join((what, *map(str, more)))}" for now, who, what, more in self._kept]
