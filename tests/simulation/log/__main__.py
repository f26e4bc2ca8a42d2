"""`make simulate-log`: many seeds on all cores. A failing one is told with the command that repeats it."""

from __future__ import annotations

import sys

from tests.simulation.log.simulation import Result, run_seed
from tests.simulation.seeds import main


def run_batch(seeds: range) -> list[Result]:
    """Traces are kept where somebody will read them."""
    return [run_seed(seed, told=len(seeds) == 1) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main("simulate-log", run_batch))
