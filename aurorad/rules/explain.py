"""Why hosts do not take a task, and what would help: the rules of matching, asked of every host and put into words.

A `Survey` is told of each host, in any order; hosts that are alike are judged once. Its answer is for people first:
whole sentences, of which the numbers beside them are the proof.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from aurorad.api.tasks import Constraint
from aurorad.rules import matching, resources
from aurorad.rules.admission import DEDICATED
from aurorad.rules.matching import Census, Host, Request, Verdict, VetoType
from aurorad.rules.resources import Bag, ResourceType

_VALUES_TOLD: Final = 5
"""Of an attribute; a cluster may have thousands of racks."""

_UNITS: Final = {
    ResourceType.CPUS: "CPU",
    ResourceType.RAM_MB: "MB RAM",
    ResourceType.DISK_MB: "MB disk",
    ResourceType.PORTS: "ports",
    ResourceType.GPUS: "GPU",
}


class Reason(msgspec.Struct, frozen=True):
    """One veto, as a pending reason words it, and how many hosts gave it."""

    reason: str
    hosts: int


class Shortage(msgspec.Struct, frozen=True):
    """Amounts in cores, MB, or a count. What is asked for includes what the executor needs."""

    resource: str
    asked: float
    there: float
    short: float


class Nearest(msgspec.Struct, frozen=True):
    """The host that lacks the least, of those where nothing but resources is in the way."""

    host: str
    shortages: tuple[Shortage, ...]


class Explanation(msgspec.Struct, frozen=True):
    """`hosts` offer something now, `fitting` of them could take a task."""

    hosts: int
    fitting: int
    reasons: tuple[Reason, ...]
    nearest: Nearest | None
    sentences: tuple[str, ...]


class _Seen(NamedTuple):
    """A host that lacks resources, and how much, relative to what is asked for."""

    lack: float
    name: str
    available: Bag


class Survey:
    """What hosts say to one request. `census` tells where the job's tasks are, for limits."""

    def __init__(self, request: Request, census: Census, unavailable_before_ms: int) -> None:
        self._request = request
        self._census = census
        self._unavailable_before_ms = unavailable_before_ms
        self._names = tuple(constraint.name for constraint in (*request.values, *request.limits))
        self._known: dict[Hashable, Verdict] = {}
        self._hosts = 0
        self._fitting = 0
        self._reasons: Counter[str] = Counter()
        self._values: dict[str, Counter[str]] = {name: Counter() for name in self._names}
        self._without: Counter[str] = Counter()  # constraint or maintenance: who would fit were it not for that
        self._nearest: _Seen | None = None

    def see(self, name: str, host: Host, available: Bag) -> bool:
        """Note what a host says that offers so much; whether a task fits there."""
        verdict = self._verdict(host, available)
        self._hosts += 1
        for attribute in self._names:
            self._values[attribute].update(host.values.get(attribute, ()))
        if not verdict:
            self._fitting += 1
        for veto in verdict:
            self._reasons[veto.reason] += 1
        if verdict and verdict[0].type is VetoType.INSUFFICIENT_RESOURCES:
            self._see_shortage(name, available)
        elif verdict:
            self._see_relaxed(verdict, host, available)
        return not verdict

    def explanation(self) -> Explanation:
        nearest = self._nearest_host()
        return Explanation(
            hosts=self._hosts,
            fitting=self._fitting,
            reasons=tuple(Reason(reason, hosts) for reason, hosts in self._reasons.most_common()),
            nearest=nearest,
            sentences=tuple(self._sentences(nearest)),
        )

    def _verdict(self, host: Host, available: Bag) -> Verdict:
        key: Hashable = (
            tuple(available.items()),
            tuple(host.values.get(name) for name in self._names),
            DEDICATED in host.values,
            host.mode,
            host.unavailability_start_ms,
        )
        verdict = self._known.get(key)
        if verdict is None:
            verdict = self._judge(self._request, host, available)
            self._known[key] = verdict
        return verdict

    def _judge(self, request: Request, host: Host, available: Bag) -> Verdict:
        return matching.judge(request, available, host, self._census, self._unavailable_before_ms)

    def _see_shortage(self, name: str, available: Bag) -> None:
        total = self._request.total
        lack = sum(max(0.0, asked - available.get(type_, 0)) / asked for type_, asked in total.items() if asked)
        if self._nearest is None or lack < self._nearest.lack:
            self._nearest = _Seen(lack, name, available)

    def _see_relaxed(self, verdict: Verdict, host: Host, available: Bag) -> None:
        """Whether the host would do if it were not for this one thing."""
        veto = verdict[0]
        if veto.type is VetoType.MAINTENANCE:
            if not self._judge(self._request, Host(host.values), available):
                self._without[_MAINTENANCE] += 1
        elif veto.type is not VetoType.DEDICATED_CONSTRAINT_MISMATCH:
            name = veto.reason.rpartition(": ")[2]
            if not self._judge(_without(self._request, name), host, available):
                self._without[name] += 1

    def _nearest_host(self) -> Nearest | None:
        if self._nearest is None:
            return None
        _, name, available = self._nearest
        total = self._request.total
        missing = ((type_, total[type_], available.get(type_, 0)) for type_ in ResourceType if type_ in total)
        shortages = (
            Shortage(type_.display_name, rounded(asked), rounded(there), rounded(asked - there))
            for type_, asked, there in missing
            if asked - there > resources.NEGLIGIBLE
        )
        return Nearest(name, tuple(shortages))

    def _sentences(self, nearest: Nearest | None) -> Iterable[str]:
        if not self._hosts:
            yield "No host offers anything at present."
            return
        if self._fitting:
            yield f"{self._fitting} of {hosts(self._hosts)} can take one more instance now."
            return
        yield f"None of {hosts(self._hosts)} can take one more instance now."
        if nearest is not None and self._nearest is not None:
            yield f"{nearest.host} comes nearest: it lacks {self._lacks(nearest)}."
            yield from self._shrinking(self._nearest.available, nearest.host)
        for constraint in (*self._request.values, *self._request.limits):
            yield from self._about(constraint)
        if self._without[_MAINTENANCE]:
            yield f"After their maintenance {hosts(self._without[_MAINTENANCE])} could take one."
        dedicated = self._reasons["Host is dedicated"]
        if dedicated:
            yield f"{hosts(dedicated, capital=True)} {_are(dedicated)} dedicated to others."

    def _lacks(self, nearest: Nearest) -> str:
        units = {type_.display_name: unit for type_, unit in _UNITS.items()}
        return and_(
            f"{number(each.short)} of {number(each.asked)} {units[each.resource]}" for each in nearest.shortages
        )

    def _shrinking(self, available: Bag, host: str) -> Iterable[str]:
        """The most that a task may ask for to fit there, if that is anything."""
        request = self._request
        total = request.total
        short = [t for t in ResourceType if total.get(t, 0) - available.get(t, 0) > resources.NEGLIGIBLE]
        overhead = {type_: request.overhead[type_] for type_ in short if request.overhead.get(type_)}
        if overhead:
            yield f"Of what is asked for, {amounts(overhead)} {_are(len(overhead))} for the executor."
        left = {type_: available.get(type_, 0) - request.overhead.get(type_, 0) for type_ in short}
        if all(amount > resources.NEGLIGIBLE for amount in left.values()):
            asked = {type_: request.task.get(type_, 0) for type_ in short}
            yield f"With {amounts(left)} instead of {amounts(asked)} an instance would fit on {host}."

    def _about(self, constraint: Constraint) -> Iterable[str]:
        name = constraint.name
        mismatches, limited = self._reasons[f"Constraint not satisfied: {name}"], self._reasons[_LIMITED + name]
        if not mismatches and not limited:
            return
        text = f"{hosts(mismatches + limited, capital=True)} {_do(mismatches + limited)} not meet {wording(constraint)}"
        there = sorted(self._values[name].items(), key=lambda pair: (-pair[1], len(pair[0]), pair[0]))
        if not there:
            text += f"; no host has an attribute {name}"
        elif mismatches == self._hosts:
            told = [f"{value} on {hosts(count)}" for value, count in there[:_VALUES_TOLD]]
            more = [f"{len(there) - _VALUES_TOLD} more values"] if len(there) > _VALUES_TOLD else []
            text += f"; {name} is {and_([*told, *more])}"
        yield f"{text}."
        if self._without[name]:
            yield f"Without {wording(constraint)} an instance would fit on {hosts(self._without[name])}."


_MAINTENANCE: Final = "\0maintenance"  # no constraint can have this name
_LIMITED: Final = "Limit not satisfied: "


def _without(request: Request, name: str) -> Request:
    return request._replace(
        values=tuple(constraint for constraint in request.values if constraint.name != name),
        limits=tuple(constraint for constraint in request.limits if constraint.name != name),
    )


def wording(constraint: Constraint) -> str:
    """``the constraint rack = r1 or r2``, ``the limit of 1 for each rack``."""
    wanted = constraint.constraint
    if wanted is not None and wanted.limit is not None:
        return f"the limit of {wanted.limit.limit} for each {constraint.name}"
    values = " or ".join(sorted(wanted.value.values)) if wanted is not None and wanted.value is not None else ""
    sign = "≠" if wanted is not None and wanted.value is not None and wanted.value.negated else "="
    return f"the constraint {constraint.name} {sign} {values}"


def amounts(bag: Mapping[ResourceType, float]) -> str:
    """``0.25 CPU and 128 MB RAM``."""
    return and_(f"{number(bag[type_])} {_UNITS[type_]}" for type_ in ResourceType if type_ in bag)


def number(amount: float) -> str:
    """``0.25``, ``1000000``."""
    return f"{amount:.3f}".rstrip("0").rstrip(".")


def rounded(amount: float) -> float:
    return round(amount, 3)


def hosts(count: int, capital: bool = False) -> str:
    if count == 1:
        return "One host" if capital else "one host"
    return f"{count} hosts"


def and_(texts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    every = list(texts)
    return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _do(count: int) -> str:
    return "does" if count == 1 else "do"
