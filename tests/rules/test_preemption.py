"""Whom a waiting task may displace (scheduling sheet, section 6)."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.tasks import Constraint, JobKey, LimitConstraint, Resource, TaskConfig, TaskConstraint
from aurorad.rules import executors, matching, preemption
from aurorad.rules.matching import Request
from aurorad.rules.preemption import Victim, choose_victims, kind_of, may_preempt, may_return
from aurorad.rules.resources import Bag, ResourceType
from aurorad.rules.tiers import BUILT_IN, Tier

PREFERRED, PREEMPTIBLE, REVOCABLE = (BUILT_IN.by_name[name] for name in ("preferred", "preemptible", "revocable"))


def request(cpus: float = 1, role: str = "www", priority: int = 0, ram_mb: int = 1) -> Request:
    config = TaskConfig(
        job=JobKey(role, "prod", "job"),
        priority=priority,
        resources=frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=1)}),
    )
    return matching.request_of(config, executors.BUILT_IN, revocable=False)


def victim(
    name: str, cpus: float, tier: Tier = PREEMPTIBLE, role: str = "www", priority: int = 0, is_ending: bool = False
) -> Victim:
    return Victim(name, kind_of(request(cpus, role, priority, ram_mb=100), tier), is_ending)


def chosen(wanted: Request, *active: Victim, cpus: float = 0, tier: Tier = PREFERRED) -> list[str]:
    slack: Bag = {ResourceType.CPUS: cpus, ResourceType.RAM_MB: 1000, ResourceType.DISK_MB: 1000}
    return [each.task_id for each in choose_victims(wanted, tier, active, slack)]


@pytest.mark.parametrize(
    ("tier", "victim_tier", "same_role", "priorities", "may"),
    [
        (PREFERRED, PREEMPTIBLE, False, (0, 0), True),
        (PREFERRED, PREEMPTIBLE, False, (0, 9), True),
        (PREFERRED, REVOCABLE, False, (0, 9), True),
        (PREFERRED, PREFERRED, True, (1, 0), True),
        (PREFERRED, PREFERRED, True, (0, 0), False),
        (PREFERRED, PREFERRED, False, (1, 0), False),
        (PREEMPTIBLE, PREEMPTIBLE, True, (1, 0), True),
        (PREEMPTIBLE, PREEMPTIBLE, True, (0, 1), False),
        (PREEMPTIBLE, PREEMPTIBLE, False, (9, 0), False),
        (PREEMPTIBLE, REVOCABLE, True, (1, 0), True),
        (PREEMPTIBLE, PREFERRED, True, (9, 0), False),
        (REVOCABLE, PREFERRED, True, (9, 0), False),
    ],
)
def test_who_may_displace_whom(
    tier: Tier, victim_tier: Tier, same_role: bool, priorities: tuple[int, int], may: bool
) -> None:
    pending = request(priority=priorities[0]).config
    active = victim("v", 1, victim_tier, "www" if same_role else "other", priorities[1])
    assert may_preempt(pending, tier, active.kind) is may


def test_one_that_is_large_enough_goes() -> None:
    assert chosen(request(6), victim("low", 7.5), cpus=0.5) == ["low"]


def test_what_is_offered_already_counts() -> None:
    assert chosen(request(3), victim("low", 1), cpus=2) == ["low"]


def test_nobody_goes_where_there_is_room() -> None:
    assert chosen(request(1), victim("low", 7.5), cpus=1) == []


def test_nobody_goes_where_it_would_not_help() -> None:
    assert chosen(request(9), victim("a", 4), victim("b", 4)) == []


def test_the_largest_go_first() -> None:
    assert chosen(request(5), victim("small", 1), victim("middle", 2), victim("large", 4)) == ["large", "middle"]


def test_whoever_is_not_needed_in_the_end_stays() -> None:
    larger_by_cpus, enough_ram = victim("cpus", 4), Victim("ram", kind_of(request(3, ram_mb=500), PREEMPTIBLE))
    wanted = request(2, ram_mb=1400)
    assert chosen(wanted, larger_by_cpus, enough_ram) == ["ram"]


def test_what_a_revocable_task_frees_is_not_its_cpus() -> None:
    assert chosen(request(1), victim("borrowed", 8, REVOCABLE)) == []


def test_those_who_are_ending_go_first_and_cost_nothing() -> None:
    ending, large, small = victim("ending", 1, is_ending=True), victim("large", 4), victim("small", 2)
    assert chosen(request(3), ending, large, small) == ["ending", "large"]
    assert chosen(request(1), ending, large, small) == ["ending"]
    assert chosen(request(5), ending, large, small) == ["ending", "large"]


def test_whoever_may_not_be_displaced_is_not_looked_at() -> None:
    active = [victim("production", 8, PREFERRED, "other"), victim("low", 2)]
    assert chosen(request(2), *active) == ["low"]
    assert chosen(request(4), *active) == []


@given(
    st.floats(0.5, 8),
    st.floats(0, 4),
    st.lists(st.tuples(st.floats(0.1, 4), st.sampled_from([PREFERRED, PREEMPTIBLE, REVOCABLE])), max_size=6),
)
def test_the_victims_make_room_and_none_of_them_could_stay(
    cpus: float, slack: float, active: list[tuple[float, Tier]]
) -> None:
    wanted = request(cpus)
    victims = [victim(f"t{number}", size, tier, "other") for number, (size, tier) in enumerate(active)]
    going = chosen(wanted, *victims, cpus=slack)
    free = {each.task_id: each.kind.freed.get(ResourceType.CPUS, 0) for each in victims}
    eligible = [each.task_id for each in victims if each.kind.tier.preemptible]

    def fits(ids: tuple[str, ...]) -> bool:
        return sum((free[name] for name in ids), slack) >= cpus - 1e-6

    if going:
        assert set(going) <= set(eligible)
        assert fits(tuple(going))
        assert not any(fits(rest) for rest in itertools.combinations(going, len(going) - 1))
    else:
        assert fits(()) or not fits(tuple(eligible))


def test_ports_and_disk_count_too() -> None:
    named = preemption.kind_of(
        matching.request_of(
            TaskConfig(resources=frozenset({Resource(num_cpus=1), Resource(named_port="http")})),
            executors.BUILT_IN,
            False,
        ),
        PREEMPTIBLE,
    )
    assert named.freed == {ResourceType.CPUS: 1, ResourceType.PORTS: 1}


def test_an_instance_may_return_if_it_needs_no_more_under_equal_constraints() -> None:
    old = request(cpus=2, ram_mb=64).config
    assert may_return(old, old)
    assert may_return(old, request(cpus=1, ram_mb=64).config)
    assert not may_return(old, request(cpus=2.5, ram_mb=64).config)
    assert not may_return(old, request(cpus=1, ram_mb=65).config)
    limit = Constraint("host", TaskConstraint(limit=LimitConstraint(1)))
    assert not may_return(old, msgspec.structs.replace(old, constraints=frozenset({limit})))
