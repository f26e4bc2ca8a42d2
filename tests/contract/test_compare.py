"""What counts as the recorded answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.compare import Difference, Ids, Unbound
from tests.contract.wire import Unordered


def paths(expected: Any, actual: Any) -> list[str]:
    return [difference.path for difference in Ids().differences(expected, actual)]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, 1),
        (1, 1.0),
        ("a", "a"),
        ("<any>", {"a": 1}),
        ({"a": "<any>"}, {}),
        ("<ms>", 1700000000000),
        ("in <any> words", "in other words"),
        ("<agent>", "agent-7"),
        (["a", "b"], Unordered(["b", "a"])),
        ([{"id": "<task:1>"}, {"id": "<task:2>", "of": "<task:1>"}], Unordered([{"id": "y", "of": "x"}, {"id": "x"}])),
    ],
)
def test_equal(expected: Any, actual: Any) -> None:
    assert paths(expected, actual) == []


@pytest.mark.parametrize(
    ("expected", "actual", "where"),
    [
        (1, 2, [""]),
        (1, True, [""]),
        ({"a": 1}, {"a": 1, "b": 2}, ["b"]),
        ({"a": 1}, {}, ["a"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ["a.b[1]"]),
        ([1, 2], [1], ["[1]"]),
        (["a", "b"], ["b", "a"], ["[0]", "[1]"]),
        (["a", "b"], Unordered(["b", "c"]), ["[0]"]),
        ("<ms>", 0, [""]),
        ("<ms>", "soon", [""]),
        (["<task:1>", "<task:1>"], ["x", "y"], ["[1]"]),
        (["<task:1>", "<task:2>"], ["x", "x"], ["[1]"]),
    ],
)
def test_different(expected: Any, actual: Any, where: list[str]) -> None:
    assert paths(expected, actual) == where


def test_an_id_once_bound_is_the_same_in_later_answers_texts_and_requests() -> None:
    ids = Ids()
    assert ids.differences({"id": "<task:1>"}, {"id": "www-prod-web-0-x"}) == []
    assert ids.differences("Preempting in favor of <task:1>", "Preempting in favor of www-prod-web-0-x") == []
    assert ids.differences("<task:1>", "other") == [Difference("", "<task:1>", "other")]
    assert ids.fill_in({"taskIds": ["<task:1>"]}) == {"taskIds": ["www-prod-web-0-x"]}
    with pytest.raises(Unbound):
        ids.fill_in("<task:2>")
