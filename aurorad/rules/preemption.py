"""Whom a waiting task may displace, and from which agent (scheduling sheet, section 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from aurorad.api.tasks import TaskConfig
from aurorad.rules import resources
from aurorad.rules.matching import Request
from aurorad.rules.resources import Bag, ResourceType
from aurorad.rules.tiers import Tier


class Kind(NamedTuple):
    """What holds for all active tasks of one configuration; `freed` is what an offer gains by the end of one, its
    executor's share included."""

    config: TaskConfig
    tier: Tier
    freed: Bag


class Victim(msgspec.Struct, frozen=True, gc=False):
    """An active task that may have to go; one that is ending goes anyway."""

    task_id: str
    kind: Kind
    is_ending: bool = False


def kind_of(request: Request, tier: Tier, types: resources.Types = resources.REVOCABLE) -> Kind:
    """Revocable resources are no gain: the task that waits cannot use them."""
    freed = {type_: amount for type_, amount in request.total.items() if not (tier.revocable and type_ in types)}
    return Kind(request.config, tier, freed)


def may_preempt(pending: TaskConfig, pending_tier: Tier, victim: Kind) -> bool:
    """Tasks of tiers that are not preemptible displace any that is; else only those of their role, by priority."""
    if not pending_tier.preemptible and victim.tier.preemptible:
        return True
    return (
        pending_tier.preemptible == victim.tier.preemptible
        and pending.job.role == victim.config.job.role
        and pending.priority > victim.config.priority
    )


def choose_victims(request: Request, tier: Tier, active: Iterable[Victim], slack: Bag) -> tuple[Victim, ...]:
    """Whose end makes room on an agent for one task of `request`; empty if nobody's, or there is room.

    `slack` is what the agent offers already, without what is revocable. Those who are ending count first, then the
    largest go first; whoever turns out not to be needed stays.
    """
    available = dict(slack)
    if _covers(available, request.total):
        return ()
    eligible = [victim for victim in active if may_preempt(request.config, tier, victim.kind)]
    if not _could_cover(request.total, eligible, slack):
        return ()
    going: list[Victim] = []
    for victim in sorted(eligible, key=_order, reverse=True):
        going.append(victim)
        _change(available, victim.kind.freed, 1)
        if _covers(available, request.total):
            return _without_needless(going, available, request.total)
    return ()


def _could_cover(wanted: Bag, eligible: list[Victim], slack: Bag) -> bool:
    """Whether there would be room if all were gone; mostly there would not, and this is cheaper than choosing."""
    for type_, amount in wanted.items():
        missing = amount - slack.get(type_, 0) - resources.NEGLIGIBLE
        if missing > 0 and missing > sum(victim.kind.freed.get(type_, 0) for victim in eligible):
            return False
    return True


def _without_needless(going: list[Victim], available: dict[ResourceType, float], wanted: Bag) -> tuple[Victim, ...]:
    """The largest are spared first: without the last, the smallest, there was no room."""
    needed = []
    for victim in going[:-1]:
        if not victim.is_ending:
            _change(available, victim.kind.freed, -1)
            if _covers(available, wanted):
                continue
            _change(available, victim.kind.freed, 1)
        needed.append(victim)
    return (*needed, going[-1])


def _covers(available: Bag, wanted: Bag) -> bool:
    return all(amount - available.get(type_, 0) <= resources.NEGLIGIBLE for type_, amount in wanted.items())


def _change(available: dict[ResourceType, float], freed: Bag, sign: int) -> None:
    for type_, amount in freed.items():
        available[type_] = available.get(type_, 0) + sign * amount


def _order(victim: Victim) -> tuple[float, ...]:
    return (victim.is_ending, *(victim.kind.freed.get(type_, 0) for type_ in ResourceType))


def may_return(old: TaskConfig, new: TaskConfig) -> bool:
    """Whether the place of a task that an update ends suits its replacement: equal constraints, no more resources
    (scheduling sheet, section 7)."""
    if old.constraints != new.constraints:
        return False
    return _covers(resources.bag_of(old.resources), resources.bag_of(new.resources))
