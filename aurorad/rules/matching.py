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
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.resources import Amounts, Bag, ResourceType


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
    allocated_overhead: Bag
    """What is taken of an offer for the executor: only of types that the task itself asks for."""
    amounts: Amounts
    """The total."""
    allocated: Amounts
    """What is taken of an offer."""
    revocable: bool
    values: tuple[Constraint, ...]
    limits: tuple[Constraint, ...]
    is_dedicated: bool
    ports: tuple[str, ...]


class Host(NamedTuple):
    """The host of an offer."""

    values: Values
    mode: MaintenanceMode = MaintenanceMode.NONE
    unavailability_start_ms: int | None = None


def request_of(config: TaskConfig, executors: ExecutorSettings, revocable: bool) -> Request:
    task = resources.bag_of(config.resources)
    overhead = executors.overhead(config)
    total = resources.plus(task, overhead)
    allocated_overhead = {type_: amount for type_, amount in overhead.items() if type_ in task}
    constraints = sorted(config.constraints, key=lambda constraint: constraint.name)
    return Request(
        config=config,
        task=task,
        overhead=overhead,
        total=total,
        allocated_overhead=allocated_overhead,
        amounts=resources.amounts_of(total),
        allocated=resources.amounts_of(resources.plus(task, allocated_overhead)),
        revocable=revocable,
        values=tuple(c for c in constraints if c.constraint is not None and c.constraint.value is not None),
        limits=tuple(c for c in constraints if c.constraint is not None and c.constraint.limit is not None),
        is_dedicated=is_dedicated(config),
        ports=resources.port_names(config),
    )


def values_of(attributes: Iterable[Attribute]) -> Values:
    values: dict[str, frozenset[str]] = {}
    for name, present in ((attribute.name, attribute.values) for attribute in attributes):
        values[name] = values[name] | present if name in values else present
    return frozendict(values)


def judge(request: Request, available: Bag, host: Host, census: Census, unavailable_before_ms: int) -> Verdict:
    """Why the offer cannot take a task of this request; empty if it can. The first check that fails is the verdict.

    An announced unavailability that starts before `unavailable_before_ms` counts as maintenance.
    """
    return judge_amounts(request, resources.amounts_of(available), host, census, unavailable_before_ms)


def judge_amounts(
    request: Request, available: Amounts, host: Host, census: Census, unavailable_before_ms: int
) -> Verdict:
    """The same, by numbers alone."""
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
    return shortages(request.amounts, available)


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
    most = limit_of(constraint)
    if all(census.get((constraint.name, value), 0) < most for value in present):
        return None
    return Veto(VetoType.LIMIT_NOT_SATISFIED, f"Limit not satisfied: {constraint.name}", _CONSTRAINT_SCORE)


_TOLD_ORDER = (
    ResourceType.CPUS,
    ResourceType.DISK_MB,
    ResourceType.RAM_MB,
    ResourceType.PORTS,
    ResourceType.GPUS,
)
"""The order in which the original tells what is short; quotas have it, too."""


def shortages(wanted: Amounts, available: Amounts) -> Verdict:
    """What is missing, one veto for each type."""
    if resources.suffices(available, wanted):
        return ()
    missing = dict(zip(ResourceType, resources.minus(wanted, available), strict=True))
    return tuple(_shortage(type_, missing[type_]) for type_ in _TOLD_ORDER if missing[type_] > resources.NEGLIGIBLE)


def limit_of(constraint: Constraint) -> int:
    """How many tasks of a job a value may have, by a limit constraint."""
    wanted = constraint.constraint.limit if constraint.constraint is not None else None
    return wanted.limit if wanted is not None else 0


def met_limit(request: Request, values: Values, census: Census) -> tuple[str, str] | None:
    """The attribute and value that have as many tasks of the job already as a limit allows."""
    for constraint in request.limits:
        most = limit_of(constraint)
        for value in values.get(constraint.name, ()):
            if census.get((constraint.name, value), 0) >= most:
                return constraint.name, value
    return None


def _shortage(type_: ResourceType, amount: float) -> Veto:
    most = _MAX_SHORTAGE_SCORE * type_.score_range  # what is more may be more than any number
    score = int(min(1000 * amount, most)) // type_.score_range
    return Veto(VetoType.INSUFFICIENT_RESOURCES, f"Insufficient: {type_.display_name}", score)


def is_static(verdict: Verdict) -> bool:
    """Whether the verdict holds as long as the offer does: a limit may be met again, nothing else changes."""
    return all(veto.type is not VetoType.LIMIT_NOT_SATISFIED for veto in verdict)


def distance(verdict: Verdict) -> int:
    """How far from fitting: the sum of the scores."""
    return sum(veto.score for veto in verdict)


OfferOrder = tuple[float, ...]


def offer_order(
    mode: MaintenanceMode,
    unavailability_start_ms: int | None,
    random_place: float,
    by: tuple[str, ...] = ("RANDOM",),
    amounts: Amounts = resources.NOTHING,
    revocable_cpus: float = 0.0,
) -> OfferOrder:
    """The sort key of an offer: hosts in service first, then those unavailable latest, then `by` what the flag
    ``-offer_order`` may name.

    The smallest are used first, by what is not revocable, so that the large ones stay whole; offers without revocable
    CPUs come last by these.
    """
    start = math.inf if unavailability_start_ms is None else unavailability_start_ms
    if by == ("RANDOM",):
        return int(mode), -start, random_place
    keys = {
        "CPU": amounts[0],
        "MEMORY": amounts[1],
        "DISK": amounts[2],
        "REVOCABLE_CPU": revocable_cpus or math.inf,
        "RANDOM": random_place,
    }
    return int(mode), -start, *[keys[key] for key in by]


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
