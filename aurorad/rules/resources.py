"""What tasks ask for and what offers have: amounts by type, ports, and taking one out of the other (scheduling
sheet, 2)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec
from frozendict import frozendict

from aurorad.api.ranges import spans
from aurorad.api.tasks import Resource as Requested
from aurorad.api.tasks import TaskConfig
from aurorad.engine.base import Resource

NEGLIGIBLE = 1e-6
"""Amounts below are zero: sums of decimal fractions are not exact."""


class ResourceType(StrEnum):
    """The types, in the order in which they are told. Value: Mesos' name."""

    CPUS = "cpus"
    RAM_MB = "mem"
    DISK_MB = "disk"
    PORTS = "ports"
    GPUS = "gpus"

    @property
    def display_name(self) -> str:
        return _DISPLAY_NAMES[self]

    @property
    def score_range(self) -> int:
        """What is a lot of it: a shortage is scored relative to this."""
        return _SCORE_RANGES[self]


_DISPLAY_NAMES = frozendict(
    {
        ResourceType.CPUS: "CPU",
        ResourceType.RAM_MB: "RAM",
        ResourceType.DISK_MB: "disk",
        ResourceType.PORTS: "ports",
        ResourceType.GPUS: "GPU",
    }
)
_SCORE_RANGES = frozendict(
    {
        ResourceType.CPUS: 16,
        ResourceType.RAM_MB: 24576,
        ResourceType.DISK_MB: 460800,
        ResourceType.PORTS: 1000,
        ResourceType.GPUS: 4,
    }
)
_BY_NAME = frozendict({type_.value: type_ for type_ in ResourceType})
Types = frozenset[ResourceType]

REVOCABLE: Types = frozenset({ResourceType.CPUS})
"""Of what a revocable request wants what may be revoked, unless operators say otherwise."""

Bag = Mapping[ResourceType, float]
"""Amounts by type: cores, MB, MB, a count of ports, cores. What is missing is zero."""


Amounts = tuple[float, float, float, float, float]
"""A bag as numbers alone, one for each type, in the order of the types: quick to compare."""

NOTHING: Amounts = (0.0, 0.0, 0.0, 0.0, 0.0)


def amounts_of(bag: Bag) -> Amounts:
    cpus, ram_mb, disk_mb, ports, gpus = (float(bag.get(type_, 0)) for type_ in ResourceType)
    return cpus, ram_mb, disk_mb, ports, gpus


def minus(amounts: Amounts, taken: Amounts) -> Amounts:
    cpus, ram_mb, disk_mb, ports, gpus = amounts
    return cpus - taken[0], ram_mb - taken[1], disk_mb - taken[2], ports - taken[3], gpus - taken[4]


def without(amounts: Amounts, types: Types) -> Amounts:
    """Nothing of these types."""
    cpus, ram_mb, disk_mb, ports, gpus = (
        0.0 if type_ in types else amount for type_, amount in zip(ResourceType, amounts, strict=True)
    )
    return cpus, ram_mb, disk_mb, ports, gpus


def suffices(available: Amounts, wanted: Amounts) -> bool:
    """Whether all that is wanted is there. Written out, for nothing is asked more often."""
    cpus, ram_mb, disk_mb, ports, gpus = available
    return (
        wanted[0] - cpus <= NEGLIGIBLE
        and wanted[1] - ram_mb <= NEGLIGIBLE
        and wanted[2] - disk_mb <= NEGLIGIBLE
        and wanted[3] - ports <= NEGLIGIBLE
        and wanted[4] - gpus <= NEGLIGIBLE
    )


class InsufficientResources(Exception):
    """An offer has less than was to be taken from it: it was not matched against the request."""


def bag_of(requested: Iterable[Requested]) -> Bag:
    """The sum of a task's resources, in the order of the types; each named port counts one."""
    bag: dict[ResourceType, float] = {}
    for resource in requested:
        type_, amount = _amount(resource)
        bag[type_] = bag.get(type_, 0) + amount
    return {type_: bag[type_] for type_ in ResourceType if type_ in bag}  # what is requested comes in any order


def _amount(resource: Requested) -> tuple[ResourceType, float]:
    if resource.num_cpus is not None:
        return ResourceType.CPUS, resource.num_cpus
    if resource.ram_mb is not None:
        return ResourceType.RAM_MB, resource.ram_mb
    if resource.disk_mb is not None:
        return ResourceType.DISK_MB, resource.disk_mb
    if resource.named_port is not None:
        return ResourceType.PORTS, 1
    if resource.num_gpus is not None:
        return ResourceType.GPUS, max(0, resource.num_gpus)  # nobody has any to give
    raise ValueError("a resource of no type: exactly one member of the union was expected")


def bag_of_offer(resources: Iterable[Resource], revocable: bool, types: Types = REVOCABLE) -> Bag:
    """What a request may use: a revocable one what is revocable of some types and all there is of others, any other one
    only what is not revocable."""
    bag: dict[ResourceType, float] = {}
    for resource in resources:
        type_ = _BY_NAME.get(resource.name)
        if type_ is not None and _usable(resource, type_, revocable, types):
            bag[type_] = bag.get(type_, 0) + _size(resource)
    return bag


def _usable(resource: Resource, type_: ResourceType, revocable: bool, types: Types) -> bool:
    if type_ is ResourceType.PORTS:
        return True
    if revocable:
        return type_ not in types or resource.revocable
    return not resource.revocable


def _size(resource: Resource) -> float:
    if resource.scalar is not None:
        return resource.scalar
    return sum(last - first + 1 for first, last in resource.ranges)


def plus(one: Bag, other: Bag) -> Bag:
    return {type_: one.get(type_, 0) + other.get(type_, 0) for type_ in [*one, *(t for t in other if t not in one)]}


def port_names(config: TaskConfig) -> tuple[str, ...]:
    return tuple(sorted(r.named_port for r in config.resources if r.named_port is not None))


def pick_ports(resources: Iterable[Resource], names: tuple[str, ...], rng: random.Random) -> dict[str, int]:
    """A random free port for each name. Raises `InsufficientResources` if there are fewer."""
    ranges = [span for resource in resources if resource.name == "ports" for span in resource.ranges]
    total = sum(last - first + 1 for first, last in ranges)
    if total < len(names):
        raise InsufficientResources("Insufficient resource for range type when allocating from offer")
    return {
        name: _nth_port(ranges, place) for name, place in zip(names, rng.sample(range(total), len(names)), strict=True)
    }


def pick_unused_ports(
    ranges: tuple[tuple[int, int], ...], used: set[int], names: tuple[str, ...], rng: random.Random
) -> dict[str, int]:
    """A random port for each name, out of ranges of which some are used. Raises `InsufficientResources`.

    As long as few are used, nobody has to look at the others.
    """
    total = sum(last - first + 1 for first, last in ranges)
    if 2 * (len(used) + len(names)) > total:
        return pick_ports([Resource("ports", ranges=_without(ranges, used))], names, rng)
    picked: dict[str, int] = {}
    for name in names:
        port = _nth_port(ranges, rng.randrange(total))
        while port in used or port in picked.values():
            port = _nth_port(ranges, rng.randrange(total))
        picked[name] = port
    return picked


def _nth_port(ranges: Iterable[tuple[int, int]], place: int) -> int:
    for first, last in ranges:
        size = last - first + 1
        if place < size:
            return first + place
        place -= size
    raise AssertionError("a place beyond the last port")


def take(
    resources: tuple[Resource, ...], wanted: Bag, ports: Iterable[int], revocable: bool, types: Types = REVOCABLE
) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    """Split an offer's resources into what is taken and what is left, reserved ones being taken first.

    `ports` are the very ports to take; their count in `wanted` is not looked at. Raises `InsufficientResources`.
    """
    taken: list[Resource] = []
    left: list[Resource] = []
    due = {type_.value: amount for type_, amount in wanted.items()}
    due_ports = set(ports)
    for resource in sorted(resources, key=lambda r: r.role == "*"):
        type_ = _BY_NAME.get(resource.name)
        if type_ is ResourceType.PORTS:
            used = {port for port in due_ports if any(first <= port <= last for first, last in resource.ranges)}
            due_ports -= used
            _split_ports(resource, used, taken, left)
        elif type_ is not None and _usable(resource, type_, revocable, types):
            used_amount = min(due.get(resource.name, 0), resource.scalar or 0)
            due[resource.name] = due.get(resource.name, 0) - used_amount
            _split_scalar(resource, used_amount, taken, left)
        else:
            left.append(resource)
    due.pop(ResourceType.PORTS.value, None)
    if any(amount > NEGLIGIBLE for amount in due.values()):
        raise InsufficientResources("Insufficient resource when allocating from offer")
    if due_ports:
        raise InsufficientResources("Insufficient resource for range type when allocating from offer")
    return tuple(taken), tuple(left)


def covers(offered: Iterable[Resource], wanted: Iterable[Resource]) -> bool:
    """Whether all that was taken from one offer is in another one, too, of the same role and kind."""
    left: dict[tuple[str, str, bool, str | None], float] = {}
    ports: set[int] = set()
    for resource in offered:
        kind = (resource.name, resource.role, resource.revocable, resource.reservation)
        left[kind] = left.get(kind, 0) + (resource.scalar or 0)
        ports.update(_numbers(resource))
    for resource in wanted:
        kind = (resource.name, resource.role, resource.revocable, resource.reservation)
        left[kind] = left.get(kind, 0) - (resource.scalar or 0)
        if not ports.issuperset(_numbers(resource)):
            return False
    return all(amount >= -NEGLIGIBLE for amount in left.values())


def _numbers(resource: Resource) -> Iterable[int]:
    return (number for first, last in resource.ranges for number in range(first, last + 1))


def _split_scalar(resource: Resource, used: float, taken: list[Resource], left: list[Resource]) -> None:
    rest = (resource.scalar or 0) - used
    if used > NEGLIGIBLE:
        taken.append(msgspec.structs.replace(resource, scalar=round(used, 6)))
    if rest > NEGLIGIBLE:
        left.append(msgspec.structs.replace(resource, scalar=round(rest, 6)))


def _split_ports(resource: Resource, used: set[int], taken: list[Resource], left: list[Resource]) -> None:
    if not used:
        left.append(resource)
        return
    taken.append(msgspec.structs.replace(resource, ranges=tuple(spans(used))))
    rest = _without(resource.ranges, used)
    if rest:
        left.append(msgspec.structs.replace(resource, ranges=rest))


def _without(ranges: Iterable[tuple[int, int]], used: set[int]) -> tuple[tuple[int, int], ...]:
    rest: list[tuple[int, int]] = []
    for first, last in ranges:
        for port in sorted(port for port in used if first <= port <= last):
            if first < port:
                rest.append((first, port - 1))
            first = port + 1
        if first <= last:
            rest.append((first, last))
    return tuple(rest)
