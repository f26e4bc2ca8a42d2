"""One of three schedulers leads; when it is gone another one does, and has all that anybody was told is done."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob
from aurorad.lifecycle import START_AGAIN
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import call, shell_job
from tests.e2e.schedulers import Schedulers, schedulers, variables
from tests.zookeeper import ZooKeeper
from tests.zookeeper import zookeeper as zookeeper
from tests.zookeeper import zookeeper_server as zookeeper_server


@pytest.fixture
def them(tmp_path: Path, zookeeper: ZooKeeper) -> Iterator[Schedulers]:
    with schedulers(tmp_path, zookeeper.address, "-simulated_hosts=20") as started:
        yield started


def running_tasks(member: Cluster) -> int:
    return int(str(variables(member)["task_store_RUNNING"]))


def create(member: Cluster, *names: str) -> None:
    for name in names:
        call(member, CreateJob(shell_job(name, "false", instances=10)))


def test_a_follower_takes_over_with_all_that_was_acknowledged(them: Schedulers) -> None:
    first = them.leader()
    create(them.by_name[first], "one", "two")
    eventually("20 tasks run", lambda: running_tasks(them.by_name[first]) == 20)
    followers = [member for name, member in them.by_name.items() if name != first]
    eventually("followers know them", lambda: all(running_tasks(follower) == 20 for follower in followers))
    for follower in followers:
        page = follower.get("/scheduler/www-data")
        assert "This scheduler follows another one" in page
        assert f'{them.by_name[first].scheduler}/scheduler">Go to the leader' in page
        assert "Go to the leader" not in them.by_name[first].get("/scheduler")
        assert follower.get("/health") == "OK\n"
    create(them.by_name[first], "three")
    assert them.by_name[first].stop(signal.SIGKILL) == -signal.SIGKILL

    second = them.leader()
    member = them.by_name[second]
    assert second != first
    eventually("30 tasks run", lambda: running_tasks(member) == 30)
    assert variables(member)["task_store_LOST"] == 0, "the tasks of before are adopted"
    assert "Go to the leader" not in member.get("/scheduler")
    create(member, "four")

    them.start()
    back = them.by_name[first]
    eventually("the one that came back knows all", lambda: running_tasks(back) == 40)
    assert variables(back)["scheduler_lifecycle_STORAGE_PREPARED"] == 1
    began = time.monotonic()
    assert member.stop() == 0, "told to stop"
    third = them.leader()
    assert time.monotonic() - began < 3.5, "nobody waited for its session to end"
    eventually("40 tasks run", lambda: running_tasks(them.by_name[third]) == 40)


def test_a_leader_makes_room_in_time_and_asks_to_be_started_again(tmp_path: Path, zookeeper: ZooKeeper) -> None:
    with schedulers(tmp_path, zookeeper.address, "-max_leading_duration=2secs") as them:
        first = them.by_name[them.leader()]
        assert first.wait_for_end() == START_AGAIN
        assert first.log().count("led for -max_leading_duration=2secs") == 2, first.log()
        assert them.by_name[them.leader()] is not first


def test_one_with_another_quorum_stands_aside_and_says_so(them: Schedulers) -> None:
    leader = them.leader()
    other = next(name for name in them.by_name if name != leader)
    member = them.by_name[other]
    assert member.stop() == 0
    right = member.flags
    member.flags = tuple(re.sub("(quorum_size)=.*", r"\1=1", flag) for flag in right)
    member.start()
    eventually("it knows that it must not lead", lambda: variables(member)["scheduler_fit_to_lead"] == 0)
    why = str(variables(member)["scheduler_unfit_to_lead_because"])
    assert "quorum" in why
    assert member.get("/health").startswith(f"OK\nThis scheduler cannot lead: {why[:50]}")
    eventually("the log says so", lambda: f"this scheduler cannot lead: {why}" in member.log())
    create(them.by_name[leader], "more")
    assert member.stop() == 0
    member.flags = right
    member.start()
    eventually("it may lead", lambda: variables(member)["scheduler_fit_to_lead"] == 1)
    eventually("it has learned what came meanwhile", lambda: running_tasks(member) == 10)
