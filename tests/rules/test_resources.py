from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.tasks import Resource as Requested
from aurorad.engine.base import Resource
from aurorad.rules import resources
from aurorad.rules.resources import InsufficientResources, ResourceType

CPUS, RAM, DISK, PORTS, GPUS = ResourceType


def test_the_bag_of_a_task_sums_its_resources_and_counts_its_ports() -> None:
    requested = (
        Requested(num_cpus=1.5),
        Requested(ram_mb=64),
        Requested(disk_mb=128),
        Requested(named_port="http"),
        Requested(named_port="admin"),
        Requested(num_gpus=2),
    )
    assert resources.bag_of(requested) == {CPUS: 1.5, RAM: 64, DISK: 128, PORTS: 2, GPUS: 2}


OFFERED = (
    Resource("cpus", 4.0),
    Resource("cpus", 2.0, revocable=True),
    Resource("mem", 1024.0),
    Resource("mem", 512.0, role="www"),
    Resource("ports", ranges=((31000, 31009), (31020, 31020))),
    Resource("bandwidth", 10.0),
)


def test_who_asks_for_less_than_nothing_gives_nothing_to_others() -> None:
    assert resources.bag_of([Requested(num_cpus=1.0), Requested(num_gpus=-4)]) == {CPUS: 1.0, GPUS: 0}


def test_what_is_revocable_serves_only_who_asks_for_it() -> None:
    assert resources.bag_of_offer(OFFERED, revocable=False) == {CPUS: 4, RAM: 1536, PORTS: 11}
    assert resources.bag_of_offer(OFFERED, revocable=True) == {CPUS: 2, RAM: 1536, PORTS: 11}


@pytest.mark.parametrize(
    ("types", "usable"),
    [
        (frozenset({CPUS}), {CPUS: 2, RAM: 1792}),
        (frozenset({CPUS, RAM}), {CPUS: 2, RAM: 256}),
        (frozenset({RAM}), {CPUS: 6, RAM: 256}),
        (frozenset(), {CPUS: 6, RAM: 1792}),
    ],
)
def test_operators_say_what_revocable_tasks_want_revocable(
    types: frozenset[ResourceType], usable: dict[ResourceType, float]
) -> None:
    offered = (*OFFERED, Resource("mem", 256.0, revocable=True))
    assert resources.bag_of_offer(offered, True, types) == {**usable, PORTS: 11}
    taken, _ = resources.take(offered, {CPUS: usable[CPUS], RAM: usable[RAM]}, (), True, types)
    assert {type_: resources.bag_of_offer(taken, True, types)[type_] for type_ in (CPUS, RAM)} == usable
    assert resources.bag_of_offer(offered, False, types) == {CPUS: 4, RAM: 1536, PORTS: 11}


def test_reserved_resources_are_taken_first_and_keep_their_role() -> None:
    taken, left = resources.take(OFFERED, {CPUS: 1, RAM: 600}, (), revocable=False)
    assert taken == (Resource("mem", 512.0, role="www"), Resource("cpus", 1.0), Resource("mem", 88.0))
    assert resources.bag_of_offer(left, revocable=False) == {CPUS: 3, RAM: 936, PORTS: 11}
    assert Resource("bandwidth", 10.0) in left


def test_a_revocable_request_takes_revocable_cpus_and_ordinary_memory() -> None:
    taken, _ = resources.take(OFFERED, {CPUS: 1, RAM: 1}, (), revocable=True)
    assert taken == (Resource("mem", 1.0, role="www"), Resource("cpus", 1.0, revocable=True))


def test_ports_are_taken_as_the_fewest_ranges_and_leave_the_others() -> None:
    taken, left = resources.take(OFFERED, {PORTS: 4}, (31001, 31002, 31009, 31020), revocable=False)
    assert taken == (Resource("ports", ranges=((31001, 31002), (31009, 31009), (31020, 31020))),)
    assert Resource("ports", ranges=((31000, 31000), (31003, 31008))) in left


@pytest.mark.parametrize(("wanted", "ports"), [({CPUS: 4.1}, ()), ({GPUS: 1}, ()), ({}, (31010,))])
def test_more_than_there_is_cannot_be_taken(wanted: dict[ResourceType, float], ports: tuple[int, ...]) -> None:
    with pytest.raises(InsufficientResources, match="when allocating from offer"):
        resources.take(OFFERED, wanted, ports, revocable=False)


def test_tenths_add_up_to_the_whole() -> None:
    left: tuple[Resource, ...] = (Resource("cpus", 1.0),)
    for _ in range(10):
        _, left = resources.take(left, {CPUS: 0.1}, (), revocable=False)
    assert left == ()


def test_each_name_gets_a_port_of_the_offer() -> None:
    ports = resources.pick_ports(OFFERED, ("admin", "http"), random.Random(1))
    assert set(ports) == {"admin", "http"}
    assert len(set(ports.values())) == 2
    assert set(ports.values()) <= {*range(31000, 31010), 31020}


def test_ports_are_picked_at_random() -> None:
    picked = {resources.pick_ports(OFFERED, ("http",), random.Random(seed))["http"] for seed in range(200)}
    assert picked == {*range(31000, 31010), 31020}


def test_too_few_ports_are_told() -> None:
    with pytest.raises(InsufficientResources):
        resources.pick_ports((Resource("ports", ranges=((1, 1),)),), ("a", "b"), random.Random(1))


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        ((), True),
        (
            (Resource("cpus", 4.0), Resource("mem", 512.0, role="www"), Resource("ports", ranges=((31000, 31001),))),
            True,
        ),
        ((Resource("cpus", 2.0), Resource("cpus", 2.1)), False),
        ((Resource("cpus", 2.1, revocable=True),), False),
        ((Resource("mem", 600.0, role="www"),), False),
        ((Resource("gpus", 1.0),), False),
        ((Resource("ports", ranges=((31009, 31010),)),), False),
    ],
)
def test_whether_one_offer_has_what_was_taken_from_another(wanted: tuple[Resource, ...], covered: bool) -> None:
    assert resources.covers(OFFERED, wanted) is covered


SPANS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)), max_size=5, unique_by=lambda span: span[0])


@given(SPANS, st.integers(), st.integers(0, 8))
def test_what_is_taken_and_what_is_left_are_the_whole(spans: list[tuple[int, int]], seed: int, count: int) -> None:
    ranges = tuple((10 * start, 10 * start + length) for start, length in spans)
    offered = (Resource("ports", ranges=ranges),)
    names = tuple(f"port-{n}" for n in range(count))
    whole = numbers(offered)
    if len(whole) < count:
        return
    ports = set(resources.pick_ports(offered, names, random.Random(seed)).values())
    taken, left = resources.take(offered, {}, ports, revocable=False)
    assert numbers(taken) == ports
    assert numbers(left) == whole - ports


def numbers(offered: tuple[Resource, ...]) -> set[int]:
    return {port for resource in offered for first, last in resource.ranges for port in range(first, last + 1)}
