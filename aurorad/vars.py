"""Statistics: counters and gauges under the names of the vars sheet, passed to whoever counts.

No statistic is global: a `Vars` belongs to one daemon, tests make their own.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping

_NOT_IN_NAME = re.compile(r"[^\w/.\-]", re.ASCII)

LEAST_WINDOW_S = 1.0
"""What is read more often shows the same rates again."""

Number = int | float
Value = Number | str


class Vars:
    """Counters, which only grow, and gauges, which are read when asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds, for rates."""
        self._clock = clock
        self._counters: dict[str, Number] = {}
        self._counter_names: set[str] = set()  # as they show
        self._sliding: dict[str, str] = {}  # and their units
        self._sampled_at: float | None = None
        self._sample: dict[str, Number] = {}
        self._rates: dict[str, Value] = {}
        self._gauges: dict[str, Callable[[], Value]] = {}
        self._families: list[Callable[[], Mapping[str, Value]]] = []

    def count(self, name: str, by: Number = 1) -> None:
        self._counters[name] = self._counters.get(name, 0) + by

    def declare(self, *names: str) -> None:
        """Counters that shall show as 0 before they are first counted."""
        for name in names:
            self._counters.setdefault(name, 0)

    def gauge(self, name: str, read: Callable[[], Value]) -> None:
        """A value read on demand; `read` must be quick and must not raise."""
        self._gauges[name] = read

    def family(self, read: Callable[[], Mapping[str, Value]]) -> None:
        """Values by name, of which some come and go; `read` must be quick and must not raise.

        There may be very many: names must have only characters that names may have, and had best be sorted.
        """
        self._families.append(read)

    def declare_sliding(self, name: str, unit: str) -> None:
        """An amount that comes with events, to show before there is any (vars sheet, section 1, "Sliding").

        ``<name>_events`` and ``<name>_<unit>_total`` are counters; how both grow by the second, and how much there is
        to an event, is as of the time between two readings that were at least a second apart; 0 until there were two.
        """
        self._sliding[name] = unit
        self._rates.update(dict.fromkeys(_rates_of(name, unit), 0))
        self.declare(f"{name}_events", f"{name}_{unit}_total")

    def slide(self, name: str, unit: str, amount: Number, events: int = 1) -> None:
        """So much more of a sliding amount, declared or not, by so many events."""
        if name not in self._sliding:
            self.declare_sliding(name, unit)
        self.count(f"{name}_events", events)
        self.count(f"{name}_{unit}_total", amount)

    def observe(self, name: str, seconds: float) -> None:
        """One timed event: a sliding amount of nanoseconds."""
        self.slide(name, "nanos", round(seconds * 1e9))

    def get(self, name: str) -> Value:
        """The present value; 0 for a counter that was never counted."""
        gauge = self._gauges.get(name)
        if gauge is not None:
            return gauge()
        found = (values[name] for values in (read() for read in self._families) if name in values)
        return next(found, self._counters.get(name, 0))

    def snapshot(self) -> Mapping[str, Value]:
        """All values by name, sorted. Characters that a name may not have show as ``_`` (vars sheet, section 1)."""
        values = self._declared()
        for read_all in self._families:
            values.update(read_all())
        return {name: values[name] for name in sorted(values)}

    def numbers(self) -> dict[str, Number]:
        """All numbers that are counted or read one by one; not those of families, of which there may be very many."""
        return {name: value for name, value in self._declared().items() if not isinstance(value, str)}

    def is_counter(self, name: str) -> bool:
        """Whether a value, by its name in a snapshot, only grows."""
        return name in self._counter_names

    def _declared(self) -> dict[str, Value]:
        """All but families."""
        self._take_sample()
        if len(self._counter_names) < len(self._counters):
            self._counter_names = {_NOT_IN_NAME.sub("_", name) for name in self._counters}
        named: dict[str, Value] = {**self._counters, **self._rates}
        named.update({name: read() for name, read in self._gauges.items()})
        return {_NOT_IN_NAME.sub("_", name): value for name, value in sorted(named.items())}

    def _take_sample(self) -> None:
        now = self._clock()
        passed_s = now - self._sampled_at if self._sampled_at is not None else math.inf
        if passed_s < LEAST_WINDOW_S:
            return
        for name, unit in self._sliding.items():
            events, amount = (self._grown(f"{name}_{what}") for what in ("events", f"{unit}_total"))
            rates = (events / passed_s, amount / passed_s, amount / events if events else 0)
            self._rates.update(zip(_rates_of(name, unit), (round(rate, 3) for rate in rates), strict=True))
        self._sampled_at = now

    def _grown(self, name: str) -> Number:
        """By how much a counter has, since the last sample."""
        value = self._counters.get(name, 0)
        grown = value - self._sample.get(name, 0)
        self._sample[name] = value
        return grown


def _rates_of(name: str, unit: str) -> tuple[str, str, str]:
    return f"{name}_events_per_sec", f"{name}_{unit}_total_per_sec", f"{name}_{unit}_per_event"
