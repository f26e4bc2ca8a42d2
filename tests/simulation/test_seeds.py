"""The short form of `make simulate`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.simulation import Stress, run_seed

SEEDS, A_BATCH = 30, 5
BUSY_SEED = 49


@pytest.mark.parametrize("first", range(0, SEEDS, A_BATCH))
def test_everything_holds_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + A_BATCH):
        result = run_seed(seed)
        assert not result.violations, "\n".join([*result.trace[-40:], f"again: make simulate SEEDS=1 SEED={seed}"])


@pytest.mark.parametrize("group", (1, 3))
def test_a_seed_does_the_same_again(group: int) -> None:
    stress = Stress(group=group)
    one, other = run_seed(BUSY_SEED, stress), run_seed(BUSY_SEED, stress)
    assert one.trace == other.trace
    assert len(one.trace) > 500


@pytest.mark.parametrize("group", (1, 3))
def test_a_seed_does_the_same_in_another_process(group: int) -> None:
    """Where strings have other hashes, and objects other addresses."""
    script = (
        "from tests.simulation.simulation import Stress, run_seed; "
        f"print(*run_seed({BUSY_SEED}, Stress(group={group})).trace, sep=chr(10))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    assert told.splitlines() == run_seed(BUSY_SEED, Stress(group=group)).trace
