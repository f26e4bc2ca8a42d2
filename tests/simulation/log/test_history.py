"""The checker of histories: what a log can look like, and what it cannot."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.log.history import Append, Read, objections

A, B, C = b"a", b"b", b"c"


@pytest.mark.parametrize(
    ("appends", "reads", "log"),
    [
        pytest.param([], [], {}, id="nothing"),
        pytest.param([Append(A, 1, 2, 0), Append(B, 3, 4, 1)], [], {0: A, 1: B}, id="one after the other"),
        pytest.param([Append(A, 1, 4, 1), Append(B, 2, 3, 0)], [], {0: B, 1: A}, id="at the same time, any order"),
        pytest.param([Append(A, 1, 2, 5), Append(B, 3, 4, 9)], [], {5: A, 9: B}, id="positions of the log's own"),
        pytest.param([Append(A, 1), Append(B, 2, 3, 0)], [], {0: B}, id="unknown, and lost"),
        pytest.param([Append(A, 1), Append(B, 2, 3, 1)], [], {0: A, 1: B}, id="unknown, and there"),
        pytest.param([Append(A, 1), Append(B, 2, 3, 0)], [], {0: B, 1: A}, id="unknown, and there much later"),
        pytest.param([Append(A, 1, 2, refused=True)], [], {}, id="refused"),
        pytest.param([Append(A, 1, 2, 0)], [Read(3, 4, 1)], {0: A}, id="a read sees what was acknowledged"),
        pytest.param([Append(A, 1, 4, 0)], [Read(2, 3, 1)], {0: A}, id="a read sees what is under way"),
        pytest.param([Append(A, 1, 4, 0)], [Read(2, 3, 0)], {0: A}, id="or does not"),
        pytest.param([Append(A, 1, 6, 0)], [Read(2, 5, 1), Read(3, 4, 0)], {0: A}, id="reads at the same time differ"),
        pytest.param([Append(A, 1, 2, 0)], [Read(3)], {0: A}, id="a read that was given up"),
    ],
)
def test_a_log_can_look_like_that(appends: list[Append], reads: list[Read], log: Mapping[int, bytes]) -> None:
    assert list(objections(appends, reads, log)) == []


@pytest.mark.parametrize(
    ("appends", "reads", "log", "why"),
    [
        pytest.param([Append(A, 1, 2, 0)], [], {}, "acknowledged at 0, and is at None", id="an acknowledged one lost"),
        pytest.param([Append(A, 1, 2, 0)], [], {3: A}, "acknowledged at 0, and is at 3", id="elsewhere"),
        pytest.param([Append(A, 1, 2, 0)], [], {0: A, 3: A}, "twice", id="done twice"),
        pytest.param([Append(A, 1)], [], {0: A, 3: A}, "twice", id="an unknown one done twice"),
        pytest.param([], [], {0: A}, "nobody wrote it", id="out of thin air"),
        pytest.param([Append(A, 1, 2, refused=True)], [], {0: A}, "was refused", id="refused, and there"),
        pytest.param([Append(A, 3, 4, 0), Append(B, 1, 2, 1)], [], {0: A, 1: B}, "cannot come after", id="order"),
        pytest.param([Append(A, 3), Append(B, 1, 2, 1)], [], {0: A, 1: B}, "cannot come after", id="order, unknown"),
        pytest.param([Append(A, 1, 2, 0)], [Read(3, 4, 0)], {0: A}, "cannot come after", id="a stale read"),
        pytest.param([Append(A, 3, 4, 0)], [Read(1, 2, 1)], {0: A}, "cannot come after", id="a read of the future"),
        pytest.param(
            [Append(A, 1, 6, 0)], [Read(2, 3, 1), Read(4, 5, 0)], {0: A}, "cannot come after", id="reads go back"
        ),
        pytest.param(
            [Append(A, 1)], [Read(2, 3, 1), Read(4, 5, 0)], {0: A}, "cannot come after", id="reads go back, unknown"
        ),
        pytest.param(
            [Append(A, 1, 8, 1), Append(B, 2, 7, 2), Append(C, 5, 6, 0)],
            [Read(3, 4, 2)],
            {0: C, 1: A, 2: B},
            "cannot come after",
            id="a read saw what comes behind one that had not begun",
        ),
    ],
)
def test_no_log_looks_like_that(appends: list[Append], reads: list[Read], log: Mapping[int, bytes], why: str) -> None:
    assert any(why in objection for objection in objections(appends, reads, log))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_whatever_happened_one_after_the_other_passes_however_long_each_took(
    steps: list[tuple[bool, int, int]],
) -> None:
    """Each takes place at a moment of its own, and begins a little before and ends a little after it."""
    appends: list[Append] = []
    reads: list[Read] = []
    log: dict[int, bytes] = {}
    for number, (is_read, before, after) in enumerate(steps):
        moment = 20 * number
        began, ended = moment - before * 11, moment + after * 11 + 1
        if is_read:
            reads.append(Read(began, ended, len(log)))
        else:
            value = b"%d" % number
            appends.append(Append(value, began, ended, len(log)))
            log[len(log)] = value
    assert list(objections(appends, reads, log)) == []
