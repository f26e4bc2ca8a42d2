"""Which offer can take which task: constraints, maintenance, resources, and why not (scheduling sheet, 3 and 4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from frozendict import frozendict

from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import Attribute, Constraint, TaskConfig
from aurorad.rules import resources
from aurorad.rules.admission import DEDICATED, is_dedicated
from aurorad.rules.resources import Bag, ResourceType


class VetoType(StrEnum):
    """Why an offer cannot take a task. Value: the name in statistics."""

    DEDICATED_CONSTRAINT_MISMATCH = "dedicated_constraint_mismatch"
    MAINTENANCE = "maintenance"
    CONSTRAINT_MISMATCH = "constraint_mismatch"
    LIMIT_NOT_SATISFIED = "limit_not_satisfied"
    INSUFFICIENT_RESOURCES = "insufficient_resources"


class Veto(NamedTuple):
    """`score` says how far the offer is from fitting: less is nearer."""

    type: VetoType
    reason: str
    score: int


Verdict = tuple[Veto, ...]
"""All vetoes of one offer against one request; none: it fits."""

Values = Mapping[str, frozenset[str]]
"""A host's attributes, those of the same name merged."""

Census = Mapping[tuple[str, str], int]
"""How many tasks of a job run on hosts with an attribute's value, by (attribute, value)."""


class Request(NamedTuple):
    """What every task of one configuration asks for, worked out once."""

    config: TaskConfig
    task: Bag
    overhead: Bag
    total: Bag
    revocable: bool
    values: tuple[Constraint, ...]
    limits: tuple[Constraint, ...]
    is_dedicated: bool
    ports: tuple[str, ...]

    @property
    def allocated_overhead(self) -> Bag:
        """The overhead that is taken from an offer: only of types that the task itself asks for."""
        return {type_: amount for type_, amount in self.overhead.items() if type_ in self.task}


class Host(NamedTuple):
    """The host of an offer."""

    values: Values
    mode: MaintenanceMode = MaintenanceMode.NONE
    unavailability_start_ms: int | None = None


def request_of(config: TaskConfig, executor_cpus: float, executor_ram_mb: float, revocable: bool) -> Request:
    task = resources.bag_of(config.resources)
    overhead = resources.executor_overhead(config, executor_cpus, executor_ram_mb)
    constraints = sorted(config.constraints, key=lambda constraint: constraint.name)
    return Request(
        config=config,
        task=task,
        overhead=overhead,
        total=resources.plus(task, overhead),
        revocable=revocable,
        values=tuple(c for c in constraints if c.constraint is not None and c.constraint.value is not None),
        limits=tuple(c for c in constraints if c.constraint is not None and c.constraint.limit is not None),
        is_dedicated=is_dedicated(config),
        ports=resources.port_names(config),
    )


def values_of(attributes: Iterable[Attribute]) -> Values:
    values: dict[str, frozenset[str]] = {}
    for attribute in attributes:
        values[attribute.name] = values.get(attribute.name, frozenset()) | attribute.values
    return frozendict(values)


def judge(request: Request, available: Bag, host: Host, census: Census, unavailable_before_ms: int) -> Verdict:
    """Why the offer cannot take a task of this request; empty if it can. The first check that fails is the verdict.

    An announced unavailability that starts before `unavailable_before_ms` counts as maintenance.
    """
    if not request.is_dedicated and DEDICATED in host.values:
        return (_HOST_IS_DEDICATED,)
    if host.mode in _IN_MAINTENANCE:
        return (_IN_MAINTENANCE[host.mode],)
    if host.unavailability_start_ms is not None and host.unavailability_start_ms < unavailable_before_ms:
        return (_IN_MAINTENANCE[MaintenanceMode.DRAINING],)
    for constraint in request.values:
        if not _has_value(constraint, host.values):
            return (_mismatch(constraint),)
    for constraint in request.limits:
        veto = _limit_veto(constraint, host.values, census)
        if veto is not None:
            return (veto,)
    return _shortages(request.total, available)


_HOST_IS_DEDICATED = Veto(VetoType.DEDICATED_CONSTRAINT_MISMATCH, "Host is dedicated", 1_000_000)
_IN_MAINTENANCE = frozendict(
    {
        MaintenanceMode.DRAINING: Veto(VetoType.MAINTENANCE, "Host draining for maintenance", 100_000),
        MaintenanceMode.DRAINED: Veto(VetoType.MAINTENANCE, "Host drained for maintenance", 100_000),
    }
)
_CONSTRAINT_SCORE = 10_000
_MAX_SHORTAGE_SCORE = 1000


def _has_value(constraint: Constraint, values: Values) -> bool:
    wanted = constraint.constraint.value if constraint.constraint is not None else None
    if wanted is None:
        return False
    return wanted.values.isdisjoint(values.get(constraint.name, frozenset())) == wanted.negated


def _mismatch(constraint: Constraint) -> Veto:
    return Veto(VetoType.CONSTRAINT_MISMATCH, f"Constraint not satisfied: {constraint.name}", _CONSTRAINT_SCORE)


def _limit_veto(constraint: Constraint, values: Values, census: Census) -> Veto | None:
    present = values.get(constraint.name)
    if not present:
        return _mismatch(constraint)
    wanted = constraint.constraint.limit if constraint.constraint is not None else None
    if wanted is not None and all(census.get((constraint.name, value), 0) < wanted.limit for value in present):
        return None
    return Veto(VetoType.LIMIT_NOT_SATISFIED, f"Limit not satisfied: {constraint.name}", _CONSTRAINT_SCORE)


def _shortages(wanted: Bag, available: Bag) -> Verdict:
    return tuple(
        _shortage(type_, wanted[type_] - available.get(type_, 0))
        for type_ in ResourceType
        if type_ in wanted and wanted[type_] - available.get(type_, 0) > resources.NEGLIGIBLE
    )


def _shortage(type_: ResourceType, amount: float) -> Veto:
    score = min(_MAX_SHORTAGE_SCORE, int(1000 * amount) // type_.score_range)
    return Veto(VetoType.INSUFFICIENT_RESOURCES, f"Insufficient: {type_.display_name}", score)


def is_static(verdict: Verdict) -> bool:
    """Whether the verdict holds as long as the offer does: a limit may be met again, nothing else changes."""
    return all(veto.type is not VetoType.LIMIT_NOT_SATISFIED for veto in verdict)


def distance(verdict: Verdict) -> int:
    """How far from fitting: the sum of the scores."""
    return sum(veto.score for veto in verdict)


OfferOrder = tuple[int, float, float]


def offer_order(mode: MaintenanceMode, unavailability_start_ms: int | None, random_place: float) -> OfferOrder:
    """The sort key of an offer: hosts in service first, then those unavailable latest, then at random but stably."""
    start = math.inf if unavailability_start_ms is None else unavailability_start_ms
    return (mode, -start, random_place)


def census_of(hosts: Iterable[Iterable[Attribute]]) -> dict[tuple[str, str], int]:
    """Counts of attribute values, given the attributes of each task's host."""
    census: dict[tuple[str, str], int] = {}
    for attributes in hosts:
        count_in(census, values_of(attributes))
    return census


def count_in(census: dict[tuple[str, str], int], values: Values) -> None:
    """Count one more task on a host with these attributes."""
    for name, present in values.items():
        for value in present:
            census[name, value] = census.get((name, value), 0) + 1
