"""Serving an application over HTTP/1.1: hypercorn's connections, with what hypercorn leaves out.

A status line carries its reason phrase (some probes compare it whole), CONNECT and protocol upgrades are refused, and
stopping never waits for a client that stopped reading: after the grace every socket is closed.
"""

from __future__ import annotations

import errno
import http
import logging
import socket
from collections.abc import Awaitable, Callable

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent
from hypercorn.utils import parse_socket_addr
from quart_trio import QuartTrio

KEEP_ALIVE_S = 75.0
# A client that takes nothing for this long is gone; without a limit it would hold its answer in memory for ever.
SEND_TIMEOUT_S = 60.0

_REMEDIES = {
    errno.EADDRINUSE: "stop who uses it (another aurorad?), or choose another port with -{flag}",
    errno.EACCES: "only root may use ports below 1024: choose another one with -{flag}",
}
_NO_ADDRESS_OF_OURS = "-ip, or else -hostname, must be an address of this machine"


class PortTaken(Exception):
    """The address to listen on is not to be had; the text says which and why."""


def listen(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket. Raises `PortTaken`, naming the flag that chooses the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        remedy = _REMEDIES.get(error.errno or 0, _NO_ADDRESS_OF_OURS).format(flag=flag)
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; {remedy}") from None
    sock.setblocking(False)
    return sock


async def serve(
    app: QuartTrio,
    sock: socket.socket,
    *,
    stopping: trio.Event,
    grace_s: float,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stopping` is set, then let open requests go on for at most `grace_s` seconds."""
    config = Config()
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.errorlog = logging.getLogger("aurorad.http")
    wrapped = ASGIWrapper(app)
    state = ConnectionState({})
    lifespan = Lifespan(wrapped, config, state)
    async with trio.open_nursery() as outer:
        await outer.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        await _accept(wrapped, config, sock, stopping, grace_s, task_status)
        await lifespan.wait_for_shutdown()
        outer.cancel_scope.cancel()


async def _accept(
    app: AppWrapper,
    config: Config,
    sock: socket.socket,
    stopping: trio.Event,
    grace_s: float,
    task_status: trio.TaskStatus[None],
) -> None:
    context = WorkerContext(None)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    streams: set[trio.SocketStream] = set()
    last_closed = trio.Event()

    async def handle(stream: trio.SocketStream) -> None:
        streams.add(stream)
        try:
            await _Connection(app, config, context, stream).run()
        finally:
            streams.discard(stream)
            if stopping.is_set() and not streams:
                last_closed.set()

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(_serve_listener, handle, listener, connections)
            task_status.started()
            await stopping.wait()
            accepting.cancel_scope.cancel()
        await context.terminated.set()
        if streams:
            with trio.move_on_after(grace_s):
                await last_closed.wait()
        for stream in streams:
            stream.socket.close()  # wakes even a send that shields itself
        connections.cancel_scope.cancel()


async def _serve_listener(
    handle: Callable[[trio.SocketStream], Awaitable[None]], listener: trio.SocketListener, connections: trio.Nursery
) -> None:
    await trio.serve_listeners(handle, [listener], handler_nursery=connections)


class _Http1(H11Protocol):
    """HTTP/1.1 with reason phrases and without upgrades."""

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response) and not event.reason:
            reason = _REASONS.get(event.status_code, b"")
            event = h11.Response(headers=event.headers, status_code=event.status_code, reason=reason)
        await super()._send_h11_event(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrades are not offered; the request is answered as if none had been asked for."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.method == b"CONNECT" or any(name == b"upgrade" for name, _ in request.headers):
            await self._send_error_response(405 if request.method == b"CONNECT" else 400)
            await self.send(Closed())
        else:
            await super()._create_stream(request)


_REASONS = {int(status): status.phrase.encode() for status in http.HTTPStatus}


class _Connection(TCPServer):
    """One client's connection."""

    stream: trio.SocketStream  # type: ignore[assignment]  # the base says TLS only

    def __init__(self, app: AppWrapper, config: Config, context: WorkerContext, stream: trio.SocketStream) -> None:
        super().__init__(app, config, context, ConnectionState({}), stream)  # type: ignore[arg-type]  # says TLS only

    async def run(self) -> None:
        sock = self.stream.socket
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self.protocol = _Http1(  # type: ignore[assignment]  # the one protocol instead of a choice of them
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState({}),
                    False,
                    client,
                    server,
                    self.protocol_send,
                )
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
        except OSError:
            pass  # the client is gone, which is its right
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            with trio.CancelScope(shield=True):  # an application cancelled at its end must still close the connection
                await super().protocol_send(event)
            return
        async with self.send_lock:
            # Shielded, or a cancelled handler could leave half a chunk on the wire.
            with trio.move_on_after(SEND_TIMEOUT_S, shield=True) as scope:
                try:
                    await self.stream.send_all(event.data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    await self.protocol.handle(Closed())
        if scope.cancelled_caught:
            self.stream.socket.close()
            await self.protocol.handle(Closed())
