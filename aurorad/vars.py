"""Statistics: counters and gauges under the names of the vars sheet, passed to whoever counts.

No statistic is global: a `Vars` belongs to one daemon, tests make their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_NOT_IN_NAME = re.compile(r"[^\w/.\-]", re.ASCII)

Number = int | float
Value = Number | str


class Vars:
    """Counters, which only grow, and gauges, which are read when asked for."""

    def __init__(self) -> None:
        self._counters: dict[str, Number] = {}
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
        """Values by name, of which some come and go; `read` must be quick and must not raise."""
        self._families.append(read)

    def observe(self, name: str, seconds: float) -> None:
        """One timed event: ``<name>_events`` and ``<name>_nanos_total``."""
        self.count(f"{name}_events")
        self.count(f"{name}_nanos_total", round(seconds * 1e9))

    def get(self, name: str) -> Value:
        """The present value; 0 for a counter that was never counted."""
        gauge = self._gauges.get(name)
        if gauge is not None:
            return gauge()
        found = (values[name] for values in (read() for read in self._families) if name in values)
        return next(found, self._counters.get(name, 0))

    def snapshot(self) -> Mapping[str, Value]:
        """All values by name, sorted. Characters that a name may not have show as ``_`` (vars sheet, section 1)."""
        values: dict[str, Value] = dict(self._counters)
        for read_all in self._families:
            values.update(read_all())
        values.update({name: read() for name, read in self._gauges.items()})
        return {_NOT_IN_NAME.sub("_", name): values[name] for name in sorted(values)}
