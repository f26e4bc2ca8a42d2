"""What followers answer, and what they keep to themselves: three real schedulers, and a ZooKeeper with a password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import call, shell_job
from tests.e2e.schedulers import Schedulers, schedulers, status_of
from tests.zookeeper import ZooKeeper

SECRET = "a-password-of-zookeepers"
FLAGS = ("-zk_chroot_path=/below/here", f"-zk_digest_credentials=aurora:{SECRET}", "-log_to_stderr=DEBUG")


@pytest.fixture
def three(folder: Path, zookeeper: ZooKeeper) -> Iterator[Schedulers]:
    with schedulers(folder, zookeeper.address, *FLAGS) as them:
        them.leader()
        yield them


def followers(them: Schedulers) -> list[Cluster]:
    leader = them.leader()
    return [member for name, member in them.by_name.items() if name != leader]


def _knows_the_leader(follower: Cluster) -> bool:
    return status_of(follower, "/leaderhealth") == 503


def test_followers_send_to_the_leader_and_show_what_they_follow(three: Schedulers, zookeeper: ZooKeeper) -> None:
    leader = three.by_name[three.leader()]
    for follower in followers(three):
        eventually("it knows the leader", partial(_knows_the_leader, follower))
        assert [status_of(follower, path) for path in ("/offers", "/health", "/scheduler")] == [307, 200, 200]
        answer = requests.get(f"{follower.scheduler}/quotas?role=a%20b", allow_redirects=False, timeout=30)
        assert answer.headers["Location"] == f"{leader.scheduler}/quotas?role=a%20b"
        bypassing = requests.get(f"{follower.scheduler}/offers", headers={"Bypass-Leader-Redirect": "1"}, timeout=30)
        assert (bypassing.status_code, bypassing.json()) == (200, [])
        name = f"by_{follower.pid}"
        assert call(follower, CreateJob(shell_job(name, "sleep 1000"))).response_code is ResponseCode.OK
        leader.wait_for_status(f"devcluster/www-data/devel/{name}", "RUNNING")
        page = eventually("it has followed", partial(_page_with, follower, name))
        assert "This scheduler follows another one" in page
        assert f'href="{leader.scheduler}/scheduler"' in page
    with zookeeper.client() as stranger:
        names = stranger.get_children("/below/here/aurora/scheduler")
        assert len([name for name in names if re.fullmatch("member_[0-9]{10}", name)]) == 1
        assert all(acl.perms == 1 or acl.id.scheme == "digest" for acl in stranger.get_acls("/below/here/aurora")[0])
    three.stop()
    for member in three.by_name.values():
        assert "kazoo: " in member.log(), "nothing was to be seen of it"
        assert SECRET not in member.log()


def test_nobody_knows_a_leader_when_there_is_none(three: Schedulers) -> None:
    one, other = followers(three)
    other.stop()
    three.by_name[three.leader()].stop()
    eventually("the leader is gone", lambda: status_of(one, "/leaderhealth") == 502)
    answer = requests.get(f"{one.scheduler}/offers", headers={"Accept": "text/html"}, timeout=30)
    assert (answer.status_code, "<h1>No Leader Found</h1>" in answer.text) == (503, True)
    assert status_of(one, "/scheduler") == 200


def _page_with(follower: Cluster, job: str) -> str | None:
    page = follower.get("/scheduler/www-data/devel")
    return page if job in page else None
