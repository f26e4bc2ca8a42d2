"""Rounds of faults under load: one fault each, healed, and judged. One line a round, and the times in the end."""

from __future__ import annotations

import math
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.cluster.agreement import disagreements
from tests.cluster.faults import FAULTS
from tests.cluster.schedulers import SESSION_S, Scheduler, Site
from tests.cluster.users import Users
from tests.e2e.cluster import eventually

BEFORE_S = 0.7
AFTER_S = 0.5
TAKE_OVER_S = 40.0
ODD_WORDS = ("Traceback", "cannot go on", "AssertionError")


class Broken(AssertionError):
    """Something that must hold does not."""


def drawn(rounds: int, seed: int) -> list[str]:
    """The names of faults: all of them in some order, again and again."""
    rng = random.Random(seed)
    names: list[str] = []
    while len(names) < rounds:
        names += rng.sample(list(FAULTS), len(FAULTS))
    return names[:rounds]


def run(site: Site, names: Iterable[str], seed: int, tell: Callable[[str], None]) -> Mapping[str, list[float]]:
    """The outages by fault, in seconds. The site is stopped in the end. Raises `Broken`."""
    outages: dict[str, list[float]] = defaultdict(list)
    told: dict[str, int] = defaultdict(int)
    site.settle()
    for number, name in enumerate(names):
        began = time.monotonic()
        users, outage_s = _round(site, number, name, f"{seed} {number}")
        outages[name].append(outage_s)
        wrong = [*users.objections(), *_odd(site, told)]
        tell(
            f"{number:4} {name:30} outage {outage_s:6.2f} s  {len(users.acknowledged):5} writes acknowledged, "
            f"{users.unknown:3} unknown  {time.monotonic() - began:5.1f} s  {'WRONG' if wrong else 'fine'}"
        )
        if wrong:
            raise Broken("\n".join([f"round {number}, {name}", *wrong, site.tails()]))
    site.quiet()
    for one in site.schedulers:
        one.stop(signal.SIGKILL)
    if wrong := list(disagreements(site.schedulers)):
        raise Broken("\n".join(["in the end", *wrong]))
    return outages


def table(outages: Mapping[str, Sequence[float]]) -> Iterable[str]:
    yield f"{'longest wait for a write, s':30} {'rounds':>6} {'median':>7} {'90 %':>7} {'longest':>7}"
    every = [one for those in outages.values() for one in those]
    for name, those in [*sorted(outages.items()), ("all", every)]:
        ordered = sorted(those)
        median, ninety = (ordered[math.ceil(part * len(ordered)) - 1] for part in (0.5, 0.9))
        yield f"{name:30} {len(ordered):6} {median:7.2f} {ninety:7.2f} {ordered[-1]:7.2f}"


def _round(site: Site, number: int, name: str, seed: str) -> tuple[Users, float]:
    fault, other_leads = FAULTS[name]
    rng = random.Random(seed)
    leader = site.leader()
    with Users(site.schedulers, leader, f"round-{number}", seed) as users:
        time.sleep(BEFORE_S)
        began = time.monotonic()
        heal = fault(site, leader, rng)
        try:
            if other_leads:
                _taken_over(site, leader, users)
                time.sleep(rng.uniform(0, 3.0))  # for the former leader to miss something
            else:
                time.sleep(rng.uniform(0, 1.5 * SESSION_S))
        finally:
            heal()
            site.network.heal()
        site.settle()
        time.sleep(AFTER_S)
    if users.errors:
        raise Broken(f"round {number}, {name}: {users.errors[0]!r}\n{site.tails()}") from users.errors[0]
    users.look(site.leader())
    return users, users.longest_wait_s(began)


def _taken_over(site: Site, leader: Scheduler, users: Users) -> None:
    """Until another one leads and has acknowledged something."""
    others = [one for one in site.schedulers if one is not leader]

    def another() -> bool:
        return any(one.leads() for one in others)

    try:
        eventually("another one leads", another, TAKE_OVER_S)
        now, done = time.monotonic(), len(users.acknowledged)
        eventually("it acknowledges writes", lambda: any(b > now for b, _ in users.acknowledged[done:]), TAKE_OVER_S)
    except AssertionError as late:
        raise Broken(f"{late}\n{site.tails()}") from None


def _odd(site: Site, told: dict[str, int]) -> Iterable[str]:
    """What processes said, since they were last asked, that they should not have."""
    for one in site.schedulers:
        text = one.written()
        news = text[told[one.name] :]
        told[one.name] = len(text)
        for word in ODD_WORDS:
            if word in news:
                yield f"{one.name} said {word}:\n{news[max(0, news.index(word) - 500) : news.index(word) + 4000]}"
        for status in one.endings:
            if status not in (0, 75, -signal.SIGKILL):
                yield f"{one.name} ended with {status}"
