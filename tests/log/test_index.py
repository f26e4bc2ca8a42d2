from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.log.index import Index, Place


def place(number: int) -> Place:
    return Place(number // 10, number, number * 3, number % 7)


def places(index: Index) -> dict[int, Place]:
    found: dict[int, Place] = {}
    at = index.begin
    while at < index.end:
        where, until = index.find(at)
        assert until > at
        found.update(dict.fromkeys(range(at, until), where))
        at = until
    return found


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.floats(0, 1), st.integers(1, 5)),
        st.tuples(st.just("drop_from"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("drop_before"), st.floats(0, 1), st.just(0)),
    ),
    max_size=40,
)


@given(st.integers(0, 5), steps)
def test_an_index_is_a_dictionary_of_positions(begin: int, todo: list[tuple[str, float, int]]) -> None:
    index, model, end = Index(begin), dict[int, Place](), begin
    for number, (step, part, count) in enumerate(todo):
        position = index.begin + round(part * (end - index.begin))
        if step == "put":
            index.put(position, position + count, place(number))
            model.update(dict.fromkeys(range(position, position + count), place(number)))
            end = max(end, position + count)
        elif step == "drop_from":
            index.drop_from(position)
            model, end = {at: where for at, where in model.items() if at < position}, position
        else:
            index.drop_before(position)
            model = {at: where for at, where in model.items() if at >= position}
        assert places(index) == model
        assert index.end == end
        assert index.missing() is None
        oldest = index.oldest_file()
        assert oldest is None if not model else oldest is not None and oldest <= min(p.file for p in model.values())
        for outside in (index.begin - 1, index.end):
            with pytest.raises(LookupError):
                index.find(outside)


def test_what_lies_in_no_file_is_missing_until_it_is_forgotten_or_written_again() -> None:
    index = Index(3, 10)
    index.put(10, 12, place(1))
    assert index.missing() == (3, 10)
    index.drop_before(5)
    assert index.missing() == (5, 10)
    index.put(5, 8, place(2))
    assert index.missing() == (8, 10)
    index.drop_from(8)
    assert index.missing() is None
    assert (index.begin, index.end) == (5, 8)
