"""Statistics over time: a bounded history of their numbers, sampled regularly (vars sheet, section 1)."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import trio

from aurorad.vars import Number, Vars

MOST_SERIES = 2000
"""Statistics that are followed. An hour of so many, every second, takes 60 MB; a scheduler has some 500."""


class UnknownMetric(LookupError):
    """There is no series of this name."""


class Series:
    """The numbers of `stats` as they were at each sample. A statistic that comes later has no number before."""

    def __init__(
        self, stats: Vars, now_ms: Callable[[], int], *, interval_s: float = 1.0, retention_s: float = 3600.0
    ) -> None:
        self._stats = stats
        self._now_ms = now_ms
        self._interval_s = interval_s
        self._columns: dict[str, int] = {}
        self._rows: deque[tuple[int, array[float]]] = deque(maxlen=max(1, math.ceil(retention_s / interval_s)))

    async def run(self) -> None:
        """Sample until cancelled."""
        due = trio.current_time()
        while True:
            self.sample()
            due = max(due + self._interval_s, trio.current_time())
            await trio.sleep_until(due)

    def sample(self) -> None:
        """Note all numbers as they are now."""
        numbers = self._stats.numbers()
        for name in numbers:
            if name not in self._columns and len(self._columns) < MOST_SERIES:
                self._columns[name] = len(self._columns)
        row = array("d", [_number(numbers.get(name)) for name in self._columns])
        self._rows.append((self._now_ms(), row))

    def names(self) -> list[str]:
        """Of all series, sorted."""
        return sorted(self._columns)

    def since(self, metrics: Iterable[str], since_ms: int = 0) -> Sequence[tuple[int, Mapping[str, float | None]]]:
        """The samples after a time, the oldest first: their time in ms, and the numbers that there were.

        Raises `UnknownMetric`.
        """
        wanted: dict[str, int] = {}
        for name in metrics:
            if name not in self._columns:
                raise UnknownMetric(name)
            wanted[name] = self._columns[name]
        return [
            (time_ms, {name: _shown(row, column) for name, column in wanted.items()})
            for time_ms, row in self._rows
            if time_ms > since_ms
        ]


def _number(value: Number | None) -> float:
    return math.nan if value is None else float(value)


def _shown(row: array[float], column: int) -> float | None:
    """Integers as such, for JSON shows them so."""
    if column >= len(row) or not math.isfinite(row[column]):
        return None
    return int(row[column]) if row[column].is_integer() else row[column]
