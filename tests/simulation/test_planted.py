"""The simulation notices bugs: each of these is noticed, by the rule that it breaks, within a few seeds."""

from __future__ import annotations

import pytest

from tests.simulation.planted import PLANTS, Plant
from tests.simulation.simulation import run_seed

SEEDS = 5


@pytest.mark.parametrize("planted", PLANTS, ids=lambda planted: planted.plant.__name__)
def test_a_planted_bug_is_noticed(planted: Plant) -> None:
    for seed in range(planted.first, planted.first + SEEDS):
        with pytest.MonkeyPatch.context() as patch:
            planted.plant(patch)
            broken = [violation.rule for violation in run_seed(seed).violations]
        if planted.rule in broken:
            return
        assert not broken, f"seed {seed} broke {broken}, {planted.rule!r} was expected"
    pytest.fail(f"{SEEDS} seeds from {planted.first} on break nothing")
