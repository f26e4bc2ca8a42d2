"""Announcing in a real ZooKeeper. No test waits for a time to pass: all wait for what the server or the log says."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NoNodeError
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl

from tests.executor.announcing import PATH, Announcing, Orders
from tests.zookeeper import PATIENCE_S, Relay, ZooKeeper, children_when

USER, STRANGER = ("digest", "user:secret"), ("digest", "stranger:word")
ALL_BUT_ADMIN = {"read": True, "write": True, "create": True, "delete": True}


@pytest.fixture
def client(zookeeper: ZooKeeper) -> Iterator[KazooClient]:
    with zookeeper.client() as client:
        yield client


def members(client: KazooClient, but: str | None = None) -> list[str]:
    """The members, as soon as there are some, and not that one."""
    return children_when(client, PATH, lambda names: bool(names) and but not in names)


def nobody_left(client: KazooClient) -> None:
    children_when(client, PATH, lambda names: not names)


def owner(client: KazooClient, member: str) -> int:
    stat = client.exists(f"{PATH}/{member}")
    assert stat is not None
    return int(stat.owner_session_id)


def test_a_member_is_an_ephemeral_sequential_node_and_gone_with_its_announcer(
    zookeeper: ZooKeeper, client: KazooClient
) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        assert members(client) == ["member_0000000000"]
        data, stat = client.get(f"{PATH}/member_0000000000")
        assert json.loads(data) == {
            "serviceEndpoint": {"host": "host.example", "port": 31000},
            "additionalEndpoints": {
                "http": {"host": "host.example", "port": 31000},
                "aurora": {"host": "host.example", "port": 31000},
                "admin": {"host": "host.example", "port": 31001},
            },
            "status": "ALIVE",
            "shard": 3,
        }
        assert stat.owner_session_id is not None
        announcing.until(f"Announced as {PATH}/member_0000000000")
        assert "helpers: []" in announcing.stop()
        assert client.get_children(PATH) == []  # it is gone before its announcer is


def test_a_member_whose_session_expired_joins_again(zookeeper: ZooKeeper, client: KazooClient) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        (first,) = members(client)
        announcing.until("Announced as")
        zookeeper.expire(owner(client, first))
        announcing.until("Not announced any more: SessionExpiredError")
        assert members(client, but=first) == ["member_0000000001"]


def test_a_member_whose_node_was_deleted_joins_again(zookeeper: ZooKeeper, client: KazooClient) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        (first,) = members(client)
        announcing.until("Announced as")
        client.delete(f"{PATH}/{first}")
        announcing.until(f"Not announced any more: {PATH}/{first} was deleted")
        assert members(client, but=first) == ["member_0000000001"]


def test_a_node_of_the_same_name_that_is_anothers_is_no_membership(zookeeper: ZooKeeper, client: KazooClient) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        members(client)
        announcing.until("Announced as")
        with client.transaction() as replaced:  # as if the path had been removed, and another had joined since
            replaced.delete(f"{PATH}/member_0000000000")
            replaced.create(f"{PATH}/member_0000000000", b"another's", ephemeral=True)
        announcing.until("was deleted")
        assert children_when(client, PATH, lambda names: len(names) == 2)[0] == "member_0000000000"


def test_a_member_outlives_its_connection(zookeeper: ZooKeeper, client: KazooClient) -> None:
    with Relay(zookeeper) as relay, Announcing(Orders(relay.address)) as announcing:
        (first,) = members(client)
        announcing.until("Announced as")
        relay.cut()
        announcing.until("The connection to ZooKeeper is lost")
        announcing.until("Connected to ZooKeeper.")
        assert members(client) == [first]
        client.delete(f"{PATH}/{first}")  # it still watches its node
        announcing.until("was deleted")
        members(client, but=first)


def test_a_server_that_restarts_has_its_member_again(zookeeper: ZooKeeper) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        announcing.until("Announced as")
        zookeeper.restart()
        announcing.until("The connection to ZooKeeper is lost")
        announcing.until("Connected to ZooKeeper.")
        with zookeeper.client() as client:
            (member,) = children_when(client, PATH, lambda names: len(names) == 1)
            with contextlib.suppress(NoNodeError):  # its session may have expired meanwhile
                client.delete(f"{PATH}/{member}")
            members(client, but=member)


def test_a_member_that_was_stopped_longer_than_its_session_joins_again(
    zookeeper: ZooKeeper, client: KazooClient
) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        (first,) = members(client)
        announcing.until("Announced as")
        pid = announcing.member()
        os.kill(pid, signal.SIGSTOP)
        zookeeper.expire(owner(client, first))
        nobody_left(client)
        os.kill(pid, signal.SIGCONT)
        assert members(client) != [first]


def test_without_a_server_the_task_fails_in_time(zookeeper: ZooKeeper) -> None:
    zookeeper.stop()
    try:
        with Announcing(Orders(zookeeper.address, connect_limit_s=0.5)) as announcing:
            announcing.until("ended: Creating Announcer Serverset timed out.")
    finally:
        zookeeper.start()


def test_a_server_that_answers_nobody_is_none(zookeeper: ZooKeeper) -> None:
    with zookeeper.frozen(), Announcing(Orders(zookeeper.address, connect_limit_s=0.5)) as announcing:
        announcing.until("ended: Creating Announcer Serverset timed out.")


def test_an_announcer_leaves_a_server_that_answers_nobody(zookeeper: ZooKeeper) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        announcing.until("Announced as")
        with zookeeper.frozen():
            assert "helpers: []" in announcing.stop()
        with zookeeper.client() as client:
            nobody_left(client)


def test_a_server_that_comes_in_time_is_used(zookeeper: ZooKeeper) -> None:
    zookeeper.stop()
    with Announcing(Orders(zookeeper.address)) as announcing:
        zookeeper.start()
        announcing.until("Announced as")


def test_who_cannot_join_tries_again(zookeeper: ZooKeeper, client: KazooClient) -> None:
    client.add_auth(*USER)
    client.create(PATH, acl=[make_digest_acl("user", "secret", all=True)], makepath=True)
    with Announcing(Orders(zookeeper.address)) as announcing:
        announcing.until("Failed to join ServerSet: NoAuthError")
        announcing.until("Failed to join ServerSet: NoAuthError")
        client.set_acls(PATH, [make_digest_acl("user", "secret", all=True), *OPEN_ACL_UNSAFE])
        members(client)


def test_a_process_that_dies_is_replaced(zookeeper: ZooKeeper, client: KazooClient) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        (first,) = members(client)
        announcing.until("Announced as")
        os.kill(announcing.member(), signal.SIGKILL)
        announcing.until("ended without a word")
        zookeeper.expire(owner(client, first))
        children_when(client, PATH, lambda names: names == ["member_0000000001"])


def test_a_member_does_not_heed_the_signals_that_end_tasks(zookeeper: ZooKeeper, client: KazooClient) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        (first,) = members(client)
        announcing.until("Announced as")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(announcing.member(), number)
        client.delete(f"{PATH}/{first}")
        announcing.until("was deleted")


def test_an_executor_that_dies_takes_its_member_with_it(zookeeper: ZooKeeper, client: KazooClient) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        members(client)
        pidfd = os.pidfd_open(announcing.member())
        announcing.process.kill()
        nobody_left(client)
        assert select.select([pidfd], [], [], PATIENCE_S)[0], "it lives on"
        os.close(pidfd)


def open_files(process: Path) -> set[str]:
    names = set()
    for link in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            names.add(link.readlink().name)
    assert names
    return names


def test_an_announcer_holds_no_file_but_its_own_and_no_rights(zookeeper: ZooKeeper) -> None:
    with Announcing(Orders(zookeeper.address)) as announcing:
        announcing.until("Announced as")
        member = Path(f"/proc/{announcing.member()}")
        assert {name.partition(":")[0] for name in open_files(member)} <= {"null", "socket", "anon_inode"}
        assert (member / "comm").read_text() == "aurora-announce\n"
        status = dict(line.split(":", 1) for line in (member / "status").read_text().splitlines())
        if os.geteuid() == 0:
            assert set(status["Uid"].split()) == {"65534"}
            assert status["Groups"].split() == []
            assert int(status["CapEff"], 16) == 0


@pytest.fixture
def auth_file(tmp_path: Path) -> str:
    scheme, credential = USER
    everything = {"scheme": scheme, "credential": credential, "permissions": ALL_BUT_ADMIN}
    reading = {"scheme": "world", "credential": "anyone", "permissions": {"read": True}}
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auth": [{"scheme": scheme, "credential": credential}], "acl": [everything, reading]}))
    return str(path)


def test_who_is_not_in_the_acl_can_read_and_not_change(
    zookeeper: ZooKeeper, client: KazooClient, auth_file: str
) -> None:
    with Announcing(Orders(zookeeper.address, auth_file)) as announcing:
        (member,) = members(client)
        assert client.get(f"{PATH}/{member}")[0]
        for stranger in ((), (STRANGER,)):
            with zookeeper.client(*stranger) as other:
                with pytest.raises(NoAuthError):
                    other.delete(f"{PATH}/{member}")
                for parent in ("/aurora", "/aurora/role", "/aurora/role/test", PATH):
                    with pytest.raises(NoAuthError):
                        other.create(f"{parent}/intruder")
        with zookeeper.client(USER) as own:
            own.delete(f"{PATH}/{member}")
        announcing.until("was deleted")
        members(client, but=member)
        announcing.stop()
        nobody_left(client)


def test_credentials_are_in_no_log_and_no_command_line(zookeeper: ZooKeeper, auth_file: str) -> None:
    with Announcing(Orders(zookeeper.address, auth_file)) as announcing:
        announcing.until("Announced as")
        for pid in (announcing.process.pid, announcing.member()):
            assert b"secret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert "secret" not in announcing.log + announcing.stop()
