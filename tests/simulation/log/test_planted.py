"""The simulation notices bugs: each of these is noticed, by a rule that it breaks, within some seeds."""

from __future__ import annotations

import pytest

from tests.simulation.log.planted import PLANTS, Plant
from tests.simulation.log.simulation import run_seed

SEEDS = 60
"""At most; most show within a few."""


@pytest.mark.parametrize("planted", PLANTS, ids=lambda planted: planted.plant.__name__)
def test_a_planted_bug_is_noticed(planted: Plant) -> None:
    others: list[str] = []
    for seed in range(SEEDS):
        with pytest.MonkeyPatch.context() as patch:
            planted.plant(patch)
            broken = [violation.rule for violation in run_seed(seed, planted.stress).violations]
        if set(planted.rules) & set(broken):
            return
        others += broken
    pytest.fail(f"{SEEDS} seeds do not break the rule; they break {sorted(set(others))}")
