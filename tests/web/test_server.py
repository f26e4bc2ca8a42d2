import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from quart import Blueprint, Response

from aurorad.vars import Vars
from aurorad.web import server
from aurorad.web.admin import admin_endpoints
from tests.web.serving import served

CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"


def endless() -> Blueprint:
    blueprint = Blueprint("endless", __name__)

    @blueprint.get("/endless")
    async def stream() -> Response:
        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536

        response = Response(body())  # type: ignore[arg-type]  # Quart's own annotation forgets async iterators
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


async def test_connect_is_refused() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answer = await it.exchange(b"CONNECT example:80 HTTP/1.1\r\nHost: example:80\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")


async def test_upgrades_are_refused() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answer = await it.exchange(
            b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_bytes_that_are_not_http_are_answered_and_closed() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        assert (await it.exchange(b"\x00\x01\x02 nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_an_idle_connection_is_closed_at_once_when_stopping() -> None:
    with trio.fail_after(5):
        async with served(admin_endpoints(Vars(), lambda: None), grace_s=60) as it:
            idle = await trio.open_tcp_stream("127.0.0.1", it.port)
            await idle.send_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\nOK\n"):
                answer += await idle.receive_some()
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
