"""Whom a waiting task may displace, and from which agent (scheduling sheet, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from aurorad.api.tasks import TaskConfig
from aurorad.rules import matching, resources
from aurorad.rules.matching import Census, Host, Request
from aurorad.rules.resources import Bag, ResourceType
from aurorad.rules.tiers import Tier

GroupT = TypeVar("GroupT", bound=Hashable)
_Fits = Callable[[Sequence["Victim"]], bool]


class Victim(NamedTuple):
    """An active task that may have to go; `freed` is what an offer gains by its end, its executor's share included."""

    task_id: str
    config: TaskConfig
    tier: Tier
    freed: Bag


def victim_of(task_id: str, request: Request, tier: Tier) -> Victim:
    """Revocable resources are no gain: the task that waits cannot use them."""
    freed = {
        type_: amount
        for type_, amount in request.total.items()
        if not (tier.revocable and type_ in resources.REVOCABLE)
    }
    return Victim(task_id, request.config, tier, freed)


def may_preempt(pending: TaskConfig, pending_tier: Tier, victim: Victim) -> bool:
    """Tasks of tiers that are not preemptible displace any that is; else only those of their role, by priority."""
    if not pending_tier.preemptible and victim.tier.preemptible:
        return True
    return (
        pending_tier.preemptible == victim.tier.preemptible
        and pending.job.role == victim.config.job.role
        and pending.priority > victim.config.priority
    )


def choose_victims(
    request: Request,
    tier: Tier,
    active: Iterable[Victim],
    slack: Bag,
    host: Host,
    census: Census,
    unavailable_before_ms: int,
) -> tuple[Victim, ...]:
    """Who of an agent's active tasks must go for one task of `request` to fit; empty if nobody must, or it is no help.

    `slack` is what the agent offers already, without what is revocable. The largest go first; whoever turns out not to
    be needed stays.
    """

    def fits(victims: Sequence[Victim]) -> bool:
        available = slack
        for victim in victims:
            available = resources.plus(available, victim.freed)
        return not matching.judge(request, available, host, census, unavailable_before_ms)

    if fits(()):
        return ()
    eligible = sorted(
        (victim for victim in active if may_preempt(request.config, tier, victim)), key=_size, reverse=True
    )
    for count in range(1, len(eligible) + 1):
        if fits(eligible[:count]):
            return _without_needless(eligible[:count], fits)
    return ()


def _without_needless(victims: list[Victim], fits: _Fits) -> tuple[Victim, ...]:
    """The largest are spared first: without the last, the smallest, it did not fit."""
    for victim in victims[:-1]:
        rest = [other for other in victims if other is not victim]
        if fits(rest):
            victims = rest
    return tuple(victims)


def _size(victim: Victim) -> tuple[float, ...]:
    return tuple(victim.freed.get(type_, 0) for type_ in ResourceType)


def search_order(waiting: Mapping[GroupT, int], batch_size: int) -> list[GroupT]:
    """Whom to search a slot for: each group up to `batch_size` times in a row, in turn, until all tasks had theirs."""
    left = dict(waiting)
    order: list[GroupT] = []
    while left:
        for group, count in list(left.items()):
            turns = min(count, batch_size)
            order += [group] * turns
            left[group] = count - turns
            if left[group] <= 0:
                del left[group]
    return order
