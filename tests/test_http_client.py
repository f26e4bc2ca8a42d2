"""Posting to servers of all sorts, real ones on this machine."""

from __future__ import annotations

import pytest
import trio

from aurorad.http_client import Answer, NoAnswer, post
from tests.web_servers import answering, hanging, request, server


async def test_the_request_is_whole_and_the_answer_is_read() -> None:
    seen = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.append(await request(stream))
        await stream.send_all(b"HTTP/1.1 201 Fine\r\nContent-Length: 2\r\n\r\nok")

    async with server(serve) as url:
        answer = await post(f"{url}/a b?x=1", b"body", 5, headers={"X-Y": "z"}, parameters=[("task", "r/e/j?/0")])
    assert answer == Answer(201, b"ok")
    ((lines, body),) = seen
    assert lines[0] == "POST /a%20b?x=1&task=r/e/j%3F/0 HTTP/1.1"
    assert {f"Host: {url.removeprefix('http://')}", "Content-Length: 4", "X-Y: z"} <= set(lines)
    assert body == b"body"


async def test_a_chunked_answer_is_one_answer() -> None:
    pieces = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n")
    async with server(answering(*pieces)) as url:
        assert await post(url, b"body", 5) == Answer(200, b"abc")


async def test_redirects_are_not_followed() -> None:
    moved = b"HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with server(answering(moved)) as url:
        assert (await post(url, b"body", 5)).status == 307


@pytest.mark.parametrize(
    ("pieces", "complaint"),
    [
        ((b"rubbish\r\n\r\n",), "does not speak HTTP properly"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",), "does not speak HTTP properly"),
        ((), "does not speak HTTP properly"),
        ((b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", bytes(100_000)), "answers more than"),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,), "does not speak HTTP properly"),
    ],
)
async def test_rubbish_is_no_answer(pieces: tuple[bytes, ...], complaint: str) -> None:
    async with server(answering(*pieces)) as url:
        with pytest.raises(NoAnswer, match=complaint):
            await post(url, b"body", 5)


async def test_a_server_that_hangs_is_given_up() -> None:
    async with server(hanging) as url:
        with pytest.raises(NoAnswer, match=r"no answer from 127.0.0.1:\d+ within 0.05 s"):
            await post(url, b"body", 0.05)


async def test_nobody_there_is_no_answer() -> None:
    async with server(answering()) as url:
        gone = url
    with pytest.raises(NoAnswer, match="refused"):
        await post(gone, b"body", 5)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "ftp://host/",
        "file:///etc/passwd",
        "http://",
        "http://u:p@h/",
        "http://h:x/",
        "http://[::1",
        "http://..a/",
    ],
)
async def test_what_is_no_http_url_goes_nowhere(url: str) -> None:
    with pytest.raises(NoAnswer, match="not a URL"):
        await post(url, b"", 5)
