"""A simulated cluster, as somebody who tries it meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import call, shell_job

KEY = "devcluster/www-data/devel/many"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, "-engine=simulated", "-simulated_hosts=20")
    yield cluster
    if cluster.running:
        assert cluster.stop() == 0, cluster.log()


def counted(it: Cluster) -> dict[str, int]:
    statistics: dict[str, int] = json.loads(it.get("/vars.json"))
    return {name: statistics.get(f"task_store_{name}", 0) for name in ("RUNNING", "LOST", "PENDING")}


def test_tasks_are_pretended_shown_and_go_on_after_a_restart(it: Cluster) -> None:
    it.start()
    assert it.observer == ""
    call(it, CreateJob(shell_job("many", "false", instances=200)))
    eventually("200 tasks run", lambda: counted(it)["RUNNING"] == 200)
    assert it.task_processes() == []
    assert "host-" in it.aurora("job", "status", KEY).stdout
    assert "host-20" in it.get("/agents")
    assert ":1338" not in it.get("/agents") + it.get("/scheduler/www-data/devel/many/0")  # nobody observes
    assert it.stop() == 0
    it.start()
    killed = it.aurora("job", "killall", "--batch-size=200", KEY)
    assert killed.returncode == 0, killed.stdout
    assert counted(it) == {"RUNNING": 0, "LOST": 0, "PENDING": 0}
