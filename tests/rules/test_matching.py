from __future__ import annotations

import pytest

from aurorad.api.enums import AURORA_EXECUTOR_NAME, MaintenanceMode
from aurorad.api.tasks import (
    Attribute,
    Constraint,
    ExecutorConfig,
    LimitConstraint,
    Resource,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from aurorad.rules import executors, matching
from aurorad.rules.matching import Census, Host, Request, Veto, VetoType
from aurorad.rules.resources import Bag, ResourceType

PLENTY: Bag = dict.fromkeys(ResourceType, 1e9)


def request(*constraints: Constraint, cpus: float = 1, ram_mb: int = 1, executor: bool = False) -> Request:
    config = TaskConfig(
        resources=frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=1)}),
        constraints=frozenset(constraints),
        executor_config=ExecutorConfig(AURORA_EXECUTOR_NAME, "") if executor else None,
    )
    return matching.request_of(config, executors.BUILT_IN, revocable=False)


def value(name: str, *values: str, negated: bool = False) -> Constraint:
    return Constraint(name, TaskConstraint(value=ValueConstraint(negated, frozenset(values))))


def limit(name: str, most: int) -> Constraint:
    return Constraint(name, TaskConstraint(limit=LimitConstraint(most)))


def host(mode: MaintenanceMode = MaintenanceMode.NONE, start_ms: int | None = None, **values: str) -> Host:
    return Host({name: frozenset(text.split(",")) for name, text in values.items()}, mode, start_ms)


def reasons(
    wanted: Request, at: Host, available: Bag = PLENTY, census: Census | None = None, before_ms: int = 0
) -> list[str]:
    return [veto.reason for veto in matching.judge(wanted, available, at, census or {}, before_ms)]


def test_an_offer_that_fits_has_no_veto() -> None:
    assert reasons(request(), host(rack="a")) == []


@pytest.mark.parametrize(
    ("constraint", "passes"),
    [
        (value("rack", "a"), True),
        (value("rack", "b"), False),
        (value("rack", "b", "a"), True),
        (value("rack", "a", negated=True), False),
        (value("rack", "b", negated=True), True),
        (value("zone", "z"), False),
        (value("zone", "z", negated=True), True),
        (value("many", "y"), True),
        (value("many", "y", negated=True), False),
    ],
)
def test_value_constraints(constraint: Constraint, passes: bool) -> None:
    expected = [] if passes else [f"Constraint not satisfied: {constraint.name}"]
    assert reasons(request(constraint), host(rack="a", many="x,y")) == expected


@pytest.mark.parametrize(
    ("census", "reason"),
    [
        ({}, None),
        ({("rack", "a"): 1}, None),
        ({("rack", "b"): 9}, None),
        ({("rack", "a"): 2}, "Limit not satisfied: rack"),
        ({("rack", "a"): 3}, "Limit not satisfied: rack"),
    ],
)
def test_limit_constraints(census: Census, reason: str | None) -> None:
    assert reasons(request(limit("rack", 2)), host(rack="a"), census=census) == ([reason] if reason else [])


def test_a_limit_on_an_attribute_that_the_host_lacks_is_a_mismatch() -> None:
    assert matching.judge(request(limit("rack", 2)), PLENTY, host(), {}, 0) == (
        Veto(VetoType.CONSTRAINT_MISMATCH, "Constraint not satisfied: rack", 10_000),
    )


def test_a_limit_of_none_never_passes() -> None:
    assert reasons(request(limit("host", 0)), host(host="h")) == ["Limit not satisfied: host"]


def test_dedicated_hosts_take_only_who_asks_for_them() -> None:
    assert reasons(request(), host(dedicated="stores/disk")) == ["Host is dedicated"]
    assert reasons(request(value("dedicated", "stores/disk")), host(dedicated="stores/disk")) == []
    assert reasons(request(value("dedicated", "other")), host(dedicated="stores/disk")) == [
        "Constraint not satisfied: dedicated"
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (MaintenanceMode.NONE, []),
        (MaintenanceMode.SCHEDULED, []),
        (MaintenanceMode.DRAINING, ["Host draining for maintenance"]),
        (MaintenanceMode.DRAINED, ["Host drained for maintenance"]),
    ],
)
def test_maintenance_modes(mode: MaintenanceMode, expected: list[str]) -> None:
    assert reasons(request(), host(mode)) == expected


def test_a_host_that_will_soon_be_unavailable_is_as_good_as_draining() -> None:
    assert reasons(request(), host(start_ms=1000), before_ms=1001) == ["Host draining for maintenance"]
    assert reasons(request(), host(start_ms=1000), before_ms=1000) == []


def test_every_short_resource_is_told_in_order() -> None:
    available = {ResourceType.CPUS: 0.5, ResourceType.RAM_MB: 0}
    assert reasons(request(cpus=1), host(), available) == [
        "Insufficient: CPU",
        "Insufficient: disk",
        "Insufficient: RAM",
    ]


def test_the_executor_counts() -> None:
    available = {**PLENTY, ResourceType.CPUS: 1.0}
    assert reasons(request(cpus=1), host(), available) == []
    assert reasons(request(cpus=1, executor=True), host(), available) == ["Insufficient: CPU"]
    assert reasons(request(cpus=1, executor=True), host(), {**PLENTY, ResourceType.CPUS: 1.25}) == []


@pytest.mark.parametrize(
    ("cpus", "score"), [(1.001, 0), (1.016, 1), (2, 62), (17, 1000), (100, 1000), (1e308, 1000)], ids=lambda x: str(x)
)
def test_shortages_are_scored_by_how_much_is_missing(cpus: float, score: int) -> None:
    (veto,) = matching.judge(request(cpus=cpus), {**PLENTY, ResourceType.CPUS: 1.0}, host(), {}, 0)
    assert veto.score == score


def test_the_first_check_that_fails_is_the_verdict() -> None:
    wanted = request(value("a", "x"), limit("b", 0), cpus=9)
    none: Bag = {}
    assert reasons(wanted, host(MaintenanceMode.DRAINED, dedicated="d"), none) == ["Host is dedicated"]
    assert reasons(wanted, host(MaintenanceMode.DRAINED), none) == ["Host drained for maintenance"]
    assert reasons(wanted, host(a="y", b="1"), none) == ["Constraint not satisfied: a"]
    assert reasons(wanted, host(a="x", b="1"), none) == ["Limit not satisfied: b"]


def test_value_constraints_are_checked_before_limits_whatever_their_names() -> None:
    wanted = request(limit("a", 0), value("b", "x"))
    assert reasons(wanted, host(a="1", b="y")) == ["Constraint not satisfied: b"]


def test_only_a_limit_may_change_its_mind() -> None:
    assert not matching.is_static(matching.judge(request(limit("a", 0)), PLENTY, host(a="1"), {}, 0))
    assert matching.is_static(matching.judge(request(value("a", "x")), PLENTY, host(a="1"), {}, 0))
    assert matching.is_static(matching.judge(request(cpus=9), {}, host(), {}, 0))


def test_attributes_of_one_name_are_merged() -> None:
    attributes = [Attribute("rack", frozenset({"a"})), Attribute("rack", frozenset({"b"})), Attribute("zone")]
    assert matching.values_of(attributes) == {"rack": {"a", "b"}, "zone": frozenset()}


def test_a_census_counts_tasks_by_their_hosts_values() -> None:
    here, there = [Attribute("rack", frozenset({"a", "b"}))], [Attribute("rack", frozenset({"b"}))]
    assert matching.census_of([here, there, there]) == {("rack", "a"): 1, ("rack", "b"): 3}


def test_offers_are_used_in_order_of_mode_then_unavailability_then_chance() -> None:
    orders = [
        matching.offer_order(MaintenanceMode.NONE, None, 0.1),
        matching.offer_order(MaintenanceMode.NONE, None, 0.2),
        matching.offer_order(MaintenanceMode.NONE, 2000, 0.0),
        matching.offer_order(MaintenanceMode.NONE, 1000, 0.0),
        matching.offer_order(MaintenanceMode.SCHEDULED, None, 0.0),
        matching.offer_order(MaintenanceMode.DRAINING, None, 0.0),
    ]
    assert sorted(orders, key=lambda order: (order,)) == orders
