from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aurorad.log import dialling, hello, peers
from aurorad.log.certificates import Certificates
from aurorad.log.hello import Hello
from aurorad.log.messages import NOBODY, Fetch, Fetched, Message, Peer, Placed
from aurorad.log.peers import TcpPeers
from aurorad.vars import Vars
from tests.log.certificates import Authority
from tests.log.proxy import Proxy, address
from tests.waiting import until


class Member:
    """Peers that remember what they are told."""

    def __init__(self, tcp: TcpPeers, stats: Vars) -> None:
        self.tcp = tcp
        self.stats = stats
        self.heard: list[tuple[str, Message]] = []
        self.met: dict[str, Peer] = {}
        self.gate: trio.Event | None = None
        """What those who deliver wait for."""

    @property
    def me(self) -> str:
        return self.tcp.me

    async def run(self) -> None:
        await self.tcp.run(self._deliver, self.met.__setitem__)

    async def _deliver(self, sender: str, message: Message, size: int) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.heard.append((sender, message))

    def count(self, what: str) -> object:
        return self.stats.get(f"scheduler_log_native_{what}")


async def member(
    cluster_id: str = "west", certificates: Certificates | None = None, me: str | None = None, port: int = 0
) -> Member:
    (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    stats = Vars()
    tcp = TcpPeers(listener, me or address(listener), cluster_id, stats, random.Random(1), certificates)
    return Member(tcp, stats)


@asynccontextmanager
async def running(*members: Member) -> AsyncIterator[trio.Nursery]:
    for one in members:
        one.tcp.aim(frozenset(other.me for other in members))
    async with trio.open_nursery() as nursery:
        for one in members:
            nursery.start_soon(one.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def exchange(one: Member, other: Member) -> None:
    """A message each way, as often as it takes."""
    for sender, receiver in ((one, other), (other, one)):
        before = len(receiver.heard)
        with trio.fail_after(30):
            while len(receiver.heard) == before:
                sender.tcp.send(receiver.me, Fetch(7))
                await trio.sleep(0.01)
        assert set(receiver.heard) == {(sender.me, Fetch(7))}


async def test_members_hear_what_others_send_in_order() -> None:
    one, other, third = [await member() for _ in range(3)]
    async with running(one, other, third):
        for number in range(100):
            one.tcp.send(other.me, Fetch(number))
            third.tcp.send(other.me, Fetch(number))
        await until(lambda: len(other.heard) == 200)
        for sender in (one, third):
            assert [said for by, said in other.heard if by == sender.me] == [Fetch(n) for n in range(100)]
        assert not one.heard
        assert (one.count("messages_sent"), other.count("messages_received")) == (100, 200)
        assert other.count("messages_dropped") == 0
        await until(lambda: one.count("peers_connected") == 2)


async def test_a_message_of_many_megabytes_passes() -> None:
    one, other = await member(), await member()
    message = Fetched(NOBODY, 0, 0, [bytes(1 << 20)] * 40, Placed())
    async with running(one, other):
        one.tcp.send(other.me, message)
        await until(lambda: other.heard)
    assert other.heard == [(one.me, message)]


async def test_members_say_what_they_are_again_when_that_changes() -> None:
    one, other = await member(), await member()
    one.tcp.introduce(Peer(11, 2))
    async with running(one, other):
        await until(lambda: other.met.get(one.me) == Peer(11, 2))
        one.tcp.introduce(Peer(12, 2))
        await until(lambda: other.met[one.me] == Peer(12, 2))
        await exchange(one, other)


async def test_a_member_that_restarts_is_found_again() -> None:
    one, other = await member(), await member()
    async with running(one) as nursery:
        one.tcp.aim(frozenset({other.me}))
        for _ in range(3):
            other.tcp.aim(frozenset({one.me}))
            scope = trio.CancelScope()
            nursery.start_soon(_run_in, scope, other)
            await exchange(one, other)
            scope.cancel()
            await until(lambda: one.count("peers_connected") == 0)
            other = await member(port=int(other.me.rpartition(":")[2]))


async def _run_in(scope: trio.CancelScope, one: Member) -> None:
    with scope:
        await one.run()


async def test_what_is_for_nobody_and_what_waits_for_too_long_is_dropped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    one, other = await member(), await member()
    one.tcp.send("127.0.0.1:9", Fetch(0))
    assert one.count("messages_dropped") == 1
    one.tcp.aim(frozenset({other.me}))
    one.tcp.send(other.me, Fetch(1))
    await trio.sleep(dialling.MAX_WAIT_S + 0.1)
    one.tcp.send(other.me, Fetch(2))
    autojump_clock.autojump_threshold = 1.0  # real sockets from here on
    async with running(one, other):
        await until(lambda: other.heard)
    assert other.heard == [(one.me, Fetch(2))]
    assert one.count("messages_dropped") == 2


async def test_a_slow_member_loses_messages_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "MAX_QUEUE_BYTES", 1 << 20)
    one, slow, other = [await member() for _ in range(3)]
    slow.gate = trio.Event()
    message = Fetched(NOBODY, 0, 0, [bytes(100_000)], Placed())
    async with running(one, slow, other):
        for _ in range(300):
            one.tcp.send(slow.me, message)
            one.tcp.send(other.me, Fetch(1))
            await trio.lowlevel.checkpoint()
        await until(lambda: len(other.heard) == 300)
        await until(lambda: one.count("messages_dropped"))
        assert not slow.heard
        slow.gate.set()
        await until(lambda: slow.heard)
        await until_it_heard(one, slow)


async def until_it_heard(one: Member, slow: Member) -> None:
    with trio.fail_after(30):
        while slow.heard[-1:] != [(one.me, Fetch(5))]:
            one.tcp.send(slow.me, Fetch(5))
            await trio.sleep(0.01)


async def test_cut_stalled_and_garbled_connections_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "HELLO_S", 0.3)
    monkeypatch.setattr(dialling, "ALIVE_S", 0.05)
    monkeypatch.setattr(peers, "SILENCE_S", 0.3)
    monkeypatch.setattr(peers, "HELLO_S", 0.3)
    behind: list[str] = []
    proxy = await Proxy.open(lambda: behind[0])
    other = await member(me=proxy.address)
    behind.append(address(other.tcp._listener))
    one = await member()

    def is_spent() -> bool:
        if proxy.bytes_left is None or proxy.bytes_left < 0:
            return True
        one.tcp.send(other.me, Fetch(7))
        return False

    async with running(one, other) as nursery:
        nursery.start_soon(proxy.run)
        await exchange(one, other)
        for size in (1, 3, 5, 20, 60, 70, 80):  # in the hello, in a frame's length, in a frame
            proxy.cut()
            await until(lambda: not one.count("peers_connected"))
            proxy.bytes_left = size
            await until(is_spent)
            await exchange(one, other)
        proxy.close()
        await until(lambda: not one.count("peers_connected"))
        proxy.is_open = True
        await exchange(one, other)
        proxy.stall()
        connections = proxy.connections
        await until(lambda: proxy.connections > connections + 1)
        proxy.go_on()
        await exchange(one, other)
        proxy.garble = lambda data: bytes(byte ^ 0x55 for byte in data)
        connections = proxy.connections
        one.tcp.send(other.me, Fetch(7))
        await until(lambda: proxy.connections > connections and other.count("malformed"))
        proxy.garble = lambda data: data
        await exchange(one, other)


async def test_a_member_of_another_cluster_is_turned_away_and_both_say_so(caplog: pytest.LogCaptureFixture) -> None:
    one, other = await member(), await member("east")
    async with running(one, other):
        one.tcp.send(other.me, Fetch(1))
        await until(lambda: one.count("strangers") and other.count("strangers"))
        await until(lambda: len(caplog.messages) >= 3)
    assert f"Log member {other.me}: it belongs to the log of cluster 'east', 'west' was expected" in caplog.messages
    assert f"Log member {one.me}: it belongs to the log of cluster 'west', 'east' was expected" in caplog.messages
    turned_away = [text for text in caplog.messages if text.startswith("Log member 127.0.0.1: ")]
    assert len(turned_away) <= 2, "a stranger that keeps coming is told of now and then"
    assert (one.heard, other.heard, one.met, other.met) == ([], [], {}, {})


async def test_the_same_complaint_is_made_once(caplog: pytest.LogCaptureFixture) -> None:
    one = await member()
    async with running(one):
        one.tcp.aim(frozenset({"127.0.0.1:1", "nonsense"}))
        await trio.sleep(0.5)
    assert sorted(caplog.messages) == [
        "Log member 127.0.0.1:1: [Errno 111] Error connecting to ('127.0.0.1', 1): Connection refused",
        "Log member nonsense: 'nonsense' is not an address: ip:port was expected",
    ]


async def _dial(one: Member) -> trio.SocketStream:
    host, _, port = one.me.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))


def greeting(one: Member, **other: object) -> bytes:
    said = Hello(hello.PROTOCOL, "west", "127.0.0.1:7", one.me, Peer(3, 2))
    return hello.frame(msgspec.msgpack.encode(msgspec.structs.replace(said, **other)))


@pytest.mark.parametrize(
    ("data", "counted"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "malformed"),
        (hello.frame(b"\xc1"), "malformed"),
        (hello.frame(msgspec.msgpack.encode(["a", 1])), "malformed"),
        (hello.frame(bytes(hello.MAX_HELLO_BYTES + 1)), "malformed"),
    ],
)
async def test_who_does_not_say_hello_is_turned_away(data: bytes, counted: str) -> None:
    one = await member()
    async with running(one):
        stream = await _dial(one)
        async with stream:
            await stream.send_all(data)
            with contextlib.suppress(trio.BrokenResourceError):  # where something was left unread
                assert await stream.receive_some(100) == b""
    assert one.count(counted) == 1


async def test_who_looks_for_somebody_else_is_a_stranger() -> None:
    one = await member()
    async with running(one), await _dial(one) as stream:
        await stream.send_all(greeting(one, receiver="127.0.0.1:9"))
        answer = hello.Frames(5000).feed(await stream.receive_some(5000))
        assert msgspec.msgpack.decode(answer[0], type=Hello).sender == one.me, "it is told who is here"
        assert await stream.receive_some(100) == b""
    assert one.count("strangers") == 1


async def test_who_is_not_in_the_group_is_not_heard_until_it_is() -> None:
    one = await member()
    async with running(one), await _dial(one) as stream:
        await stream.send_all(greeting(one))
        await stream.receive_some(5000)
        await stream.send_all(hello.frame(msgspec.msgpack.encode(Fetch(1))))
        await until(lambda: one.count("strangers") == 1)
        assert not one.heard
        one.tcp.aim(frozenset({"127.0.0.1:7"}))
        await stream.send_all(hello.frame(msgspec.msgpack.encode(Fetch(2))))
        await until(lambda: one.heard == [("127.0.0.1:7", Fetch(2))])
        one.tcp.aim(frozenset())
        assert await stream.receive_some(100) == b""


async def test_who_is_not_in_the_group_may_not_fill_the_memory() -> None:
    one = await member()
    async with running(one), await _dial(one) as stream:
        await stream.send_all(greeting(one))
        await stream.receive_some(5000)
        with contextlib.suppress(trio.BrokenResourceError):  # where something was left unread
            await stream.send_all(hello.frame(bytes(100_000))[:80_000])
            assert await stream.receive_some(100) == b""
    assert one.count("malformed") == 1


async def test_a_malformed_message_ends_its_connection_alone() -> None:
    one, other = await member(), await member()
    async with running(one, other):
        await exchange(one, other)
        one.tcp.aim(frozenset({other.me, "127.0.0.1:7"}))
        async with await _dial(one) as stream:
            await stream.send_all(greeting(one))
            await stream.receive_some(5000)
            await stream.send_all(hello.frame(msgspec.msgpack.encode([99, 1])))
            assert await stream.receive_some(100) == b""
        assert one.count("malformed") == 1
        await exchange(one, other)


async def test_a_newer_connection_takes_the_place_of_an_older() -> None:
    one = await member()
    async with running(one), await _dial(one) as older, await _dial(one) as newer:
        for stream in (older, newer):
            await stream.send_all(greeting(one))
            await stream.receive_some(5000)
        assert await older.receive_some(100) == b""


async def test_there_are_no_more_connections_than_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAX_CONNECTIONS", 2)
    one = await member()
    async with running(one), await _dial(one), await _dial(one):
        await wait_all_tasks_blocked()
        async with await _dial(one) as third:
            assert await third.receive_some(100) == b""
        assert one.count("strangers") == 1


async def test_who_says_nothing_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "HELLO_S", 0.05)
    one = await member()
    async with running(one), await _dial(one) as stream:
        assert await stream.receive_some(100) == b""


async def test_with_certificates_members_hear_each_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    one = await member(certificates=authority.member("one"))
    other = await member(certificates=authority.member("other"))
    async with running(one, other):
        await exchange(one, other)
        one.tcp.send(other.me, Fetched(NOBODY, 0, 0, [bytes(3 << 20)], Placed()))
        await until(lambda: len(other.heard[-1][1].values) == 1 if isinstance(other.heard[-1][1], Fetched) else False)


async def test_without_the_right_certificate_nobody_is_heard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    certificates = ours.member("one")
    for other in (await member(certificates=theirs.member("other")), await member()):
        one = await member(certificates=certificates)
        async with running(one, other):
            one.tcp.send(other.me, Fetch(1))
            other.tcp.send(one.me, Fetch(1))
            await until(partial(one.count, "strangers"))
        assert (one.heard, other.heard, one.met, other.met) == ([], [], {}, {})
        assert not any("Connected" in text for text in caplog.messages)


async def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    good = authority.member("one")
    with pytest.raises(FileNotFoundError):
        await member(certificates=good._replace(key=tmp_path / "nothing"))
    with pytest.raises(OSError, match="KEY_VALUES_MISMATCH"):
        await member(certificates=good._replace(key=authority.member("other").key))


async def test_who_does_not_read_for_too_long_is_dialled_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dialling, "SILENCE_S", 0.2)
    one, deaf = await member(), await member()
    deaf.gate = trio.Event()
    async with running(one, deaf):
        for _ in range(150):
            one.tcp.send(deaf.me, Fetched(NOBODY, 0, 0, [bytes(100_000)], Placed()))
        await until(lambda: f"Log member {deaf.me}: no answer in time" in caplog.messages)
        deaf.gate.set()
        await until_it_heard(one, deaf)
