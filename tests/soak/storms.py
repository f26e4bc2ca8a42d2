"""The whole system under violence; `make soak` makes it longer."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from aurorad.log.local import LocalLog
from aurorad.storage.recovery import recover
from aurorad.storage.tables import Table
from aurorad.vars import Vars
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import folder as folder
from tests.soak.storm import FLAGS, Storm, executors

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_a_storm_leaves_what_was_promised_and_nothing_else(folder: Path, seed: int) -> None:
    withstand(folder, seed, SECONDS)


def withstand(folder: Path, seed: int, seconds: float) -> None:
    it = Cluster(folder, *FLAGS)
    it.start()
    try:
        storm = Storm(it, seed)
        storm.rage(seconds)
        storm.settle()
        storm.kill_all()
        assert it.stop() == 0, it.log()
    finally:
        end_what_is_left(it)
    assert "Traceback" not in it.log()
    trio.run(log_and_database_agree, it.work_dir)


def end_what_is_left(it: Cluster) -> None:
    """Of a storm that ended badly."""
    if it.running:
        it.stop(signal.SIGKILL)
    for pid in (*executors(it.work_dir), *it.task_processes()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def log_and_database_agree(work_dir: Path) -> None:
    log = await LocalLog.open(work_dir / "log", Vars())
    try:
        stored = await recover(log, work_dir / "state.db", Vars())
        assert stored.database is not None
        stored.database.close()
        replayed = await recover(log, work_dir / "no.db", Vars())
        for table in Table:
            assert stored.tables.rows(table) == replayed.tables.rows(table), table
    finally:
        await log.aclose()
