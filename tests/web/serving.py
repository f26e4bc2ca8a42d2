"""A real server on a real socket, for tests that look at bytes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from quart import Blueprint
from quart_trio import QuartTrio

from aurorad.web import server


class Served:
    def __init__(self, port: int, stopping: trio.Event) -> None:
        self.port = port
        self.stopping = stopping

    async def exchange(self, request: bytes) -> bytes:
        """Send raw bytes; everything that comes back until the server closes."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            await stream.send_all(request)
            return b"".join([chunk async for chunk in stream])


@asynccontextmanager
async def served(
    *blueprints: Blueprint,
    grace_s: float = 0.2,
    tls: Callable[[], ssl.SSLContext] | None = None,
    **config: object,
) -> AsyncIterator[Served]:
    app = QuartTrio("tests")
    app.config.update(config)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    sock = server.listen("127.0.0.1", 0, "http_port")
    port: int = sock.getsockname()[1]
    stopping = trio.Event()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await server.serve(app, sock, stopping=stopping, grace_s=grace_s, tls=tls, task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield Served(port, stopping)
        stopping.set()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
