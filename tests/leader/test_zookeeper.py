"""Sessions with real servers, which are killed, stopped, and cut off."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from kazoo.security import ACL, Id, make_digest_acl_credential

from aurorad.leader.client import ZooKeeperSettings
from aurorad.leader.zookeeper import Session, SessionLost, ZooKeeper, ZooKeeperRefused
from aurorad.vars import Vars
from tests.leader.harness import SHORT_S, connected, nodes, until
from tests.zookeeper import Ensemble, Relay
from tests.zookeeper import ZooKeeper as Server

PATH = "/aurora/scheduler"


def entered(stats: Vars) -> Mapping[str, object]:
    """How often each state was entered, and which one it is."""
    shown = {name.removeprefix("zk_connection_state_"): value for name, value in stats.snapshot().items()}
    return {name: value for name, value in shown.items() if value}


async def lasts(zookeeper: ZooKeeper) -> str:
    """Until the present session is over: why."""
    session = await zookeeper.session()
    with pytest.raises(SessionLost) as lost, session.lasting():
        await trio.sleep_forever()
    return str(lost.value)


async def test_a_connection_shows_in_the_statistics(zookeeper: Server) -> None:
    stats = Vars()
    async with connected(zookeeper.address, stats=stats) as session:
        await session.session()
        assert entered(stats) == {"CONNECTED": 1, "CONNECTED_counter": 1}


async def test_the_ensemble_decides_how_long_a_session_lasts(zookeeper: Server) -> None:
    async with connected(zookeeper.address, session_timeout_s=100) as session:
        assert (await session.session()).timeout_s == 20
    async with connected(zookeeper.address, session_timeout_s=0.1) as session:
        assert (await session.session()).timeout_s == 0.4


async def test_another_session_follows_one_that_expired(zookeeper: Server) -> None:
    stats = Vars()
    async with connected(zookeeper.address, stats=stats) as session:
        first = await session.session()
        zookeeper.expire(first.id)
        assert await lasts(session) == "it has expired"
        assert (await session.session()).id != first.id
        states = ("CONNECTED", "SUSPENDED", "RECONNECTED", "LOST")
        assert entered(stats) == {"RECONNECTED": 1, **{f"{state}_counter": 1 for state in states}}


async def test_a_session_lives_on_at_another_server_when_its_own_is_killed(ensemble: Ensemble) -> None:
    async with connected(*ensemble.addresses, stats=(stats := Vars())) as session:
        before = await session.session()
        name = await session.hold(before, PATH, "n", b"")
        _server_of(ensemble, session).stop()
        await until(lambda: bool(stats.get("zk_connection_state_RECONNECTED")))
        assert await session.session() is before
        assert (await session.children(PATH))[0] == [name]
        assert await session.hold(before, PATH, "n", b"") == name


async def test_a_session_leaves_a_server_that_stands_still_in_time(ensemble: Ensemble) -> None:
    async with connected(*ensemble.addresses, stats=(stats := Vars()), session_timeout_s=6) as session:
        before = await session.session()
        with _server_of(ensemble, session).frozen():
            await until(lambda: bool(stats.get("zk_connection_state_RECONNECTED")))
            assert await session.session() is before
            assert (await session.children(PATH))[0] == []


def _server_of(ensemble: Ensemble, session: ZooKeeper) -> Server:
    port = session._client._connection._socket.getpeername()[1]
    return next(server for server in ensemble.servers if server.port == port)


async def test_without_a_word_for_its_whole_time_a_session_is_over(zookeeper: Server) -> None:
    with Relay(zookeeper) as relay:
        async with connected(relay.address, stats=(stats := Vars()), session_timeout_s=SHORT_S) as session:
            first = await session.session()
            with relay.still():
                why = f"there was no word from ZooKeeper for the session's whole time of {SHORT_S:g} s"
                assert await lasts(session) == why
                assert stats.get("zk_connection_state_LOST") == 1
            assert await session.session() is not first


async def test_a_session_outlives_a_short_time_without_connection(zookeeper: Server) -> None:
    with Relay(zookeeper) as relay:
        async with connected(relay.address, stats=(stats := Vars())) as session:
            first = await session.session()

            def reconnected(times: int) -> bool:
                return stats.get("zk_connection_state_RECONNECTED_counter") == times

            for times in range(1, 4):
                relay.cut()
                await until(partial(reconnected, times))
            assert await session.session() is first


async def test_a_node_whose_making_was_not_answered_is_found_again(zookeeper: Server) -> None:
    with Relay(zookeeper) as relay, zookeeper.client() as witness:
        async with connected(relay.address) as session:
            mine = await session.session()
            await session.children(PATH)
            ask, stalled = session._ask, contextlib.ExitStack()

            async def ask_without_answer(request: str, *args: Any, **kwargs: Any) -> Any:
                if request == "create":
                    session._ask = ask  # type: ignore[method-assign]
                    stalled.enter_context(relay.still(up=False))
                return await ask(request, *args, **kwargs)

            session._ask = ask_without_answer  # type: ignore[method-assign]
            async with trio.open_nursery() as nursery:
                held = _Held(session, mine)
                nursery.start_soon(held.run)
                await until(lambda: bool(nodes(witness, PATH)))
                relay.cut()
                stalled.close()
            assert nodes(witness, PATH) == {held.name: b"data"}


class _Held:
    name = ""

    def __init__(self, zookeeper: ZooKeeper, session: Session) -> None:
        self._zookeeper, self._session = zookeeper, session

    async def run(self) -> None:
        self.name = await self._zookeeper.hold(self._session, PATH, "n-", b"data")


async def test_what_a_cancelled_request_has_made_is_released(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with connected(zookeeper.address) as session:
            mine = await session.session()
            await session.children(PATH)
            ask = session._ask

            async def ask_and_leave(request: str, *args: Any, **kwargs: Any) -> Any:
                if request == "create":
                    scope.cancel()
                return await ask(request, *args, **kwargs)

            session._ask = ask_and_leave  # type: ignore[method-assign]
            with trio.CancelScope() as scope:
                await session.hold(mine, PATH, "n-", b"")
            assert scope.cancelled_caught
            await session.release(mine, PATH, "n-")
            assert nodes(witness, PATH) == {}


async def test_what_is_held_is_missed_when_somebody_deletes_it(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with connected(zookeeper.address) as session:
            mine = await session.session()
            name = await session.hold(mine, PATH, "n-", b"")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.held, mine, f"{PATH}/{name}")
                await trio.testing.wait_all_tasks_blocked()
                witness.delete(f"{PATH}/{name}")
            assert await session.hold(mine, PATH, "n-", b"") != name


async def test_paths_are_below_the_chroot_which_is_made(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with connected(zookeeper.address, chroot="/some/where") as session:
            name = await session.hold(await session.session(), PATH, "n-", b"data")
            assert nodes(witness, f"/some/where{PATH}") == {name: b"data"}
            assert (await session.children(PATH))[0] == [name]
            assert await session.get(f"{PATH}/{name}") == b"data"


async def test_without_credentials_everybody_may_do_everything(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with connected(zookeeper.address) as session:
            name = await session.hold(await session.session(), PATH, "n-", b"")
            for path in ("/aurora", PATH, f"{PATH}/{name}"):
                assert witness.get_acls(path)[0] == [ACL(31, Id("world", "anyone"))]


async def test_with_credentials_everybody_may_read_and_the_creator_do_everything(zookeeper: Server) -> None:
    with zookeeper.client() as witness, zookeeper.client(("digest", "aurora:secret")) as creator:
        async with connected(zookeeper.address, credentials="aurora:secret") as session:
            name = await session.hold(await session.session(), PATH, "n-", b"data")
            owner = ACL(31, Id("digest", make_digest_acl_credential("aurora", "secret")))
            for path in ("/aurora", PATH, f"{PATH}/{name}"):
                assert creator.get_acls(path)[0] == [ACL(1, Id("world", "anyone")), owner]
            assert nodes(witness, PATH) == {name: b"data"}
        async with connected(zookeeper.address, credentials="aurora:guess") as stranger:
            with pytest.raises(ZooKeeperRefused, match=f"^ZooKeeper refuses create {PATH}/n-: NoAuthError$"):
                await stranger.hold(await stranger.session(), PATH, "n-", b"")


@pytest.mark.parametrize("level", [logging.DEBUG, 1])
async def test_no_log_has_the_credentials(zookeeper: Server, caplog: pytest.LogCaptureFixture, level: int) -> None:
    caplog.set_level(level)
    async with connected(zookeeper.address, credentials="aurora:secret") as session:
        await session.hold(await session.session(), PATH, "n-", b"")
    assert "kazoo: Zookeeper connection established" in caplog.text
    assert "secret" not in caplog.text
    assert "secret" not in repr(ZooKeeperSettings(("h:1",), credentials="aurora:secret"))


async def test_an_ensemble_that_is_not_there_is_told_of_and_tried_again(
    zookeeper: Server, caplog: pytest.LogCaptureFixture
) -> None:
    zookeeper.stop()
    try:
        async with connected(zookeeper.address, connection_timeout_s=0.2) as session:
            await until(lambda: "trying on" in caplog.text)
            assert f"no connection to ZooKeeper at {zookeeper.address} for 0.2 s" in caplog.text
            zookeeper.start()
            await session.session()
    finally:
        zookeeper.restart()


async def test_a_server_that_takes_connections_and_says_nothing_is_passed_over(zookeeper: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for _ in range(3):  # tried in any order
            async with connected(
                zookeeper.address, f"127.0.0.1:{silent.getsockname()[1]}", session_timeout_s=1
            ) as session:
                await session.session()


async def test_leaving_ends_the_session_at_once(zookeeper: Server) -> None:
    with zookeeper.client() as witness:
        async with connected(zookeeper.address, session_timeout_s=20) as session:
            mine = await session.session()
            await session.hold(mine, PATH, "n-", b"")
        assert nodes(witness, PATH) == {}
        assert mine.why_over == "this process left"


@pytest.mark.parametrize("cut_off", ["still", "never there"])
async def test_leaving_a_server_that_does_not_answer_is_a_matter_of_moments(zookeeper: Server, cut_off: str) -> None:
    with Relay(zookeeper) as relay, contextlib.ExitStack() as stack:
        if cut_off == "never there":
            stack.enter_context(relay.still())
        async with connected(relay.address, session_timeout_s=20) as session:
            if cut_off == "still":
                await session.session()
                stack.enter_context(relay.still())
            began = trio.current_time()
        assert trio.current_time() - began < 10


async def test_the_end_of_kazoos_threads_is_no_silent_one(zookeeper: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("broken down")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="broken down"), flatten_subgroups=True):
        async with connected(zookeeper.address) as session:
            await session.session()
            monkeypatch.setattr(session._client._connection, "_read_socket", break_down)
            await trio.sleep_forever()
