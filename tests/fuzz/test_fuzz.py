"""A short form of ``make fuzz``."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.daemon import attacked
from tests.fuzz.requests import Requests

BODIES = 2_000


def test_whatever_is_sent_nothing_breaks(tmp_path: Path) -> None:
    found = attacked(tmp_path, BODIES, seed=7, corpus=300)
    assert not found.wrong, "\n".join(found.wrong)
    assert found.statuses.total() == BODIES
    assert {200, 400, 404} <= found.statuses.keys()


def test_requests_are_the_same_for_the_same_seed() -> None:
    one, other = Requests(3, corpus=20), Requests(3, corpus=20)
    assert [one.next() for _ in range(50)] == [other.next() for _ in range(50)]
