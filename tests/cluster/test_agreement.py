from __future__ import annotations

import pytest

from aurorad.log.inspection import Entry
from aurorad.log.messages import Configuration, Nop, Proposal, Value
from tests.cluster.agreement import two_leaders

A, B = 11, 12
FIRST, SECOND = (1, A), (2, B)
BOTH = Configuration("c", 2, ((A, "a:1"), (B, "b:1")))


def log(*entries: tuple[Value, Proposal | None], learned: int = 99) -> list[Entry]:
    return [Entry(position, value, position < learned, who) for position, (value, who) in enumerate(entries)]


def test_one_leader_after_the_other_is_fine_whatever_each_member_saw_of_them() -> None:
    logs = {
        "a": log((BOTH, FIRST), (b"x", FIRST), (b"y", FIRST), (Nop(), SECOND), (b"z", SECOND)),
        "b": log((BOTH, FIRST), (b"x", FIRST), (b"y", SECOND), (Nop(), SECOND), (b"z", SECOND)),
        "c": log((BOTH, None), (b"x", None), (b"y", SECOND), (Nop(), None), (b"z", SECOND)),
        "left behind": log((BOTH, FIRST), (b"x", FIRST), (b"y", FIRST), (b"never chosen", FIRST), learned=2),
    }
    assert list(two_leaders(logs)) == []


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (log((BOTH, FIRST), (b"other", FIRST)), "told a b'x' at 1, and b b'other'"),
        (log((BOTH, FIRST), (b"x", FIRST), (b"other", FIRST), learned=2), "told a b'y' at 2, and b b'other'"),
        (log((BOTH, SECOND), (b"x", FIRST)), "at 1 b took something of (1, 11), having taken something of (2, 12)"),
    ],
)
def test_two_at_a_time_are_noticed(other: list[Entry], what: str) -> None:
    logs = {"a": log((BOTH, FIRST), (b"x", FIRST), (b"y", FIRST)), "b": other}
    (told,) = two_leaders(logs)
    assert what in told
