"""A sorted set of offers does what a sorted list does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import MaintenanceMode
from aurorad.engine.base import Offer
from aurorad.rules.resources import NOTHING, REVOCABLE
from aurorad.scheduler import ordered
from aurorad.scheduler.ordered import START, HeldOffer, Kind, Ordered

KIND = Kind(NOTHING, NOTHING, {}, {}, None, (), has_cpus_and_ram=False, revocable_types=REVOCABLE)


def offer(number: int, place: float) -> HeldOffer:
    return HeldOffer(Offer(str(number), "", "", ()), number, (0, 0.0, place, number), {}, MaintenanceMode.NONE, KIND)


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=200)


@pytest.mark.parametrize("full", [1, 2, 3, 512])
@given(changes=CHANGES, start=st.floats(0, 1))
def test_offers_are_told_in_order(full: int, changes: list[tuple[float, bool]], start: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "_FULL", full)
        offers = Ordered()
        expected: list[HeldOffer] = []
        for number, (place, is_removed) in enumerate(changes):
            if is_removed and expected:
                gone = expected.pop(int(place * (len(expected) - 1)))
                offers.remove(gone)
            else:
                expected.append(offer(number, place))
                expected.sort(key=lambda held: held.order)
                offers.add(expected[expected.index(next(h for h in expected if h.number == number))])
            assert len(offers) == len(expected)
        assert list(offers) == expected
        assert list(offers.after(START)) == expected
        behind = (0, 0.0, start, 50)
        assert list(offers.after(behind)) == [held for held in expected if held.order > behind]


@pytest.mark.parametrize("full", [1, 2, 3, 512])
@given(places=st.lists(st.floats(0, 1), max_size=100), bounds=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1))))
def test_what_is_between_two_places_goes_at_once(
    full: int, places: list[float], bounds: list[tuple[float, float]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "_FULL", full)
        offers = Ordered()
        expected = [offer(number, place) for number, place in enumerate(places)]
        for held in expected:
            offers.add(held)
        expected.sort(key=lambda held: held.order)
        for one, other in bounds:
            first, last = (0, 0.0, min(one, other), -1), (0, 0.0, max(one, other), 50)
            offers.cut(first, last)
            expected = [held for held in expected if not first < held.order < last]
            assert list(offers) == expected
            assert len(offers) == len(expected)
        for held in expected:  # all else is in its place
            offers.remove(held)
        offers.cut(START, (1, 0.0, 0.0, 0))
        assert not len(offers)


def test_what_is_not_there_cannot_be_removed() -> None:
    offers = Ordered()
    with pytest.raises(KeyError):
        offers.remove(offer(1, 0.5))
    offers.add(offer(1, 0.5))
    with pytest.raises(KeyError):
        offers.remove(offer(2, 0.5))


def test_a_walk_goes_on_when_what_it_has_passed_is_removed() -> None:
    offers = Ordered()
    for number in range(2000):
        offers.add(offer(number, number / 2000))
    seen = []
    for held in offers.after(START):
        offers.remove(held)
        seen.append(held.number)
    assert seen == list(range(2000))
    assert not len(offers)
