"""Placing without doing it: how many tasks of one request fit, one after the other, while others make room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from aurorad.rules import matching, resources
from aurorad.rules.matching import Host, Request, Verdict
from aurorad.rules.resources import Amounts, Bag


class Place(NamedTuple):
    """A host with what it has."""

    name: str
    host: Host
    available: Bag


class Trial:
    """Spreads tasks over the hosts in turn, as the scheduler does. `census` is changed as tasks come and go."""

    def __init__(
        self, request: Request, places: Iterable[Place], census: dict[tuple[str, str], int], unavailable_before_ms: int
    ) -> None:
        self.census = census
        self._request = request
        self._unavailable_before_ms = unavailable_before_ms
        self._hosts: dict[str, Host] = {}
        self._left: dict[str, Amounts] = {}
        for place in places:
            self._hosts[place.name] = place.host
            self._left[place.name] = resources.amounts_of(place.available)
        self._open = deque(self._left)
        self._closed: set[str] = set()
        self._limited: dict[tuple[str, str], list[str]] = {}  # by what they have too many tasks at

    def free(self, name: str, freed: Amounts) -> None:
        """A task of the same job on host `name` ends."""
        if name not in self._left:
            return
        self._left[name] = resources.minus(self._left[name], resources.minus(resources.NOTHING, freed))
        if name in self._closed:
            self._closed.remove(name)
            self._open.append(name)
        for attribute, present in self._hosts[name].values.items():
            for value in present:
                self.census[attribute, value] = self.census.get((attribute, value), 0) - 1
                self._open.extend(self._limited.pop((attribute, value), ()))

    def place(self) -> str | None:
        """The host that takes one more task; None if none does."""
        while self._open:
            name = self._open.popleft()
            host, left = self._hosts[name], self._left[name]
            verdict = matching.judge_amounts(self._request, left, host, self.census, self._unavailable_before_ms)
            if verdict:
                self._close(name, host, verdict)
                continue
            self._left[name] = resources.minus(left, self._request.allocated)
            matching.count_in(self.census, host.values)
            self._open.append(name)
            return name
        return None

    def left(self) -> Iterable[Place]:
        """What every host has by now."""
        for name, left in self._left.items():
            yield Place(name, self._hosts[name], dict(zip(resources.ResourceType, left, strict=True)))

    def _close(self, name: str, host: Host, verdict: Verdict) -> None:
        """Until it has more, or fewer tasks at that place."""
        limit = None if matching.is_static(verdict) else matching.met_limit(self._request, host.values, self.census)
        if limit is None:
            self._closed.add(name)
        else:
            self._limited.setdefault(limit, []).append(name)
