"""The simulation notices bugs: each of these is noticed, by the rule that it breaks, within a few seeds."""

from __future__ import annotations

import pytest

from tests.simulation import planted_in_groups
from tests.simulation.planted import PLANTS, Plant
from tests.simulation.simulation import run_seed

# A scheduler that breaks in its start leaves a half-read log behind.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SEEDS = 40
"""At most; nearly all show within a few."""


@pytest.mark.parametrize("planted", (*PLANTS, *planted_in_groups.PLANTS), ids=lambda planted: planted.plant.__name__)
def test_a_planted_bug_is_noticed(planted: Plant) -> None:
    others: list[str] = []
    stress = planted.stress._replace(group=planted.stress.group or 1)
    for seed in range(SEEDS):
        with pytest.MonkeyPatch.context() as patch:
            planted.plant(patch)
            broken = [violation.rule for violation in run_seed(seed, stress).violations]
        if planted.rule in broken:
            return
        others += broken
    pytest.fail(f"{SEEDS} seeds do not break the rule; they break {sorted(set(others))}")
