import socket
import struct
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from quart import Blueprint, Response, request

from aurorad.vars import Vars
from aurorad.web import connection, server
from aurorad.web.admin import admin_endpoints
from tests.web.serving import Served, served

CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"


def endless(ended: trio.Event | None = None) -> Blueprint:
    blueprint = Blueprint("endless", __name__)

    @blueprint.get("/endless")
    async def stream() -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                if ended is not None:
                    ended.set()

        response = Response(body())
        response.timeout = None
        return response

    return blueprint


async def test_health_status_line_is_exactly_200_ok() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answer = await it.exchange(b"GET /health HTTP/1.1\r\n" + CLOSE)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nOK\n")


async def test_health_says_what_is_wrong() -> None:
    async with served(admin_endpoints(Vars(), lambda: "the disk is full")) as it:
        answer = await it.exchange(b"GET /health HTTP/1.1\r\n" + CLOSE)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"SICK\nthe disk is full\n")


async def test_vars_are_sorted_lines_without_a_last_newline() -> None:
    stats = Vars()
    stats.count("b", 2)
    stats.gauge("a", lambda: "x")
    async with served(admin_endpoints(stats, lambda: None)) as it:
        answer = await it.exchange(b"GET /vars HTTP/1.1\r\n" + CLOSE)
        json = await it.exchange(b"GET /vars.json HTTP/1.1\r\n" + CLOSE)
    assert answer.endswith(b"\r\n\r\na x\nb 2")
    assert json.endswith(b'{"a":"x","b":2}')


async def status_line(it: Served, request: bytes) -> bytes:
    return (await it.exchange(request)).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "target", [b"/health", b"/health?x=1", b"http://elsewhere/health", b"HTTP://[::1]:80/health?x", b"http://[/health"]
)
async def test_the_host_in_a_target_does_not_matter(target: bytes) -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        assert await status_line(it, b"GET " + target + b" HTTP/1.1\r\n" + CLOSE) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("target", [b"?x", b"*", b"health", b"http:", b"ftp://x/health", b"x:80"])
async def test_a_target_that_is_no_address_is_400(target: bytes) -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        assert await status_line(it, b"GET " + target + b" HTTP/1.1\r\n" + CLOSE) == b"HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"POST /health HTTP/1.1\r\nContent-Length: -1\r\n" + CLOSE, b"HTTP/1.1 400 Bad Request"),
        (b"POST /health HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + CLOSE, b"HTTP/1.1 400 Bad Request"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"HTTP/1.1 431 Request Header Fields Too Large"),
        (b"GET /health HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /health HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n" + CLOSE, b"HTTP/1.1 100 Continue"),
    ],
)
async def test_odd_requests_are_answered_and_closed(request_: bytes, status: bytes) -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        assert await status_line(it, request_) == status


async def test_requests_that_come_at_once_are_answered_in_order() -> None:
    stats = Vars()
    stats.gauge("a", lambda: "x")
    first, last = b"GET /vars HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /health HTTP/1.1\r\n" + CLOSE
    async with served(admin_endpoints(stats, lambda: None)) as it:
        answer = await it.exchange(first * 20 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 21
    assert answer.endswith(b"\r\n\r\nOK\n")


async def test_a_request_whose_head_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.05)
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        slow = await trio.open_tcp_stream("127.0.0.1", it.port)
        await slow.send_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ")
        with trio.fail_after(5):
            assert (await slow.receive_some()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    await slow.aclose()


async def test_a_body_that_does_not_end_is_given_up() -> None:
    blueprint = Blueprint("reading", __name__)

    @blueprint.post("/read")
    async def read() -> str:
        await request.get_data()
        return "all of it"

    async with served(blueprint, BODY_TIMEOUT=0.05) as it:
        answer = await it.exchange(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


async def test_of_too_many_connections_the_longest_idle_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        first, second = [await trio.open_tcp_stream("127.0.0.1", it.port) for _ in range(2)]
        await ask_health(second)
        await ask_health(first)
        assert await status_line(it, b"GET /health HTTP/1.1\r\n" + CLOSE) == b"HTTP/1.1 200 OK"
        assert await second.receive_some() == b""
        await ask_health(first)
    await first.aclose()
    await second.aclose()


async def ask_health(stream: trio.SocketStream) -> None:
    """The connection stays open."""
    await stream.send_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b"\r\n\r\nOK\n"):
        answer += await stream.receive_some()


@pytest.mark.parametrize("times", [1, 5, 500])
async def test_a_client_that_goes_away_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 1)
    stats = Vars()
    stats.gauge("a", lambda: "x" * 100_000)
    async with served(admin_endpoints(stats, lambda: None)) as it:
        gone = await trio.open_tcp_stream("127.0.0.1", it.port)
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # goes with a reset
        await gone.send_all(b"GET /vars HTTP/1.1\r\nHost: x\r\n\r\n" * times)
        await gone.receive_some(1)
        gone.socket.close()
        with trio.fail_after(10):
            while await status_line(it, b"GET /health HTTP/1.1\r\n" + CLOSE) != b"HTTP/1.1 200 OK":
                await trio.lowlevel.checkpoint()  # refused while the first is still there


async def test_when_all_connections_are_busy_one_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 1)
    async with served(endless()) as it:
        busy = await trio.open_tcp_stream("127.0.0.1", it.port)
        await busy.send_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await busy.receive_some(1)
        one_more = await trio.open_tcp_stream("127.0.0.1", it.port)
        assert await one_more.receive_some() == b""
        await one_more.aclose()
    await busy.aclose()


async def test_what_breaks_one_connection_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(self: object, request: object) -> None:
        raise AssertionError("broken")

    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        with monkeypatch.context() as patch:
            patch.setattr(connection._Http1, "_create_stream", fail)
            assert await it.exchange(b"GET /health HTTP/1.1\r\n" + CLOSE) == b""
        assert await status_line(it, b"GET /health HTTP/1.1\r\n" + CLOSE) == b"HTTP/1.1 200 OK"
    assert "a connection failed" in caplog.text


async def test_connect_is_refused() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answer = await it.exchange(b"CONNECT example:80 HTTP/1.1\r\nHost: example:80\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")


@pytest.mark.parametrize(
    "asked",
    [  # what Java's clients and `curl --http2` ask is the latter
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n",
    ],
)
async def test_who_asks_for_an_upgrade_is_answered_without_one_and_may_go_on(asked: bytes) -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answers = await it.exchange(
            b"GET /health HTTP/1.1\r\nHost: x\r\n" + asked + b"\r\nGET /health HTTP/1.1\r\n" + CLOSE
        )
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2


async def test_bytes_that_are_not_http_are_answered_and_closed() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        assert (await it.exchange(b"\x00\x01\x02 nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_a_connection_that_is_idle_for_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.05)
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        silent = await trio.open_tcp_stream("127.0.0.1", it.port)
        asked = await trio.open_tcp_stream("127.0.0.1", it.port)
        await ask_health(asked)
        assert await silent.receive_some() == b""
        assert await asked.receive_some() == b""
    await silent.aclose()
    await asked.aclose()


async def test_an_idle_connection_is_closed_at_once_when_stopping() -> None:
    with trio.fail_after(5):
        async with served(admin_endpoints(Vars(), lambda: None), grace_s=60) as it:
            idle = await trio.open_tcp_stream("127.0.0.1", it.port)
            await ask_health(idle)
            it.stopping.set()
            assert await idle.receive_some() == b""
    await idle.aclose()


async def test_a_client_that_stopped_reading_does_not_hold_up_the_stop() -> None:
    with trio.fail_after(5):
        async with served(endless()) as it:
            stuck = await trio.open_tcp_stream("127.0.0.1", it.port)
            await stuck.send_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            await stuck.receive_some(1)
            await trio.testing.wait_all_tasks_blocked(0.05)  # its buffers are full now
            it.stopping.set()
    await stuck.aclose()


async def test_a_client_that_stopped_reading_stalls_nobody_and_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_TIMEOUT_S", 0.1)
    given_up = trio.Event()
    async with served(endless(given_up), admin_endpoints(Vars(), lambda: None)) as it:
        stuck = await trio.open_tcp_stream("127.0.0.1", it.port)
        await stuck.send_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await stuck.receive_some(1)
        assert await status_line(it, b"GET /health HTTP/1.1\r\n" + CLOSE) == b"HTTP/1.1 200 OK"
        with trio.fail_after(10):
            await given_up.wait()
    await stuck.aclose()


def test_a_taken_port_is_told_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(server.PortTaken) as refused:
            server.listen("127.0.0.1", port, "http_port")
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        "stop who uses it (another aurorad?), or choose another port with -http_port"
    )
