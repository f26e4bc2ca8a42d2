"""Finding the leader: in ZooKeeper, anew after trouble, and not for ever."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from aurorad.api.calls import GetJobs
from client.clock import Clock
from client.clusters import Cluster
from client.errors import CommandError, Exit
from client.leaders import Leader, NotFound, members
from client.terminal import Terminal
from tests.client import fake_scheduler
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import Http
from tests.client.test_scheduler import JOBS
from tests.zookeeper import ZooKeeper, zookeeper_server  # noqa: F401  fixture

WEST = Cluster("west", {"zk": "zk1,zk2", "zk_port": 99, "scheduler_zk_path": "/aurora/scheduler", "scheduler_uri": "x"})


def member(**endpoints: tuple[str, int]) -> bytes:
    additional = {name: {"host": host, "port": port} for name, (host, port) in endpoints.items()}
    shown = {"serviceEndpoint": {"host": "h", "port": 1}, "additionalEndpoints": additional, "status": "ALIVE"}
    return json.dumps(shown | {"shard": 0}).encode()


class Ensemble:
    """Answers in order, the last one for ever."""

    def __init__(self, *answers: list[bytes] | str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def __call__(self, hosts: str, path: str) -> list[bytes]:
        self.asked.append((hosts, path))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise NotFound(answer)
        return answer


def leader(ensemble: Ensemble, world: World, said: io.StringIO | None = None) -> Leader:
    return Leader(WEST, Clock(lambda: world.now, world.sleep), Terminal(io.StringIO(), said or io.StringIO()), ensemble)


def test_https_is_preferred_and_zookeeper_goes_before_a_fixed_address() -> None:
    found = leader(Ensemble([member(http=("a", 1), https=("b", 2))]), World())
    assert found.url == "https://b:2/"


def test_the_leader_is_asked_for_once_until_it_is_doubted() -> None:
    ensemble = Ensemble([member(http=("a", 1))], [member(http=("b", 1))])
    found = leader(ensemble, World())
    assert [found.url, found.url] == ["http://a:1/"] * 2
    found.doubt()
    assert found.url == "http://b:1/"
    assert ensemble.asked == [("zk1:99,zk2:99", "/aurora/scheduler")] * 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([], "No schedulers detected in west!"),
        ([member()], "The scheduler that leads west tells neither an http nor an https address"),
        ([b"?"], "What /aurora/scheduler holds in ZooKeeper is no scheduler: "),
        ("Failed to connect to Zookeeper within 10 seconds.", "Failed to connect to Zookeeper within 10 seconds."),
    ],
)
def test_after_a_minute_without_leader_it_gives_up(answer: list[bytes] | str, told: str) -> None:
    world, said = World(), io.StringIO()
    with pytest.raises(CommandError, match="Timed out trying to connect to scheduler at west") as caught:
        _ = leader(Ensemble(answer), world, said).url
    assert caught.value.code is Exit.TIMEOUT
    assert world.slept == [5] * 12
    assert said.getvalue().count(f" WARN] Could not connect to scheduler: {told}") == 1


def test_a_leader_that_appears_within_the_minute_is_found() -> None:
    assert leader(Ensemble([], "no", [member(http=("a", 1))]), World()).url == "http://a:1/"


@pytest.fixture(scope="module")
def zookeeper(zookeeper_server: ZooKeeper) -> Iterator[KazooClient]:  # noqa: F811
    client = KazooClient(zookeeper_server.address)
    client.start()
    yield client
    client.stop()
    client.close()


def test_only_members_count_in_a_real_zookeeper(zookeeper: KazooClient, zookeeper_server: ZooKeeper) -> None:  # noqa: F811
    address = zookeeper_server.address
    assert members(address, "/nowhere") == ()
    zookeeper.ensure_path("/a/scheduler")
    zookeeper.create("/a/scheduler/singleton_candidate_0000000001", b"no")
    zookeeper.create("/a/scheduler/member_0000000012", b"leader")
    assert members(address, "/a/scheduler") == [b"leader"]


def test_a_new_leader_is_found_within_one_command(
    aurora: Runner,
    home: Path,
    world: World,
    zookeeper: KazooClient,
    zookeeper_server: ZooKeeper,  # noqa: F811
) -> None:
    with fake_scheduler.running() as old, fake_scheduler.running() as new:

        def lead(scheduler: fake_scheduler.FakeScheduler) -> None:
            port = int(scheduler.url.rpartition(":")[2])
            zookeeper.ensure_path("/b/scheduler")
            for name in zookeeper.get_children("/b/scheduler"):
                zookeeper.delete(f"/b/scheduler/{name}")
            zookeeper.create("/b/scheduler/member_", member(http=("127.0.0.1", port)), sequence=True)

        def abdicate(call: object) -> Http:
            lead(new)
            return Http(503, body=b"<html>nobody leads</html>")

        lead(old)
        old.on(GetJobs, abdicate)
        new.on(GetJobs, JOBS)
        folder = home / ".aurora"
        folder.mkdir()
        host, _, port = zookeeper_server.address.partition(":")
        settings = {"name": "west", "zk": host, "zk_port": int(port), "scheduler_zk_path": "/b/scheduler"}
        (folder / "clusters.json").write_text(json.dumps([settings]))
        ran = aurora("job", "list", "west/*")
        assert (ran.code, ran.out) == (0, f"{KEY}\n")
        assert world.slept == [5]
        assert aurora("job", "open", "west/bozo").out == f"{new.url}/scheduler/bozo\n"
