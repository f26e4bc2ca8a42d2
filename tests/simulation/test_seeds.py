"""The short form of `make simulate`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.simulation import Stress, run_seed

SEEDS, A_BATCH = 30, 5
BUSY = [(49, 1), (35, 3)]
"""Seeds, and how many schedulers they have."""


@pytest.mark.parametrize("first", range(0, SEEDS, A_BATCH))
def test_everything_holds_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + A_BATCH):
        result = run_seed(seed)
        assert not result.violations, "\n".join([*result.trace[-40:], f"again: make simulate SEEDS=1 SEED={seed}"])


@pytest.mark.parametrize(("seed", "group"), BUSY)
def test_a_seed_does_the_same_again(seed: int, group: int) -> None:
    stress = Stress(group=group)
    one, other = run_seed(seed, stress), run_seed(seed, stress)
    assert one.trace == other.trace
    assert len(one.trace) > 200


@pytest.mark.parametrize(("seed", "group"), BUSY)
def test_a_seed_does_the_same_in_another_process(seed: int, group: int) -> None:
    """Where strings have other hashes, and objects other addresses."""
    script = (
        "from tests.simulation.simulation import Stress, run_seed; "
        f"print(*run_seed({seed}, Stress(group={group})).trace, sep=chr(10))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    assert told.splitlines() == run_seed(seed, Stress(group=group)).trace
