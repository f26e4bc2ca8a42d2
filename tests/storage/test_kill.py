from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from aurorad.storage.tables import Table
from aurorad.vars import Vars
from tests.storage.opened import open_storage
from tests.storage.samples import task
from tests.storage.writer import WRITERS

ROUNDS = 5


def killed_after(folder: Path, round_number: int, writes: int, pause_s: float) -> list[str]:
    """What a writing process acknowledged before it was killed."""
    command = [sys.executable, "-m", "tests.storage.writer", str(folder), str(round_number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(writes)]
        timer = threading.Timer(pause_s, process.kill)
        timer.start()
        acknowledged += process.stdout.readlines()
        timer.join()
    assert process.returncode == -9, "it was killed while it wrote"
    return [line.strip() for line in acknowledged if line.endswith("\n")]


@pytest.mark.parametrize("without_database", [False, True])
async def test_nothing_that_was_acknowledged_is_lost_whenever_it_is_killed(
    tmp_path: Path, without_database: bool
) -> None:
    rng = random.Random(without_database)
    before: set[str] = set()
    for number in range(ROUNDS):
        acknowledged = killed_after(tmp_path, number, rng.randrange(1, 2000), rng.random() * 0.02)
        if without_database:
            (tmp_path / "state.db").unlink(missing_ok=True)
        async with open_storage(tmp_path, stats=Vars(), now_ms=lambda: 1) as storage:
            found = dict(storage.tables.rows(Table.TASKS))
        assert all(found[task_id] == task(task_id) for task_id in found)
        now = {task_id for task_id in found if task_id.startswith(f"{number}-")}
        assert set(found) - now == before, "what earlier rounds left is as it was"
        for writer in range(WRITERS):
            _check(sorted(_numbers(now, writer)), _numbers(acknowledged, writer))
        before = set(found)


def _numbers(task_ids: Iterable[str], writer: int) -> list[int]:
    """Which of its tasks a writer is shown to have written, by their numbers."""
    return [int(parts[2]) for parts in (task_id.split("-") for task_id in task_ids) if int(parts[1]) == writer]


def _check(found: list[int], acknowledged: list[int]) -> None:
    """A writer keeps its last three tasks. What it was not answered any more may be there too, or not."""
    written = len(acknowledged)
    assert acknowledged == list(range(written))
    assert found in [list(range(max(0, end - 3), end)) for end in (written, written + 1)]
