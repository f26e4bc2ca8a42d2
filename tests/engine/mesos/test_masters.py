from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from kazoo.security import make_digest_acl

from aurorad.engine.mesos.masters import Address, Masters, address_in, leader_in, masters_at
from tests.zookeeper import PATIENCE_S, Relay, ZooKeeper

ONE, TWO, THREE = Address("10.0.0.1", 5050), Address("10.0.0.2", 5050), Address("10.0.0.3", 5050)


def info(address: Address) -> bytes:
    """What a master writes of itself."""
    more = {"id": "x", "ip": 1, "pid": f"master@{address}", "port": address.port, "hostname": "m", "version": "1.11.0"}
    return json.dumps({"address": {"hostname": "m", "ip": address.host, "port": address.port}, **more}).encode()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:5050", ONE),
        ("//10.0.0.1:5050/master/api/v1/scheduler", ONE),
        ("http://10.0.0.1:5050/api/v1/scheduler", ONE),
        ("[::1]:5050", Address("::1", 5050)),
        ("//[::1]:5050/api", Address("::1", 5050)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert address_in(text) == address
    assert address_in(str(address)) == address


@pytest.mark.parametrize("text", ["", "/master", "host", "host:port", "user@host:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        address_in(text)


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (info(ONE), ONE),
        (b'{"address": {"hostname": "m", "port": 5050}}', Address("m", 5050)),
        (b'{"address": {"port": 5050}}', None),
        (b'{"pid": "master@1.2.3.4:5050"}', None),
        (b"\x0a\x05", None),
    ],
)
def test_the_address_in_a_masters_node(data: bytes, address: Address | None) -> None:
    assert leader_in(data) == address


@asynccontextmanager
async def asking(text: str) -> AsyncIterator[Masters]:
    with trio.fail_after(PATIENCE_S):
        async with masters_at(text) as masters:
            yield masters


async def test_listed_masters_take_turns() -> None:
    async with asking("10.0.0.1:5050,10.0.0.2:5050") as masters:
        assert [await masters.leader() for _ in range(3)] == [ONE, TWO, ONE]


async def test_the_lowest_node_leads_and_the_next_after_it(zookeeper: ZooKeeper) -> None:
    with zookeeper.client() as client:
        client.ensure_path("/mesos/log_replicas")
        async with asking(f"zk://{zookeeper.address}/mesos") as masters:
            for number, address in [(7, ONE), (10, TWO), (12, THREE)]:
                client.create(f"/mesos/json.info_{number:010}", info(address))
            client.create("/mesos/info_0000000001", b"of an older Mesos")
            assert await masters.leader() == ONE
            async with trio.open_nursery() as nursery:
                nursery.start_soon(masters.another, ONE)
                client.delete("/mesos/json.info_0000000010")
                await trio.sleep(0.1)
                assert nursery.child_tasks
                client.delete("/mesos/json.info_0000000007")
            assert await masters.leader() == THREE


async def test_a_leader_is_waited_for_and_nothing_is_made_meanwhile(zookeeper: ZooKeeper) -> None:
    found: list[Address] = []

    async def find(masters: Masters) -> None:
        found.append(await masters.leader())

    with zookeeper.client() as client:
        async with asking(f"zk://{zookeeper.address}/some/mesos") as masters, trio.open_nursery() as nursery:
            nursery.start_soon(find, masters)
            await trio.sleep(0.2)
            assert client.exists("/some") is None
            client.ensure_path("/some/mesos")
            await trio.sleep(0.1)
            client.create("/some/mesos/json.info_0000000001", b"nobody")
            await trio.sleep(0.1)
            assert found == []
            client.delete("/some/mesos/json.info_0000000001")
            client.create("/some/mesos/json.info_0000000002", info(ONE))
    assert found == [ONE]


async def test_a_lost_connection_to_zookeeper_is_made_again(zookeeper: ZooKeeper) -> None:
    with zookeeper.client() as client, Relay(zookeeper) as relay:
        client.ensure_path("/mesos")
        client.create("/mesos/json.info_0000000001", info(ONE))
        async with asking(f"zk://{relay.address}/mesos") as masters:
            assert await masters.leader() == ONE
            async with trio.open_nursery() as nursery:
                nursery.start_soon(masters.another, ONE)
                await trio.sleep(0.1)
                relay.cut()
                client.delete("/mesos/json.info_0000000001")
                client.create("/mesos/json.info_0000000002", info(TWO))
            assert await masters.leader() == TWO


async def test_zookeeper_may_want_credentials(zookeeper: ZooKeeper) -> None:
    with zookeeper.client(("digest", "user:pass@word")) as client:
        acl = [make_digest_acl("user", "pass@word", all=True)]
        client.create("/secret", b"", acl)
        client.create("/secret/json.info_0000000001", info(ONE), acl)
        async with asking(f"zk://user:pass@word@{zookeeper.address}/secret") as masters:
            assert await masters.leader() == ONE
