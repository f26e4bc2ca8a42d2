"""The agent's side of the executor API over HTTP/1.1: what executors say, as calls; what the engine says, as events.

h11 by hand: this is the way every status update takes, and a web framework costs five times as much.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Awaitable, Callable

import h11
import msgspec
import trio

from aurorad.engine import executor_api as api

MAX_CALL_BYTES = 16 << 20  # a SUBSCRIBE may carry a task's whole configuration
REQUEST_TIMEOUT_S = 60.0
_READ_BYTES = 64 << 10
_JSON = (("content-type", "application/json"),)
_TEXT = (("content-type", "text/plain; charset=utf-8"),)

_log = logging.getLogger(__name__)


class Refusal(Exception):
    """A call that is not accepted: an HTTP status and a sentence for the log of whoever made it.

    `again` if our own log has it already.
    """

    def __init__(self, status: int, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.again = again


class Subscription:
    """An executor's open stream of events."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[api.Event](math.inf)
        self.connected = True

    def put(self, event: api.Event) -> None:
        """Send, if anybody still listens; one who lost the stream subscribes again and is told what it missed."""
        if self.connected:
            self._send.send_nowait(event)

    def end(self) -> None:
        """Hang up."""
        self._send.close()
        self.connected = False

    async def next(self) -> api.Event:
        """Raises `trio.EndOfChannel` after `end`."""
        return await self._receive.receive()

    def disconnected(self) -> None:
        self.end()
        self._receive.close()


@dataclasses.dataclass(frozen=True)
class Agent:
    """What the engine does about calls."""

    accept: Callable[[api.Call, str], Awaitable[Subscription | None]]
    """A call and the token shown: a subscription for SUBSCRIBE, None for what is done. Raises `Refusal`."""
    lost: Callable[[api.Call, Subscription], None]
    """The stream of this SUBSCRIBE has ended, from whichever side."""


async def serve(listener: trio.SocketListener, agent: Agent) -> None:
    """Until cancelled."""

    async def connected(stream: trio.SocketStream) -> None:
        try:
            await _Connection(stream, agent).serve()
        except trio.BrokenResourceError:
            return  # the executor is gone or hung up: what it was owed is owed to its next connection

    await trio.serve_listeners(connected, [listener])


class _Connection:
    def __init__(self, stream: trio.SocketStream, agent: Agent) -> None:
        self._stream = stream
        self._agent = agent
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        """Answer requests until the other side closes, breaks the protocol, or has its stream of events ended."""
        try:
            while await self._answer_one() and self._http.our_state is self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            _log.warning("bad request on the executor socket: %s", error)
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._respond(error.error_status_hint, str(error))

    async def _answer_one(self) -> bool:
        """Whether an answer was given; False where there is nobody, or no more, to answer."""
        with trio.move_on_after(REQUEST_TIMEOUT_S) as limit:
            request = await self._next()
            if not isinstance(request, h11.Request):
                return False
            try:
                call = await self._read_call(request)
                subscription = await self._agent.accept(call, _token(request))
            except Refusal as refusal:
                if not refusal.again:
                    _log.warning("refused on the executor socket: %s", refusal)
                await self._respond(refusal.status, str(refusal))
                return True
            if subscription is None:
                await self._respond(202, "")
                return True
        if not limit.cancelled_caught and subscription is not None:
            await self._stream_events(call, subscription)
        return False

    async def _read_call(self, request: h11.Request) -> api.Call:
        if request.target != api.PATH.encode():
            raise Refusal(404, f"{request.target!r}: {api.PATH} was expected")
        if request.method != b"POST":
            raise Refusal(405, f"{request.method!r}: POST was expected")
        body = bytearray()
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > MAX_CALL_BYTES:
                raise Refusal(413, f"a call of more than {MAX_CALL_BYTES} bytes")
        try:
            return msgspec.json.decode(body, type=api.Call)
        except msgspec.DecodeError as error:
            raise Refusal(400, f"not a call of the executor API: {error}") from None

    async def _stream_events(self, call: api.Call, subscription: Subscription) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_closed, nursery.cancel_scope)
                await self._send(h11.Response(status_code=200, headers=[*_JSON, ("transfer-encoding", "chunked")]))
                try:
                    while True:
                        await self._send(h11.Data(api.record(await subscription.next())))
                except trio.EndOfChannel:
                    await self._send(h11.EndOfMessage())
                nursery.cancel_scope.cancel()
        except* trio.BrokenResourceError:
            pass  # the executor is gone: `finally` tells the engine
        finally:
            subscription.disconnected()
            self._agent.lost(call, subscription)

    async def _cancel_when_closed(self, scope: trio.CancelScope) -> None:
        """A subscriber has nothing more to say on this connection but goodbye."""
        await self._stream.receive_some(_READ_BYTES)
        scope.cancel()

    async def _respond(self, status: int, text: str) -> None:
        body = text.encode()
        await self._send(
            h11.Response(status_code=status, headers=[*_TEXT, ("content-length", str(len(body)))]),
            h11.Data(body),
            h11.EndOfMessage(),
        )

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        await self._stream.send_all(data)

    async def _next(self) -> h11.Event:
        while not isinstance(event := self._http.next_event(), h11.Event):
            self._http.receive_data(await self._stream.receive_some(_READ_BYTES))
        return event


def _token(request: h11.Request) -> str:
    for name, value in request.headers:
        if name == b"authorization" and value.startswith(b"Bearer "):
            return value.removeprefix(b"Bearer ").decode("latin-1")
    return ""
