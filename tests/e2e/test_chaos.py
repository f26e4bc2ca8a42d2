"""The whole system under violence; `make soak` makes it longer."""

import os
from pathlib import Path

import pytest
import trio

from aurorad.storage.recovery import recover
from aurorad.log.local import LocalLog
from aurorad.storage.tables import Table
from aurorad.vars import Vars
from tests.e2e.chaos import FLAGS, Storm
from tests.e2e.cluster import Cluster

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_a_storm_leaves_what_was_promised_and_nothing_else(folder: Path, seed: int) -> None:
    it = Cluster(folder, *FLAGS)
    it.start()
    try:
        storm = Storm(it, seed)
        storm.rage(SECONDS)
        storm.settle()
        storm.kill_all()
    finally:
        status = it.stop()
    assert status == 0, it.log()
    assert "Traceback" not in it.log()
    trio.run(log_and_database_agree, it.work_dir)


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
