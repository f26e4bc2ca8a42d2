"""The log's group with real servers."""

from __future__ import annotations

from contextlib import aclosing

import trio

from aurorad.leader.group import Group
from tests.leader.harness import connected, nodes, until
from tests.zookeeper import Ensemble
from tests.zookeeper import ZooKeeper as Server

PATH = "/aurora/replicated-log"


async def test_members_find_each_other(ensemble: Ensemble) -> None:
    addresses = [f"10.0.0.{n}:5050" for n in range(3)]
    async with (
        connected(*ensemble.addresses) as a,
        connected(*ensemble.addresses) as b,
        connected(*ensemble.addresses) as c,
        trio.open_nursery() as nursery,
    ):
        for address, session in zip(addresses, (a, b, c), strict=True):
            await nursery.start(Group(session, PATH).stay, address)
        async with aclosing(Group(a, PATH).members()) as changes:
            async for members in changes:
                if members == frozenset(addresses):
                    break
        nursery.cancel_scope.cancel()


async def test_a_member_is_a_numbered_node_with_its_address(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with connected(zookeeper.address) as session, trio.open_nursery() as nursery:
            await session.children(PATH)
            nursery.start_soon(Group(session, PATH).stay, "[::1]:5050")
            await until(lambda: nodes(witness, PATH) == {"0000000000": b"log-replica(1)@[::1]:5050"})
            nursery.cancel_scope.cancel()


async def test_membership_is_renewed_when_the_session_expires_or_the_node_is_deleted(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with connected(zookeeper.address) as session, trio.open_nursery() as nursery:
            await session.children(PATH)
            nursery.start_soon(Group(session, PATH).stay, "h:1")
            await until(lambda: list(nodes(witness, PATH)) == ["0000000000"])
            zookeeper.expire((await session.session()).id)
            await until(lambda: list(nodes(witness, PATH)) == ["0000000001"])
            witness.delete(f"{PATH}/0000000001")
            await until(lambda: list(nodes(witness, PATH)) == ["0000000002"])
            nursery.cancel_scope.cancel()


async def test_changes_are_told_and_what_is_no_member_is_not(zookeeper: Server) -> None:
    with zookeeper.client() as other:
        async with connected(zookeeper.address) as session:
            members = Group(session, PATH).members()
            assert await anext(members) == frozenset()
            other.create(f"{PATH}/label_0000000000", b"log-replica(1)@h:1")
            other.create(f"{PATH}/0000000001", b"\xff@h:2")
            other.create(f"{PATH}/0000000002", b"log-replica(1)@")
            other.create(f"{PATH}/0000000003", b"log-replica(1)@h:3")
            assert await anext(members) == frozenset({"h:3"})
            other.create(f"{PATH}/0000000004", b"log-replica(1)@h:4")
            assert await anext(members) == frozenset({"h:3", "h:4"})
            other.delete(f"{PATH}/0000000003")
            assert await anext(members) == frozenset({"h:4"})
            await members.aclose()
