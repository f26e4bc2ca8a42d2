"""Many seeds on all cores. A failing one is told with the command that repeats it."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol

from tests.simulation.trace import Violation

BATCH = 20
TAIL_LINES = 25
LINE_CHARACTERS = 400
MOST_TOLD = 5
"""Failing seeds that are told at length."""


class Outcome(Protocol):
    """What came of a seed."""

    @property
    def seed(self) -> int: ...

    @property
    def violations(self) -> list[Violation]: ...

    @property
    def trace(self) -> list[str]: ...


RunBatch = Callable[[range], Sequence[Outcome]]
"""Has to be a module's function: other processes call it."""


def main(target: str, run_batch: RunBatch) -> int:
    """`target` is what `make` calls it."""
    parser = argparse.ArgumentParser(prog=f"make {target}", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument(
        "--trace", type=Path, help="write the trace of a single seed, or of the first that fails, there"
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    failing: list[Outcome] = []
    done = 0
    for results in _run(arguments.seed, arguments.seeds, arguments.jobs, run_batch):
        done += len(results)
        for result in results:
            if result.violations:
                failing.append(result)
                print(_report(target, result) if len(failing) <= MOST_TOLD else _line(result), flush=True)
        if arguments.trace is not None and (arguments.seeds == 1 or failing):
            told = min(failing, key=lambda result: result.seed) if failing else results[0]
            arguments.trace.write_text("\n".join(told.trace) + "\n")
    minutes = (time.monotonic() - started) / 60
    print(f"{done} seeds, {len(failing)} failing, {done / minutes:.0f} seeds a minute")
    return bool(failing)


def _run(first: int, count: int, jobs: int, run_batch: RunBatch) -> Iterator[Sequence[Outcome]]:
    batches = [range(at, min(at + BATCH, first + count)) for at in range(first, first + count, BATCH)]
    if jobs == 1 or len(batches) == 1:
        yield from map(run_batch, batches)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(run_batch, batch) for batch in batches]):
            yield future.result()


def _line(result: Outcome) -> str:
    return f"seed {result.seed}: {result.violations[0]}"


def _report(target: str, result: Outcome) -> str:
    tail = "\n".join(f"    {line[:LINE_CHARACTERS]}" for line in result.trace[-TAIL_LINES:])
    return (
        f"\n{_line(result)}\nthe end of its trace:\n{tail}\n"
        f"again: make {target} SEEDS=1 SEED={result.seed} TRACE=trace.txt\n"
    )
