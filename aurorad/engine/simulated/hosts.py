"""What one agent's tasks hold of it, and what is free. No clock: times are kept for the cluster, not looked at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from aurorad.api.ranges import spans
from aurorad.engine.base import Offer, Resource
from aurorad.engine.simulated.agents import Agent

Kind = tuple[str, str, bool]
"""Name, role, and whether it is revocable."""

_LEAST = {"cpus": 10, "mem": 32_000}
"""Less of both than that is not offered (Mesos' own limits), in thousandths."""


class Amounts(NamedTuple):
    """Resources of a task: scalars in thousandths, so that sums are exact, and ports."""

    scalars: tuple[tuple[Kind, int], ...]
    ports: tuple[int, ...]

    @staticmethod
    def of(resources: Iterable[Resource]) -> Amounts:
        scalars: dict[Kind, int] = {}
        ports: list[int] = []
        for resource in resources:
            if resource.scalar is not None:
                kind = (resource.name, resource.role, resource.revocable)
                scalars[kind] = scalars.get(kind, 0) + round(resource.scalar * 1000)
            for first, last in resource.ranges:
                ports.extend(range(first, last + 1))
        return Amounts(tuple(scalars.items()), tuple(ports))


class Host:
    """An agent as it is now. `tasks` are ids, also of those whose end was not acknowledged yet."""

    __slots__ = (
        "agent",
        "free",
        "grew",
        "is_reachable",
        "offer_id",
        "ports",
        "replaced_id",
        "tasks",
        "timer",
        "unavailability_start_ms",
    )

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.free = dict(Amounts.of(r for r in agent.resources if r.scalar is not None).scalars)
        self.ports: set[int] = set()
        """Those in use."""
        self.tasks: set[str] = set()
        self.is_reachable = True
        self.unavailability_start_ms: int | None = None
        self.offer_id: str | None = None
        """The offer that is out; there is at most one."""
        self.replaced_id: str | None = None
        """The one before, if this one replaced it and its launches still count."""
        self.grew = False
        """Something became free since that offer was made."""
        self.timer = 0
        """The number of the latest timer of this host: older ones no longer count."""

    def lacks(self, wanted: Amounts) -> str | None:
        """What of it is not free, if anything."""
        for kind, amount in wanted.scalars:
            if self.free.get(kind, 0) < amount:
                return kind[0]
        for port in wanted.ports:
            if port in self.ports or not self._has_port(port):
                return f"port {port}"
        return "ports" if len(set(wanted.ports)) < len(wanted.ports) else None

    def take(self, amounts: Amounts) -> None:
        for kind, amount in amounts.scalars:
            self.free[kind] -= amount
        self.ports.update(amounts.ports)

    def give_back(self, amounts: Amounts) -> None:
        for kind, amount in amounts.scalars:
            self.free[kind] += amount
        self.ports.difference_update(amounts.ports)

    def has_room(self) -> bool:
        """Whether what is free is worth an offer."""
        return any(amount >= _LEAST.get(kind[0], amount + 1) for kind, amount in self.free.items())

    def offer(self, offer_id: str) -> Offer:
        """All that is free."""
        return Offer(
            offer_id,
            self.agent.id,
            self.agent.hostname,
            tuple(self._free_resources()),
            self.agent.attributes,
            self.unavailability_start_ms,
        )

    def _free_resources(self) -> Iterable[Resource]:
        for resource in self.agent.resources:
            if resource.scalar is None:
                ranges = tuple(_without(resource.ranges, self.ports)) if self.ports else resource.ranges
                if ranges:
                    yield resource if ranges == resource.ranges else msgspec.structs.replace(resource, ranges=ranges)
                continue
            free = self.free[resource.name, resource.role, resource.revocable]
            if free > 0:
                yield Resource(resource.name, free / 1000, (), resource.role, resource.revocable)

    def _has_port(self, port: int) -> bool:
        return any(
            first <= port <= last
            for resource in self.agent.resources
            if resource.name == "ports"
            for first, last in resource.ranges
        )

    def check_invariants(self, held: Iterable[Amounts]) -> None:
        """What is free and what the tasks hold is what the agent has."""
        total = dict(Amounts.of(r for r in self.agent.resources if r.scalar is not None).scalars)
        ports: list[int] = []
        for amounts in held:
            for kind, amount in amounts.scalars:
                total[kind] -= amount
            ports.extend(amounts.ports)
        assert total == self.free, f"{self.agent.id}: {self.free} counted as free, {total} is"
        assert all(amount >= 0 for amount in total.values()), f"{self.agent.id} is oversubscribed: {total}"
        assert len(ports) == len(set(ports)), f"{self.agent.id}: a port is held twice: {sorted(ports)}"
        assert set(ports) == self.ports, f"{self.agent.id}: ports {self.ports} counted as used, {ports} are"


def _without(ranges: Iterable[tuple[int, int]], used: set[int]) -> Iterable[tuple[int, int]]:
    taken = spans(used)
    for first, last in ranges:
        for start, end in taken:
            if end < first or start > last:
                continue
            if first < start:
                yield (first, start - 1)
            first = end + 1
        if first <= last:
            yield (first, last)
