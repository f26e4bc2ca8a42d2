"""`make simulate`: many seeds on all cores. A failing one is told with the command that repeats it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.simulation.simulation import Result, run_seed

BATCH = 20
TAIL_LINES = 25
MOST_TOLD = 5
"""Failing seeds that are told at length."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument(
        "--trace", type=Path, help="write the trace of a single seed, or of the first that fails, there"
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    failing: list[Result] = []
    done = 0
    for results in _run(arguments.seed, arguments.seeds, arguments.jobs):
        done += len(results)
        for result in results:
            if result.violations:
                failing.append(result)
                print(_report(result) if len(failing) <= MOST_TOLD else _line(result), flush=True)
        if arguments.trace is not None and (arguments.seeds == 1 or failing):
            told = min(failing, key=lambda result: result.seed) if failing else results[0]
            arguments.trace.write_text("\n".join(told.trace) + "\n")
    minutes = (time.monotonic() - started) / 60
    print(f"{done} seeds, {len(failing)} failing, {done / minutes:.0f} seeds a minute")
    return bool(failing)


def _run(first: int, count: int, jobs: int) -> Iterator[list[Result]]:
    batches = [range(at, min(at + BATCH, first + count)) for at in range(first, first + count, BATCH)]
    if jobs == 1 or len(batches) == 1:
        yield from map(run_batch, batches)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(run_batch, batch) for batch in batches]):
            yield future.result()


def run_batch(seeds: range) -> list[Result]:
    """Traces are kept where somebody will read them."""
    results = map(run_seed, seeds)
    return [one if one.violations or len(seeds) == 1 else one._replace(trace=[]) for one in results]


def _line(result: Result) -> str:
    return f"seed {result.seed}: {result.violations[0]}"


def _report(result: Result) -> str:
    tail = "\n".join(f"    {line}" for line in result.trace[-TAIL_LINES:])
    return (
        f"\n{_line(result)}\nthe end of its trace:\n{tail}\n"
        f"again: make simulate SEEDS=1 SEED={result.seed} TRACE=trace.txt\n"
    )


if __name__ == "__main__":
    sys.exit(main())
