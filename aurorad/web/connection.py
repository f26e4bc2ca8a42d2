"""One client's connection: hypercorn's, with limits on what a client may take, and with what hypercorn leaves out."""

from __future__ import annotations

import http
import math
import re

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent
from hypercorn.utils import parse_socket_addr

HEAD_TIMEOUT_S = 20.0
"""From the first byte of a request to the end of its headers."""
BARE_LINE_S = 0.5
"""How long after a bare request line for ``/health`` the rest of the head may take to begin: see `_BARE_LINE`."""
SEND_TIMEOUT_S = 60.0
"""A client that takes nothing for this long is gone; without a limit it would hold its answer in memory for ever."""

_SEND_BYTES = 256 << 10  # in one go, so that the limit is on standing still, not on being slow
_RECEIVE_BYTES = 64 << 10
_REASONS = {int(status): status.phrase.encode() for status in http.HTTPStatus}
_BARE_LINE = re.compile(rb"GET /health HTTP/1\.0\r?\n")
"""All that monit sends when it is told what operators of Aurora tell it: without the empty line that ends a request."""
_ABSOLUTE = re.compile(rb"https?://[^/?#]*(/.*)?", re.IGNORECASE | re.DOTALL)


Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Connection(TCPServer):
    """Serves requests until the client or `close` ends it."""

    stream: Stream  # type: ignore[assignment]  # the base says TLS only
    protocol: _Http1  # type: ignore[assignment]  # the one protocol instead of a choice of them

    def __init__(self, app: AppWrapper, config: Config, context: WorkerContext, stream: Stream) -> None:
        super().__init__(app, config, context, ConnectionState({}), stream)  # type: ignore[arg-type]  # says TLS only
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket
        self._scope = trio.CancelScope()  # of all that is done; reading may wait for a turn that nobody gives it
        self._reading = trio.CancelScope()
        self.idle_since: float | None = trio.current_time()
        """When the last answer ended, or the connection began; None while it has something else to do."""

    def close(self) -> None:
        """At once, whatever it is doing."""
        self.idle_since = None
        self._socket.close()  # wakes a send that shields itself
        self._scope.cancel()

    async def run(self) -> None:
        sock = self._socket
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
            with self._scope:
                if await self._shaken_hands():
                    await self._serve(client, server)
        except OSError:
            pass  # the client is gone, which is its right
        finally:
            await self._close()

    async def _shaken_hands(self) -> bool:
        """Whether the client speaks TLS as we do, where we do."""
        if self._tls is None:
            return True
        with trio.move_on_after(HEAD_TIMEOUT_S) as scope:
            try:
                await self._tls.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return not scope.cancelled_caught

    async def _serve(self, client: tuple[str, int] | None, server: tuple[str, int] | None) -> None:
        async with TaskGroup() as task_group:
            self._task_group = task_group
            self.protocol = _Http1(
                self.app,
                self.config,
                self.context,
                task_group,
                ConnectionState(self.state),
                self._tls is not None,
                client,
                server,
                self.protocol_send,
            )
            await self._read_data()

    async def _read_data(self) -> None:
        while True:
            data = None
            try:
                with trio.CancelScope(deadline=self._due()) as self._reading:
                    data = await self.stream.receive_some(_RECEIVE_BYTES)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            if data is None:
                if self.protocol.bare_due < math.inf:
                    await self.protocol.handle(RawData(b"\r\n"))
                    continue
                if self.protocol.head_due < math.inf:
                    await self.protocol.refuse(http.HTTPStatus.REQUEST_TIMEOUT)
                break
            await self.protocol.handle(RawData(bytes(data)))
            if not data:
                break
        await self.protocol.handle(Closed())

    def _due(self) -> float:
        """When the client must have sent something, on Trio's clock."""
        idle_due = math.inf if self.idle_since is None else self.idle_since + self.config.keep_alive_timeout
        return min(self.protocol.head_due, self.protocol.bare_due, idle_due)

    async def protocol_send(self, event: Event) -> None:
        """What the protocol wants done. Nothing here waits without need: each wait costs a turn of the event loop."""
        if isinstance(event, Updated):
            self.idle_since = trio.current_time() if event.idle else None
            self._reading.deadline = self._due()
        elif isinstance(event, RawData):
            if event.data:
                await self._send(event.data)
        else:
            with trio.CancelScope(shield=True):  # an application cancelled at its end must still close the connection
                await super().protocol_send(event)
            self._scope.cancel()

    async def _send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()  # an answer without end would never notice otherwise
        try:
            self.send_lock.acquire_nowait()
        except trio.WouldBlock:
            await self.send_lock.acquire()
        try:
            if not await self._sent(data):
                self.close()
        finally:
            self.send_lock.release()

    async def _sent(self, data: bytes) -> bool:
        """Whether the client took all of it. Shielded, or a cancelled handler could leave half a chunk on the wire."""
        for start in range(0, len(data), _SEND_BYTES):
            with trio.move_on_after(SEND_TIMEOUT_S, shield=True) as scope:
                try:
                    await self.stream.send_all(memoryview(data)[start : start + _SEND_BYTES])
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return False
            if scope.cancelled_caught:
                return False
        return True


class _Http1(H11Protocol):
    """HTTP/1.1 with reason phrases and without upgrades; a request's head must come in time."""

    connection: h11.Connection  # the base's may become a websocket's

    head_due = math.inf
    """When the head that has begun to come must be there, on Trio's clock."""
    bare_due = math.inf
    """When what has come is a whole request all the same, because more would have followed by then."""
    _head = b""
    """Of an answer whose body follows at once: together they are one packet, and wake the client once."""

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        begun = self.connection.trailing_data[0] if self.connection.their_state is h11.IDLE else b""
        if not begun:
            self.head_due = math.inf
        elif self.head_due == math.inf:
            self.head_due = trio.current_time() + HEAD_TIMEOUT_S
        self.bare_due = trio.current_time() + BARE_LINE_S if _BARE_LINE.fullmatch(begun) else math.inf

    async def refuse(self, status: int) -> None:
        """Answer what is no request that can be served, and close."""
        if self.connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send_error_response(status)
        await self.send(Closed())

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response | h11.InformationalResponse) and not event.reason:
            reason = _REASONS.get(event.status_code, b"")
            event = type(event)(headers=event.headers, status_code=event.status_code, reason=reason)
        try:
            data = self._head + (self.connection.send(event) or b"")
        except h11.LocalProtocolError:
            if isinstance(event, h11.EndOfMessage):
                # Less than was promised: a file that shrank while it was sent. Nobody shall take it for the whole.
                await self.send(Closed())
            elif self.connection.their_state is not h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers):
            self._head = data
        else:
            self._head = b""
            await self.send(RawData(data))

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrades are not offered; the request is answered as if none had been asked for: some clients always ask."""

    async def _create_stream(self, request: h11.Request) -> None:
        request = _without_upgrade(request)
        if request.method == b"CONNECT":
            await self.refuse(http.HTTPStatus.METHOD_NOT_ALLOWED)
        elif (path := _path(request)) is None:
            await self.refuse(http.HTTPStatus.BAD_REQUEST)
        else:
            request = h11.Request(
                method=request.method, target=path, headers=request.headers, http_version=request.http_version
            )
            await super()._create_stream(request)


def _without_upgrade(request: h11.Request) -> h11.Request:
    """What the base need not look at."""
    if all(name != b"upgrade" for name, _ in request.headers):
        return request
    headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
    return h11.Request(method=request.method, target=request.target, headers=headers, http_version=request.http_version)


def _path(request: h11.Request) -> bytes | None:
    """The target as path and query, also of one that names the host; None for what is no target of a request."""
    if request.target.startswith(b"/") or (request.target == b"*" and request.method == b"OPTIONS"):
        return request.target
    absolute = _ABSOLUTE.fullmatch(request.target)
    return None if absolute is None else absolute[1] or b"/"
