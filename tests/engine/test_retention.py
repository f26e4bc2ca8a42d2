"""What of ended runs is kept: table and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.engine.retention import SPARED_S, Disk, Ended, Policy, collectable

NOW_S = 100_000.0
MB = 1 << 20


def run(name: str, age_s: float, size_mb: int = 10) -> Ended:
    return Ended(name, NOW_S - age_s, size_mb * MB)


RUNS = [run("c", 3000), run("a", 9000), run("b", 6000), run("d", 10)]


@pytest.mark.parametrize(
    ("policy", "disk", "gone"),
    [
        (Policy(), None, ""),
        (Policy(max_age_s=9000), None, ""),
        (Policy(max_age_s=5000), None, "ab"),
        (Policy(max_age_s=0), None, "abcd"),
        (Policy(max_count=4), None, ""),
        (Policy(max_count=1), None, "abc"),
        (Policy(max_count=0), None, "abcd"),
        (Policy(max_bytes=40 * MB), None, ""),
        (Policy(max_bytes=39 * MB), None, "a"),
        (Policy(max_bytes=0), None, "abcd"),
        (Policy(max_age_s=7000, max_count=2), None, "ab"),
        # 10 % of 1000 MB shall be free.
        (Policy(), Disk(1000 * MB, 100 * MB, 0.1), ""),
        (Policy(), Disk(1000 * MB, 95 * MB, 0.1), "a"),
        (Policy(), Disk(1000 * MB, 80 * MB, 0.1), "ab"),
        (Policy(max_age_s=8000), Disk(1000 * MB, 85 * MB, 0.1), "ab"),
        (Policy(), Disk(1000 * MB, 11 * MB, 0.1), "abc"),  # d ended just now
        (Policy(), Disk(1000 * MB, 9 * MB, 0.1), "abcd"),  # the disk is all but full
        (Policy(max_age_s=5), Disk(1000 * MB, 500 * MB, 0.1), "abcd"),
        (Policy(max_bytes=5 * MB), Disk(1000 * MB, 500 * MB, 0.1), "abcd"),
        (Policy(), Disk(1000 * MB, 0, 0.0), ""),
    ],
)
def test_what_goes(policy: Policy, disk: Disk | None, gone: str) -> None:
    assert "".join(one.id for one in collectable(RUNS, policy, NOW_S, disk)) == gone


limits = st.none() | st.integers(0, 50)
runs = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20).map(
    lambda pairs: [Ended(str(n), NOW_S - age_s, size) for n, (age_s, size) in enumerate(pairs)]
)


@given(runs, limits, limits, limits, st.none() | st.tuples(st.integers(0, 100), st.integers(0, 100)))
def test_what_stays_is_within_all_limits_and_the_youngest(
    ended: list[Ended],
    age: int | None,
    count: int | None,
    size: int | None,
    disk: tuple[int, int] | None,
) -> None:
    room = None if disk is None else Disk(sum(disk), disk[0], 0.5)
    gone = collectable(ended, Policy(age, count, size), NOW_S, room)
    stays = [one for one in ended if one not in gone]
    assert all(age is None or NOW_S - one.ended_s <= age for one in stays)
    assert count is None or len(stays) <= count
    assert size is None or sum(one.size_bytes for one in stays) <= size
    if room is not None:
        freed = sum(one.size_bytes for one in gone)
        assert freed >= room.missing or all(NOW_S - one.ended_s < SPARED_S for one in stays)
    assert max((one.ended_s for one in gone), default=0) <= min((one.ended_s for one in stays), default=NOW_S)


@given(runs, limits, limits)
def test_no_more_goes_than_must(ended: list[Ended], count: int | None, size: int | None) -> None:
    gone = collectable(ended, Policy(None, count, size), NOW_S)
    if gone:
        spared = [one for one in ended if one not in gone[:-1]]
        too_many = count is not None and len(spared) > count
        assert too_many or (size is not None and sum(one.size_bytes for one in spared) > size)
