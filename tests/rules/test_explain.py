"""Why hosts do not take a task, in words: each kind of reason, and what would help."""

from __future__ import annotations

import msgspec
import pytest

from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import Constraint, LimitConstraint, Resource, TaskConfig, TaskConstraint, ValueConstraint
from aurorad.rules import executors, matching
from aurorad.rules.explain import Explanation, Nearest, Reason, Shortage, Survey, and_, number
from aurorad.rules.matching import Host, Request
from aurorad.rules.resources import Bag, ResourceType
from tests.rules.values import TASK

CPUS, RAM, DISK = ResourceType.CPUS, ResourceType.RAM_MB, ResourceType.DISK_MB


def request(*constraints: Constraint, cpus: float = 2.0, ram_mb: int = 1024) -> Request:
    resources = frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=64)})
    config: TaskConfig = msgspec.structs.replace(TASK, resources=resources, constraints=frozenset(constraints))
    return matching.request_of(config, executors.BUILT_IN, revocable=False)


def has(cpus: float, ram_mb: float = 8192) -> Bag:
    return {CPUS: cpus, RAM: ram_mb, DISK: 1_000_000}


def host(mode: MaintenanceMode = MaintenanceMode.NONE, **values: str) -> Host:
    return Host({name: frozenset({value}) for name, value in values.items()}, mode)


def value(name: str, *values: str, negated: bool = False) -> Constraint:
    return Constraint(name, TaskConstraint(value=ValueConstraint(negated, frozenset(values))))


def limit(name: str, most: int) -> Constraint:
    return Constraint(name, TaskConstraint(limit=LimitConstraint(most)))


def explain(asked: Request, *seen: tuple[Host, Bag], census: dict[tuple[str, str], int] | None = None) -> Explanation:
    survey = Survey(asked, census or {}, unavailable_before_ms=0)
    for place, (where, there) in enumerate(seen):
        survey.see(f"host-{place}", where, there)
    return survey.explanation()


def test_without_hosts_there_is_nothing_to_compare() -> None:
    assert explain(request()) == Explanation(0, 0, (), None, ("No host offers anything at present.",))


def test_hosts_that_fit_are_counted() -> None:
    found = explain(request(), (host(), has(8)), (host(), has(1)))
    assert (found.hosts, found.fitting) == (2, 1)
    assert found.sentences == ("1 of 2 hosts can take one more instance now.",)


def test_a_shortage_tells_the_nearest_host_what_it_lacks_and_what_would_fit_there() -> None:
    found = explain(request(), (host(), has(1)), (host(), has(1.75)), (host(), has(0.5)))
    assert found.reasons == (Reason("Insufficient: CPU", 3),)
    assert found.nearest == Nearest("host-1", (Shortage("CPU", 2.25, 1.75, 0.5),))
    assert found.sentences == (
        "None of 3 hosts can take one more instance now.",
        "host-1 comes nearest: it lacks 0.5 of 2.25 CPU.",
        "Of what is asked for, 0.25 CPU is for the executor.",
        "With 1.5 CPU instead of 2 CPU an instance would fit on host-1.",
    )


def test_what_is_short_of_several_things_is_told_of_all_of_them() -> None:
    found = explain(request(), (host(), has(1.5, 1000)))
    assert found.reasons == (Reason("Insufficient: CPU", 1), Reason("Insufficient: RAM", 1))
    assert found.sentences[1:] == (
        "host-0 comes nearest: it lacks 0.75 of 2.25 CPU and 152 of 1152 MB RAM.",
        "Of what is asked for, 0.25 CPU and 128 MB RAM are for the executor.",
        "With 1.25 CPU and 872 MB RAM instead of 2 CPU and 1024 MB RAM an instance would fit on host-0.",
    )


def test_a_host_with_nothing_left_is_no_advice() -> None:
    found = explain(request(), (host(), has(0.25)))
    assert not any("instead" in sentence for sentence in found.sentences)


def test_what_is_nearest_is_relative_to_what_is_asked_for() -> None:
    found = explain(request(), (host(), has(1.0)), (host(), has(8, 1100)))
    assert found.nearest is not None
    assert found.nearest.host == "host-1"


def test_a_value_that_no_host_has_is_told_with_those_there_are() -> None:
    asked = request(value("rack", "r9"))
    found = explain(asked, (host(rack="r1"), has(8)), (host(rack="r1"), has(8)), (host(rack="r2"), has(1)))
    assert found.reasons == (Reason("Constraint not satisfied: rack", 3),)
    assert found.sentences == (
        "None of 3 hosts can take one more instance now.",
        "3 hosts do not meet the constraint rack = r9; rack is r1 on 2 hosts and r2 on one host.",
        "Without the constraint rack = r9 an instance would fit on 2 hosts.",
    )


def test_an_attribute_that_no_host_has_is_told() -> None:
    found = explain(request(value("ssd", "yes", "true")), (host(rack="r1"), has(8)))
    assert found.sentences[1] == (
        "One host does not meet the constraint ssd = true or yes; no host has an attribute ssd."
    )


def test_what_must_not_be_is_worded_so() -> None:
    found = explain(request(value("rack", "r1", negated=True)), (host(rack="r1"), has(8)))
    assert "the constraint rack ≠ r1" in found.sentences[1]


def test_of_two_constraints_leaving_one_out_may_not_help() -> None:
    found = explain(request(value("rack", "r9"), value("zone", "z9")), (host(rack="r1", zone="z1"), has(8)))
    assert not any(sentence.startswith("Without") for sentence in found.sentences)


def test_an_exhausted_limit_is_told_with_what_it_keeps_out() -> None:
    asked = request(limit("host", 1))
    seen = [(host(host=f"h{i}"), has(8 if i else 1)) for i in range(3)]
    found = explain(asked, *seen, census={("host", f"h{i}"): 1 for i in range(3)})
    assert found.reasons == (Reason("Limit not satisfied: host", 3),)
    assert found.sentences[1:] == (
        "3 hosts do not meet the limit of 1 for each host.",
        "Without the limit of 1 for each host an instance would fit on 2 hosts.",
    )


def test_maintenance_tells_who_would_fit_after_it() -> None:
    drained, draining = (host(mode) for mode in (MaintenanceMode.DRAINED, MaintenanceMode.DRAINING))
    found = explain(request(), (drained, has(8)), (draining, has(1)))
    assert {(reason.reason, reason.hosts) for reason in found.reasons} == {
        ("Host drained for maintenance", 1),
        ("Host draining for maintenance", 1),
    }
    assert found.sentences[1:] == ("After their maintenance one host could take one.",)


def test_dedicated_hosts_are_told() -> None:
    found = explain(request(), (host(dedicated="stores/disk"), has(8)), (host(dedicated="x/y"), has(8)))
    assert found.sentences[1:] == ("2 hosts are dedicated to others.",)


@pytest.mark.parametrize(
    ("texts", "joined"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_read_like_sentences(texts: list[str], joined: str) -> None:
    assert and_(texts) == joined


@pytest.mark.parametrize(("amount", "text"), [(1.0, "1"), (0.25, "0.25"), (1e6, "1000000"), (0.3000001, "0.3")])
def test_amounts_are_short_and_never_in_powers(amount: float, text: str) -> None:
    assert number(amount) == text
