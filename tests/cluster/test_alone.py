"""A damaged log and nobody to learn from: nothing is guessed. The log is left as it is, for an operator to look at."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode
from tests.cluster.conftest import Tell, initialize
from tests.cluster.damage import flip_a_bit, flip_some_bits, written
from tests.cluster.ledger import Ledger
from tests.cluster.schedulers import site
from tests.e2e.cluster import Cluster
from tests.e2e.jobs import call, shell_job


def content(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_quorum_of_one_refuses_a_damaged_log_and_changes_nothing(tmp_path: Path, tell: Tell) -> None:
    with site(tmp_path, count=1, zookeepers=1) as them:
        (one,) = them.schedulers
        one.set("native_log_quorum_size", 1)
        initialize(one.log_folder)
        them.start()
        ledger = Ledger(them)
        ledger.add()
        one.stop()
        good = content(one.log_folder)
        (file,) = written(one.log_folder)
        flip_some_bits(file, random.Random(1))
        damaged = content(one.log_folder)
        status, told = tell("log", "verify", f"--path={one.log_folder}")
        assert status == 2
        one.start()
        one.wait()
        assert one.endings[-1] == 1
        last = one.written().splitlines()[-1]
        assert last.startswith(f"aurorad: {file} is damaged at byte ")
        assert last.removeprefix("aurorad: ") in told
        assert content(one.log_folder) == damaged
        file.write_bytes(good[file.name])  # by the operator, from wherever
        one.start()
        ledger.check(them.leader())


def test_a_scheduler_without_others_refuses_a_damaged_log_and_changes_nothing(tmp_path: Path, tell: Tell) -> None:
    it = Cluster(tmp_path, "-engine=simulated")
    it.start()
    for n in range(5):
        assert call(it, CreateJob(shell_job(f"job-{n}", "true"))).response_code is ResponseCode.OK
    assert it.stop() == 0
    log = it.work_dir / "log"
    file = max(log.iterdir(), key=lambda path: path.stat().st_size)
    flip_a_bit(file)
    damaged = content(log)
    with pytest.raises(AssertionError, match="did not start, and ended with 1"):
        it.start()
    last = it.log().splitlines()[-1]
    assert last.startswith(f"aurorad: {file} is damaged at byte ")
    assert content(log) == damaged
    status, told = tell("log", "verify", f"--path={log}")
    assert status == 2
    assert last.removeprefix("aurorad: ") in told
