"""A request line for /health alone, which is all that monit sends, as operators of Aurora have it set up."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
import trio.testing
from quart import Blueprint, request

from aurorad.vars import Vars
from aurorad.web import connection
from aurorad.web.admin import admin_endpoints
from aurorad.web.tls import TlsFiles
from tests.certificates import certificate
from tests.web.serving import Served, served

LINE = b"GET /health HTTP/1.0\r\n"
READ_BYTES = 256
"""By monit, of an answer."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BARE_LINE_S", 0.01)


async def in_pieces(it: Served, *pieces: bytes) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", it.port) as stream:
        for piece in pieces:
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        return b"".join([chunk async for chunk in stream])


@pytest.mark.parametrize("line", [LINE, b"GET /health HTTP/1.0\n"])
async def test_it_is_answered_without_the_empty_line_that_ends_a_request(line: bytes) -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answer = await it.exchange(line)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nOK\n")
    assert len(answer) < READ_BYTES


async def test_it_may_come_in_pieces() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answer = await in_pieces(it, LINE[:9], LINE[9:-1], LINE[-1:])
    assert answer.endswith(b"\r\n\r\nOK\n")


async def test_it_may_be_a_later_request_of_a_connection() -> None:
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        answer = await it.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + LINE)
    assert answer.count(b"\r\n\r\nOK\n") == 2


async def test_it_is_answered_over_tls(tmp_path: Path) -> None:
    files = TlsFiles(*certificate(tmp_path))
    context = ssl.create_default_context(cafile=files.certificate)
    async with served(admin_endpoints(Vars(), lambda: None), tls=files.context) as it:
        tcp = await trio.open_tcp_stream("127.0.0.1", it.port)
        async with trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True) as stream:
            await stream.send_all(LINE)
            assert b"".join([bytes(chunk) async for chunk in stream]).endswith(b"\r\n\r\nOK\n")


async def test_what_follows_in_time_belongs_to_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BARE_LINE_S", 60)
    blueprint = Blueprint("telling", __name__)

    @blueprint.get("/health")
    async def tell() -> str:
        return f"heard {request.headers.get('X')}"

    async with served(blueprint) as it:
        answer = await in_pieces(it, LINE, b"X: much\r\n", b"\r\n")
    assert answer.endswith(b"heard much")


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /health HTTP/1.1\r\n",
        b"GET /vars HTTP/1.0\r\n",
        b"HEAD /health HTTP/1.0\r\n",
        b"GET /health?x HTTP/1.0\r\n",
        b"GET /health HTTP/1.0\r\nX: y\r\n",
        b"GET /health HTTP/1.0",
    ],
)
async def test_no_other_begin_of_a_request_is_taken_for_a_whole_one(
    begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.05)
    async with served(admin_endpoints(Vars(), lambda: None)) as it:
        assert (await it.exchange(begin)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize("why", ["the disk is full", "/a/long/path" * 20 + ": all is OK", "öäü" * 60, "two\nlines OK"])
async def test_a_sick_one_is_told_from_a_healthy_one_in_what_monit_reads(why: str) -> None:
    async with served(admin_endpoints(Vars(), lambda: why)) as it:
        answer = await it.exchange(LINE)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"SICK\n" in answer
    assert len(answer) < READ_BYTES
    answer.decode()


@pytest.mark.parametrize("why", ["the quorum is wrong", "its log is empty. " * 20])
async def test_one_that_cannot_lead_is_well_however_much_it_has_to_say(why: str) -> None:
    async with served(admin_endpoints(Vars(), lambda: None, lambda: why)) as it:
        answer = await it.exchange(LINE)
    assert b"\r\n\r\nOK\n" in answer
    assert len(answer) < READ_BYTES
