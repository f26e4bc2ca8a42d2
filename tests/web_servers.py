"""Servers on this machine that treat their clients in every way."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server that treats each connection so."""

    async def handle(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # the client has seen enough
            await serve(stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(_serve_tcp, handle)
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def _serve_tcp(handle: Serve, *, task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
    await trio.serve_tcp(handle, 0, host="127.0.0.1", task_status=task_status)


async def request(stream: trio.SocketStream) -> tuple[list[str], bytes]:
    """The lines of a request's head, and its body."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += await stream.receive_some(1000)
    head, body = got.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    (length,) = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
    while len(body) < length:
        body += await stream.receive_some(10000)
    return lines, body


def answering(*pieces: bytes) -> Serve:
    """Says this to whatever request, and hangs up."""

    async def serve(stream: trio.SocketStream) -> None:
        await request(stream)
        for piece in pieces:
            await stream.send_all(piece)

    return serve


async def hanging(stream: trio.SocketStream) -> None:
    """Never says anything."""
    await trio.sleep_forever()


def answer(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
