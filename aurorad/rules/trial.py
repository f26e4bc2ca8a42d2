"""Placing without doing it: how many tasks of one request fit, one after the other, while others make room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from aurorad.rules import matching, resources
from aurorad.rules.matching import Host, Request
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
        self._request = request
        self._census = census
        self._unavailable_before_ms = unavailable_before_ms
        self._hosts: dict[str, Host] = {}
        self._left: dict[str, Amounts] = {}
        for place in places:
            self._hosts[place.name] = place.host
            self._left[place.name] = resources.amounts_of(place.available)
        self._open = deque(self._left)
        self._closed: dict[str, None] = {}

    def free(self, name: str, freed: Amounts) -> None:
        """A task of the same job on host `name` ends."""
        if name in self._left:
            self._left[name] = resources.minus(self._left[name], resources.minus(resources.NOTHING, freed))
            for attribute, present in self._hosts[name].values.items():
                for value in present:
                    self._census[attribute, value] = self._census.get((attribute, value), 0) - 1
            again = list(self._closed) if self._request.limits else [name]
            for host in again:
                if self._closed.pop(host, 0) is None:
                    self._open.append(host)

    def place(self) -> str | None:
        """The host that takes one more task; None if none does."""
        while self._open:
            name = self._open.popleft()
            host, left = self._hosts[name], self._left[name]
            if matching.judge_amounts(self._request, left, host, self._census, self._unavailable_before_ms):
                self._closed[name] = None
                continue
            self._left[name] = resources.minus(left, self._request.allocated)
            matching.count_in(self._census, host.values)
            self._open.append(name)
            return name
        return None

    def left(self) -> Iterable[Place]:
        """What every host has by now."""
        for name, left in self._left.items():
            yield Place(name, self._hosts[name], dict(zip(resources.ResourceType, left, strict=True)))
