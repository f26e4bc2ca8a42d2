"""The simulation notices bugs: each of these is noticed, by the rule that it breaks, within a few seeds."""

from __future__ import annotations

import pytest

from tests.simulation.planted import PLANTS, Plant
from tests.simulation.simulation import run_seed

# A scheduler that breaks in its start leaves a half-read log behind.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SEEDS = 40
"""At most; nearly all show within a few."""


@pytest.mark.parametrize("planted", PLANTS, ids=lambda planted: planted.plant.__name__)
def test_a_planted_bug_is_noticed(planted: Plant) -> None:
    others: list[str] = []
    for seed in range(SEEDS):
        with pytest.MonkeyPatch.context() as patch:
            planted.plant(patch)
            broken = [violation.rule for violation in run_seed(seed, planted.stress).violations]
        if planted.rule in broken:
            return
        others += broken
    pytest.fail(f"{SEEDS} seeds do not break the rule; they break {sorted(set(others))}")
