"""Placing without doing it: as many fit as the scheduler would place."""

from __future__ import annotations

from aurorad.rules.matching import Host, Request
from aurorad.rules.resources import NOTHING, Bag
from aurorad.rules.trial import Place, Trial
from tests.rules.test_explain import has, host, limit, request


def trial(asked: Request, *places: tuple[Host, Bag], census: dict[tuple[str, str], int] | None = None) -> Trial:
    return Trial(asked, [Place(f"h{i}", *place) for i, place in enumerate(places)], census or {}, 0)


def placed(tried: Trial, most: int = 100) -> list[str | None]:
    return [tried.place() for _ in range(most)]


def test_tasks_are_spread_over_the_hosts_until_none_has_room() -> None:
    found = placed(trial(request(), (host(), has(4.5)), (host(), has(7)), (host(), has(2))))
    assert found[:5] == ["h0", "h1", "h0", "h1", "h1"]
    assert not any(found[5:])


def test_a_limit_holds_for_tasks_that_are_there_and_for_those_placed() -> None:
    racks = [(host(rack="r1"), has(100)), (host(rack="r1"), has(100)), (host(rack="r2"), has(100))]
    found = placed(trial(request(limit("rack", 2)), *racks, census={("rack", "r1"): 1}))
    assert sorted(filter(None, found)) == ["h0", "h2", "h2"]


def test_the_end_of_a_task_makes_room_where_it_was() -> None:
    tried = trial(request(), (host(), has(1)), (host(), has(0)))
    assert tried.place() is None
    tried.free("h1", request().allocated)
    assert tried.place() == "h1"
    assert tried.place() is None


def test_the_end_of_a_task_makes_room_under_its_limit() -> None:
    racks = [(host(rack="r1"), has(100)), (host(rack="r1"), has(100))]
    tried = trial(request(limit("rack", 1)), *racks, census={("rack", "r1"): 1})
    assert tried.place() is None
    tried.free("h0", NOTHING)
    assert tried.place() in {"h0", "h1"}
    assert tried.place() is None


def test_an_unknown_host_frees_nothing() -> None:
    tried = trial(request(), (host(), has(1)))
    tried.free("gone", request().allocated)
    assert tried.place() is None


def test_what_is_left_can_be_asked_about() -> None:
    tried = trial(request(), (host(), has(4.5)))
    tried.place()
    (place,) = tried.left()
    assert place.available[next(iter(place.available))] == 2.25
