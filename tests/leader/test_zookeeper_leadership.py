"""Elections among several candidates with real servers."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from aurorad.leader.face import Defeated, Leader, Leadership
from aurorad.leader.zookeeper import ZooKeeper
from aurorad.leader.zookeeper_leadership import ZooKeeperLeadership
from tests.leader.harness import SHORT_S, connected, nodes, until
from tests.zookeeper import PATIENCE_S, Ensemble, Relay
from tests.zookeeper import ZooKeeper as Server

PATH = "/aurora/scheduler"
GUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
LOCK = re.compile(r"_c_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-lock-\d{10}")


class Candidate:
    def __init__(self, leadership: ZooKeeperLeadership, session: ZooKeeper) -> None:
        self.leadership = leadership
        self.session = session

    async def session_id(self) -> int:
        return (await self.session.session()).id


@asynccontextmanager
async def candidate(
    *endpoints: str, host: str = "host.example", port: int = 8081, new_uuid: Any = uuid.uuid4, **settings: Any
) -> AsyncIterator[Candidate]:
    async with connected(*endpoints, **settings) as session, trio.open_nursery() as nursery:
        leadership = ZooKeeperLeadership(session, PATH, host, port, new_uuid=new_uuid)
        _follows_the_face: Leadership = leadership
        await nursery.start(leadership.run)
        yield Candidate(leadership, session)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def candidates(*endpoints: str, count: int = 3, **settings: Any) -> AsyncIterator[list[Candidate]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(candidate(*endpoints, host=f"host{n}", **settings)) for n in range(count)
        ]


async def test_nodes_and_data_are_as_curator_and_serversets_have_them(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with candidate(zookeeper.address, new_uuid=lambda: GUID) as one:
            await one.leadership.elected()
            lock = "_c_12345678-1234-5678-1234-567812345678-lock-0000000000"
            assert nodes(witness, PATH) == {lock: b"host.example"}
            await one.leadership.advertise()
            assert nodes(witness, PATH) == {
                lock: b"host.example",
                "member_0000000001": b'{"serviceEndpoint":{"host":"host.example","port":8081},'
                b'"additionalEndpoints":{"http":{"host":"host.example","port":8081}},"status":"ALIVE"}',
            }
            for name in (lock, "member_0000000001"):
                assert witness.exists(f"{PATH}/{name}").ephemeralOwner == await one.session_id()


async def test_candidates_lead_in_the_order_in_which_they_stood(ensemble: Ensemble) -> None:
    async with candidates(*ensemble.addresses) as all_:
        order: list[int] = []

        async def stand(n: int) -> None:
            await all_[n].leadership.elected()
            order.append(n)

        with ensemble.client() as witness:

            def stands(n: int) -> bool:
                return f"host{n}".encode() in nodes(witness, PATH).values()

            def leads(n: int) -> bool:
                return order[-1:] == [n]

            async with trio.open_nursery() as nursery:
                for n in (1, 2, 0):
                    nursery.start_soon(stand, n)
                    await until(partial(stands, n))
                for n in (1, 2, 0):
                    await until(partial(leads, n))
                    assert [one.leadership.leads for one in all_] == [m == n for m in range(3)]
                    await all_[n].leadership.withdraw()
            assert order == [1, 2, 0]
            assert nodes(witness, PATH) == {}


async def test_everybody_knows_the_leader_once_it_is_advertised(ensemble: Ensemble) -> None:
    async with candidates(*ensemble.addresses) as (leader, *others):
        await leader.leadership.elected()
        assert leader.leadership.leaders == ()
        await leader.leadership.advertise()
        assert leader.leadership.is_advertised
        expected = (Leader("host0", 8081, {"http": ("host0", 8081)}),)
        await until(lambda: all(one.leadership.leaders == expected for one in (leader, *others)))
        assert not any(one.leadership.is_advertised for one in others)
        await leader.leadership.withdraw()
        await until(lambda: all(one.leadership.leaders == () for one in (leader, *others)))


async def test_members_that_cannot_be_read_are_ignored(zookeeper: Server) -> None:
    with zookeeper.client() as other:
        async with candidate(zookeeper.address) as one:
            await one.session.children(PATH)
            other.create(f"{PATH}/member_x", b"{")
            other.create(f"{PATH}/unlike_a_member", b'{"serviceEndpoint":{"host":"a","port":1}}')
            other.create(f"{PATH}/member_y", b'{"serviceEndpoint":{"host":"b","port":2}}')
            await until(lambda: one.leadership.leaders == (Leader("b", 2, {}),))


async def test_what_a_process_that_was_killed_has_left_does_not_make_its_successor_a_leader(zookeeper: Server) -> None:
    async with candidate(zookeeper.address) as killed:
        await killed.leadership.elected()
        await killed.leadership.advertise()
        async with candidate(zookeeper.address) as successor, candidate(zookeeper.address, host="other") as other:
            await until(lambda: len(other.leadership.leaders) == 1)
            await successor.leadership._look()
            assert successor.leadership.leaders == ()
            assert not successor.leadership.is_advertised


async def test_a_leader_whose_session_expired_is_defeated_and_the_next_one_leads(ensemble: Ensemble) -> None:
    async with candidates(*ensemble.addresses, count=2) as (first, second):
        await first.leadership.elected()
        await first.leadership.advertise()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.leadership.elected)
            await until(lambda: second.leadership.leaders != ())
            ensemble.servers[0].expire(await first.session_id())
            why = await first.leadership.defeated()
            assert why == "the ZooKeeper session is lost: it has expired"
        assert [one.leadership.leads for one in (first, second)] == [False, True]
        with pytest.raises(Defeated):
            await first.leadership.advertise()


async def test_a_leader_cannot_be_advertised_when_its_session_is_over(zookeeper: Server) -> None:
    async with candidate(zookeeper.address) as one:
        await one.leadership.elected()
        zookeeper.expire(await one.session_id())
        await until(lambda: not one.leadership.leads)
        with pytest.raises(Defeated, match=r"^the ZooKeeper session is lost: it has expired$"):
            await one.leadership.advertise()
        assert await one.leadership.defeated() == "the ZooKeeper session is lost: it has expired"


async def test_a_leader_that_is_cut_off_is_defeated_before_another_is_elected(ensemble: Ensemble) -> None:
    with Relay(ensemble.servers[0]) as relay:
        async with (
            candidate(relay.address, session_timeout_s=SHORT_S) as leader,
            candidate(*ensemble.addresses, session_timeout_s=SHORT_S) as other,
        ):
            await leader.leadership.elected()
            ends: list[str] = []

            async def note(what: str, *waits: Any) -> None:
                for wait in waits:
                    await wait()
                ends.append(what)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(note, "elected", other.leadership.elected)
                nursery.start_soon(note, "defeated", leader.leadership.defeated)
                with ensemble.client() as witness:
                    await until(lambda: len(nodes(witness, PATH)) == 2)
                with relay.still():
                    await until(lambda: len(ends) == 2)
            assert ends == ["defeated", "elected"]


async def test_short_losses_of_the_connection_are_tolerated(zookeeper: Server) -> None:
    with Relay(zookeeper) as relay:
        async with candidate(relay.address) as leader:
            await leader.leadership.elected()
            await leader.leadership.advertise()
            with trio.move_on_after(1):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(leader.leadership.defeated)
                    for _ in range(3):
                        relay.cut()
                        await leader.session.children(PATH)
            zookeeper.restart()
            await until(lambda: leader.leadership.is_advertised)
            assert leader.leadership.leads


async def test_a_candidate_stands_anew_after_it_lost_its_session(zookeeper: Server) -> None:
    with zookeeper.client() as witness:

        def are_two_others(before: dict[str, bytes]) -> bool:
            now = nodes(witness, PATH)
            return len(now) == 2 and now != before

        async with candidates(zookeeper.address, count=2) as (leader, other):
            await leader.leadership.elected()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other.leadership.elected)
                for _ in range(2):
                    await until(lambda: len(nodes(witness, PATH)) == 2)
                    before = nodes(witness, PATH)
                    zookeeper.expire(await other.session_id())
                    await until(partial(are_two_others, before))
                await leader.leadership.withdraw()
            assert other.leadership.leads


async def test_a_leader_whose_place_somebody_deletes_is_defeated(zookeeper: Server) -> None:
    with zookeeper.client() as operator:
        async with candidates(zookeeper.address, count=2) as (leader, other):
            await leader.leadership.elected()
            (lock,) = nodes(operator, PATH)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other.leadership.elected)
                await until(lambda: len(nodes(operator, PATH)) == 2)
                operator.delete(f"{PATH}/{lock}")
                assert await leader.leadership.defeated() == f"{PATH}/{lock} was deleted"
                assert not leader.leadership.leads


async def test_a_leader_whose_member_node_somebody_deletes_is_advertised_anew(zookeeper: Server) -> None:
    with zookeeper.client() as operator:
        async with candidate(zookeeper.address) as leader:
            await leader.leadership.elected()
            await leader.leadership.advertise()
            (member,) = [name for name in nodes(operator, PATH) if name.startswith("member_")]
            operator.delete(f"{PATH}/{member}")
            await until(lambda: sum(name.startswith("member_") for name in nodes(operator, PATH)) == 1)


async def test_who_withdrew_while_it_waited_stands_no_more(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with candidates(zookeeper.address, count=2) as (leader, other):
            await leader.leadership.elected()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other.leadership.elected)
                await until(lambda: len(nodes(witness, PATH)) == 2)
                nursery.cancel_scope.cancel()
            await other.leadership.withdraw()
            assert list(nodes(witness, PATH).values()) == [b"host0"]
            await leader.leadership.withdraw()
            await other.leadership.elected()


@pytest.fixture
def cut_off(zookeeper: Server) -> Iterator[Relay]:
    with Relay(zookeeper) as relay, relay.still():
        yield relay


async def test_withdrawing_without_a_connection_takes_a_moment_only(cut_off: Relay) -> None:
    async with candidate(cut_off.address) as one:
        with trio.fail_after(PATIENCE_S / 4):
            await one.leadership.withdraw()


async def test_lock_nodes_have_a_guid_of_their_own(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with candidates(zookeeper.address) as all_, trio.open_nursery() as nursery:
            for one in all_:
                nursery.start_soon(one.leadership.elected)
            await until(lambda: len(nodes(witness, PATH)) == 3)
            assert all(LOCK.fullmatch(name) for name in nodes(witness, PATH))
            nursery.cancel_scope.cancel()
