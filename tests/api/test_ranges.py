import itertools

from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.ranges import numbers, spans
from aurorad.api.updates import Range


def test_neighbours_join_whatever_their_order() -> None:
    assert spans([5, 1, 0, 2, 1]) == [(0, 2), (5, 5)]


@given(st.sets(st.integers(-100, 100)))
def test_spans_hold_just_the_numbers_in_order_and_never_touch(given_numbers: set[int]) -> None:
    found = spans(given_numbers)
    assert list(numbers(Range(first, last) for first, last in found)) == sorted(given_numbers)
    assert all(after[0] > before[1] + 1 for before, after in itertools.pairwise(found))
