"""What is taken of an offer is what the rules would take, and never twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import MaintenanceMode
from aurorad.engine.base import Offer, Resource
from aurorad.rules import executors, matching, resources
from aurorad.scheduler.claims import Claim, Parts
from aurorad.scheduler.offers import kind_of
from aurorad.scheduler.ordered import HeldOffer
from tests.scheduler.world import config

PLAIN = (
    Resource("cpus", 4.0),
    Resource("mem", 4096.0, role="www"),
    Resource("disk", 4096.0),
    Resource("ports", ranges=((31000, 31004), (31010, 31010))),
)
SPLIT = (Resource("cpus", 1.0, role="www"), Resource("cpus", 3.0), *PLAIN[1:])
REVOCABLE = (*PLAIN, Resource("cpus", 4.0, revocable=True))


def claim_on(parts: tuple[Resource, ...]) -> Claim:
    offer = Offer("o", "a", "h", parts)
    return Claim(HeldOffer(offer, 1, (0, 0.0, 0.5, 1), {}, MaintenanceMode.NONE, kind_of(offer)))


@pytest.mark.parametrize("parts", [PLAIN, SPLIT, REVOCABLE], ids=["plain", "split", "revocable"])
@given(
    cpus=st.sampled_from([0.1, 0.5, 1.0, 1.75]), ports=st.integers(0, 3), revocable=st.booleans(), seed=st.integers()
)
def test_an_offer_serves_as_many_tasks_as_fit_and_no_more(
    parts: tuple[Resource, ...], cpus: float, ports: int, revocable: bool, seed: int
) -> None:
    wanted = config(cpus=cpus, ports=tuple(f"p{number}" for number in range(ports)))
    request = matching.request_of(wanted, executors.BUILT_IN, revocable)
    claim, rng = claim_on(parts), random.Random(seed)
    known: dict[object, Parts] = {}
    while resources.suffices(claim.amounts(revocable), request.amounts):
        claim.take(f"task-{len(claim.tasks)}", request, known, rng)
    has_cpus = not revocable or parts is REVOCABLE
    by_cpus, by_ports = int(4.000001 / (cpus + 0.25)), 6 // ports if ports else 1000
    assert len(claim.tasks) == (min(by_cpus, by_ports) if has_cpus else 0)
    assert resources.covers(parts, [part for task in claim.tasks for part in (*task.task, *task.executor)])
    numbers = [port for task in claim.tasks for port in task.ports.values()]
    assert len(set(numbers)) == len(numbers)
    for task in claim.tasks:
        assert resources.bag_of_offer(task.task, revocable) == pytest.approx(dict(request.task))
        assert resources.bag_of_offer(task.executor, revocable) == pytest.approx(dict(request.allocated_overhead))
        assert {port for part in task.task for span in part.ranges for port in range(span[0], span[1] + 1)} == set(
            task.ports.values()
        )


def test_resources_keep_their_roles() -> None:
    claim = claim_on(SPLIT)
    claimed = claim.take("t", matching.request_of(config(cpus=2.0), executors.BUILT_IN, False), {}, random.Random(1))
    cpus = {part.role: part.scalar for part in claimed.task if part.name == "cpus"}
    assert cpus == {"www": 1.0, "*": 1.0}


def test_requests_of_different_kinds_share_an_offer() -> None:
    claim, rng = claim_on(REVOCABLE), random.Random(1)
    ordinary = matching.request_of(config(cpus=3.75), executors.BUILT_IN, revocable=False)
    revocable = matching.request_of(config(cpus=3.75), executors.BUILT_IN, revocable=True)
    claim.take("a", ordinary, {}, rng)
    assert not resources.suffices(claim.amounts(False), ordinary.amounts)
    assert resources.suffices(claim.amounts(True), revocable.amounts)
    claim.take("b", revocable, {}, rng)
    assert not resources.suffices(claim.amounts(True), revocable.amounts)
