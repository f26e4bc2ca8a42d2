"""Three schedulers are restarted in the order of docs/operations/upgrades.md, while somebody writes all the time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from aurorad.api.calls import CreateJob, GetJobs
from aurorad.api.enums import ResponseCode
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import call, shell_job
from tests.e2e.schedulers import Schedulers, schedulers, variables
from tests.zookeeper import ZooKeeper
from tests.zookeeper import zookeeper as zookeeper
from tests.zookeeper import zookeeper_server as zookeeper_server


class Writer(threading.Thread):
    """Creates a job after the other, at whoever takes it, and tries again as the client does."""

    def __init__(self, them: Schedulers) -> None:
        super().__init__(daemon=True)
        self._them = them
        self._over = threading.Event()
        self.acknowledged: list[str] = []
        self.refused: list[str] = []

    def run(self) -> None:
        for number in itertools.count():
            name = f"job-{number}"
            while not self._over.is_set() and not self._create(name):
                time.sleep(0.05)
            if self._over.is_set():
                return

    def stop(self) -> None:
        self._over.set()
        self.join(30)

    def _create(self, name: str) -> bool:
        for member in list(self._them.running.values()):
            try:
                answer = call(member, CreateJob(shell_job(name, "sleep 1000")))
            except requests.RequestException:
                continue  # it is not there; or, as a follower, it does not know the leader
            told = "; ".join(detail.message or "" for detail in answer.details)
            if answer.response_code is ResponseCode.OK or "already exists" in told:
                self.acknowledged.append(name)
                return True
            if answer.response_code is not ResponseCode.ERROR_TRANSIENT:
                self.refused.append(told)
        return False


@pytest.fixture
def them(tmp_path: Path, zookeeper: ZooKeeper) -> Iterator[Schedulers]:
    with schedulers(tmp_path, zookeeper.address, "-simulated_hosts=20") as started:
        yield started


def has_caught_up(member: Cluster, leader: Cluster) -> bool:
    """What the manual says to look at."""
    end = int(str(variables(leader)["scheduler_log_native_end"]))
    its = variables(member)
    return its["log/recovered"] == 1 and int(str(its["scheduler_log_native_learned"])) >= end


def _goes_on(writer: Writer, what: str) -> None:
    before = len(writer.acknowledged)
    eventually(what, lambda: len(writer.acknowledged) > before + 5)


def test_nothing_acknowledged_is_lost_and_the_leader_changes_once(them: Schedulers) -> None:
    first = them.leader()
    writer = Writer(them)
    writer.start()
    for name in [name for name in them.by_name if name != first]:
        assert them.by_name[name].stop() == 0
        _goes_on(writer, "others take writes meanwhile")
        them.start()
        eventually("it votes and has caught up", partial(has_caught_up, them.by_name[name], them.by_name[first]))
        assert them.leader() == first
    assert them.by_name[first].stop() == 0
    second = them.leader()
    _goes_on(writer, "the next leader takes writes")
    them.start()
    eventually("the last one follows", lambda: has_caught_up(them.by_name[first], them.by_name[second]))
    assert them.leader() == second
    writer.stop()
    assert writer.refused == []
    result = call(them.by_name[second], GetJobs("www-data")).result
    assert result is not None
    assert result.get_jobs_result is not None
    there = {config.key.name for config in result.get_jobs_result.configs}
    assert sorted(set(writer.acknowledged) - there) == []
    assert variables(them.by_name[second])["task_store_LOST"] == 0
