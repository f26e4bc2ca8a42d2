"""What one write takes from offers: several tasks from one offer, before anybody is told."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from aurorad.engine.base import Resource
from aurorad.rules import resources
from aurorad.rules.matching import Request
from aurorad.rules.resources import Amounts
from aurorad.scheduler.ordered import HeldOffer


class Parts(NamedTuple):
    """What a task and its executor get of an offer, but for the ports."""

    task: tuple[Resource, ...]
    executor: tuple[Resource, ...]


class Claimed(NamedTuple):
    """One task's share of an offer."""

    task_id: str
    task: tuple[Resource, ...]
    executor: tuple[Resource, ...]
    ports: Mapping[str, int]


class Claim:
    """What is taken of one offer. Nearly all offers name each resource once, and then numbers say what is left."""

    def __init__(self, held: HeldOffer) -> None:
        self.held = held
        self.tasks: list[Claimed] = []
        self._types = held.kind.revocable_types
        self._is_plain = held.kind.layout is not None
        self._amounts = held.kind.amounts
        self._used_ports: set[int] = set()
        self._left = held.offer.resources

    def amounts(self, revocable: bool) -> Amounts:
        """What is left for a request."""
        if self._is_plain:  # and so without anything revocable
            return resources.without(self._amounts, self._types) if revocable else self._amounts
        return resources.amounts_of(resources.bag_of_offer(self._left, revocable, self._types))

    def take(self, task_id: str, request: Request, parts: dict[object, Parts], rng: random.Random) -> Claimed:
        """Take what a task needs. `parts` keeps what the request's tasks get of offers of one layout.

        Raises `InsufficientResources` if there is less.
        """
        claimed = (
            self._take_plainly(task_id, request, parts, rng)
            if self._is_plain
            else self._take_piecemeal(task_id, request, rng)
        )
        self.tasks.append(claimed)
        return claimed

    def _take_plainly(self, task_id: str, request: Request, parts: dict[object, Parts], rng: random.Random) -> Claimed:
        kind = self.held.kind
        known = parts.get(kind.layout)
        if known is None:
            known = parts[kind.layout] = self._parts(request)
        self._amounts = resources.minus(self._amounts, request.allocated)
        if not request.ports:
            return Claimed(task_id, known.task, known.executor, _NO_PORTS)
        ports = resources.pick_unused_ports(kind.ports, self._used_ports, request.ports, rng)
        self._used_ports.update(ports.values())
        spans, _ = resources.take(self._port_resources(), {}, ports.values(), revocable=False)
        return Claimed(task_id, known.task + spans, known.executor, ports)

    def _parts(self, request: Request) -> Parts:
        task, left = resources.take(self.held.offer.resources, request.task, (), request.revocable, self._types)
        executor, _ = resources.take(left, request.allocated_overhead, (), request.revocable, self._types)
        return Parts(task, executor)

    def _port_resources(self) -> tuple[Resource, ...]:
        return tuple(resource for resource in self.held.offer.resources if resource.name == "ports")

    def _take_piecemeal(self, task_id: str, request: Request, rng: random.Random) -> Claimed:
        ports = resources.pick_ports(self._left, request.ports, rng)
        task, left = resources.take(self._left, request.task, ports.values(), request.revocable, self._types)
        executor, self._left = resources.take(left, request.allocated_overhead, (), request.revocable, self._types)
        return Claimed(task_id, task, executor, ports)


_NO_PORTS: Mapping[str, int] = {}
