"""The client finds the leader of three schedulers, by ZooKeeper and by the address of any of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.commands import Client
from tests.e2e.schedulers import Schedulers, schedulers
from tests.zookeeper import ZooKeeper
from tests.zookeeper import zookeeper as zookeeper
from tests.zookeeper import zookeeper_server as zookeeper_server


@pytest.fixture
def them(tmp_path: Path, zookeeper: ZooKeeper) -> Iterator[Schedulers]:
    with schedulers(tmp_path, zookeeper.address, "-simulated_hosts=5") as started:
        yield started


def test_whoever_leads_is_found(
    them: Schedulers,
    zookeeper: ZooKeeper,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = them.leader()
    leader = them.by_name[first]
    follower = next(member for name, member in them.by_name.items() if name != first)
    aurora = _client(follower, leader, zookeeper, tmp_path, capsys, monkeypatch)

    assert aurora.done("job", "open", "east").out == f"{leader.scheduler}/scheduler\n"
    assert aurora.done("quota", "get", "east/www-data").out.startswith("Allocated:")
    assert aurora.done("quota", "get", "any/www-data").out.startswith("Allocated:"), "a follower knows the way"

    assert leader.stop(signal.SIGKILL) == -signal.SIGKILL
    ran = aurora.done("quota", "get", "east/www-data")
    assert ran.out.startswith("Allocated:")
    second = them.by_name[them.leader()]
    assert second is not leader
    assert aurora.done("job", "open", "east").out == f"{second.scheduler}/scheduler\n"


def _client(
    follower: Cluster,
    leader: Cluster,
    zookeeper: ZooKeeper,
    home: Path,
    captured: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Client:
    """It knows the cluster as `east` by ZooKeeper, and as `any` by a scheduler that does not lead."""
    host, _, port = zookeeper.address.partition(":")
    east = {"name": "east", "zk": host, "zk_port": int(port), "scheduler_zk_path": "/aurora/scheduler"}
    (home / ".aurora").mkdir()
    (home / ".aurora" / "clusters.json").write_text(
        json.dumps([east, {"name": "any", "scheduler_uri": follower.scheduler}])
    )
    monkeypatch.setenv("HOME", str(home))
    return Client(leader, home, captured)
