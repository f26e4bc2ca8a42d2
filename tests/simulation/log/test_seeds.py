"""The short form of `make simulate-log`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.log.simulation import run_seed

SEEDS, A_BATCH = 120, 20
BUSY_SEED = 18


@pytest.mark.parametrize("first", range(0, SEEDS, A_BATCH))
def test_everything_holds_whatever_goes_wrong(first: int) -> None:
    acknowledged = 0
    for seed in range(first, first + A_BATCH):
        result = run_seed(seed)
        acknowledged += result.acknowledged
        assert not result.violations, "\n".join([*result.trace[-40:], f"again: make simulate-log SEEDS=1 SEED={seed}"])
    assert acknowledged > 20 * A_BATCH, "hardly anything was done"


def test_a_seed_does_the_same_again() -> None:
    one, other = run_seed(BUSY_SEED, told=True), run_seed(BUSY_SEED, told=True)
    assert one == other
    assert len(one.trace) > 500


def test_a_seed_does_the_same_in_another_process() -> None:
    """Where strings have other hashes, and objects other addresses."""
    script = (
        "from tests.simulation.log.simulation import run_seed;"
        f"print(*run_seed({BUSY_SEED}, told=True).trace, sep=chr(10))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    assert told.splitlines() == run_seed(BUSY_SEED, told=True).trace
