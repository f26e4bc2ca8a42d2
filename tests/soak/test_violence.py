"""Runs in which whoever is there is killed at any moment; `make chaos` makes many more of them."""

import os
import shutil
import time
from collections import Counter
from pathlib import Path

import trio

from tests import control_groups
from tests.engine.rig import end_leftovers
from tests.soak.violence import Broken, Violence

RUNS = int(os.environ.get("CHAOS_RUNS", "25"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
AT_ONCE = int(os.environ.get("CHAOS_AT_ONCE", "8"))


async def test_whoever_is_killed_a_task_ends_as_it_must_and_nothing_runs_twice_or_is_left(tmp_path: Path) -> None:
    broken: list[int] = []
    counts: Counter[str] = Counter()
    limit = trio.CapacityLimiter(AT_ONCE)
    begun = time.monotonic()

    async def one(seed: int) -> None:
        folder = tmp_path / str(seed)
        async with limit:
            try:
                violence = Violence(seed, folder, hierarchy)
                await violence.run()
            except Broken as error:
                broken.append(seed)
                print(f"make chaos RUNS=1 SEED={seed}\n{error}\n", flush=True)
            else:
                counts.update(violence.counts)
                await trio.to_thread.run_sync(shutil.rmtree, folder)
            finally:
                end_leftovers(folder / "work")

    with control_groups.own(next(iter(control_groups.found()), None)) as hierarchy:
        async with trio.open_nursery() as nursery:
            for seed in range(SEED, SEED + RUNS):
                nursery.start_soon(one, seed)
    print(f"{RUNS} runs from seed {SEED} on in {time.monotonic() - begun:.0f} s; broken: {sorted(broken)}")
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    assert not broken, "; ".join(f"make chaos RUNS=1 SEED={seed}" for seed in sorted(broken))
