"""A master to test against: it speaks HTTP as a real one does, and says what the test tells it to."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import h11
import trio

from aurorad.engine.recordio import record

Json = dict[str, Any]

WRONG_STREAM = (
    "The stream ID '{0}' included in this request didn't match the stream ID currently associated with framework ID {1}"
)


class Answer(NamedTuple):
    status: int
    text: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Stream:
    """One subscription, as the master has it."""

    def __init__(self, id_: str, call: Json, headers: Mapping[str, str]) -> None:
        self.id = id_
        self.call = call
        self.headers = headers
        self.scope = trio.CancelScope()
        self._send, self.parts = trio.open_memory_channel[bytes](math.inf)

    def tell(self, *events: Json) -> None:
        for event in events:
            self.send(record(json.dumps(event).encode()))

    def send(self, data: bytes) -> None:
        self._send.send_nowait(data)

    def end(self) -> None:
        """In order, as HTTP has it."""
        self._send.close()

    def cut(self) -> None:
        """As if the master died."""
        self.scope.cancel()


Handle = Callable[[Json, Mapping[str, str]], Awaitable[Answer | Stream]]
"""What becomes of a call that came with these headers."""


@contextlib.asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[str]:
    """The address at which calls are handled within."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        serve = lambda stream: _serve(stream, handle)  # noqa: E731
        await nursery.start(trio.serve_listeners, serve, [listener])
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def _serve(stream: trio.SocketStream, handle: Handle) -> None:
    http = h11.Connection(h11.SERVER)

    async def send(*events: h11.Event) -> None:
        await stream.send_all(b"".join(http.send(event) or b"" for event in events))

    with contextlib.suppress(trio.BrokenResourceError, h11.RemoteProtocolError):
        while (request := await _event(stream, http, h11.Request)) is not None:
            body = b""
            while (data := await _event(stream, http, h11.Data)) is not None:
                body += data.data
            headers = {name.decode().lower(): value.decode() for name, value in request.headers}
            answer = await handle(json.loads(body), headers)
            if isinstance(answer, Answer):
                length = ("Content-Length", str(len(answer.text.encode())))
                await send(h11.Response(status_code=answer.status, headers=[length, *answer.headers]))
                await send(h11.Data(data=answer.text.encode()), h11.EndOfMessage())
                http.start_next_cycle()
                continue
            with answer.scope:
                await send(h11.Response(status_code=200, headers=[("Mesos-Stream-Id", answer.id)]))
                async for part in answer.parts:
                    await send(h11.Data(data=part))
                await send(h11.EndOfMessage())
            return


async def _event(stream: trio.SocketStream, http: h11.Connection, wanted: type[h11.Event]) -> Any:
    """The next event if it is as wanted, else None."""
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(bytes(await stream.receive_some(65536)))
    return event if isinstance(event, wanted) else None


class FakeMaster:
    """Takes every subscription and call, unless `refuses` says otherwise, and lets the test go on from there."""

    def __init__(self, heartbeat_s: float = 15.0) -> None:
        self.heartbeat_s = heartbeat_s
        self.framework_id = "framework"
        self.refuses: Callable[[Json, Mapping[str, str]], Answer | None] = lambda call, headers: None
        self._new_streams, self.streams = trio.open_memory_channel[Stream](math.inf)
        self._new_calls, self.calls = trio.open_memory_channel[Json](math.inf)
        self._stream: Stream | None = None
        self._ids = map(str, itertools.count(1))

    async def handle(self, call: Json, headers: Mapping[str, str]) -> Answer | Stream:
        refusal = self.refuses(call, headers)
        if refusal is not None:
            return refusal
        if call["type"] == "SUBSCRIBE":
            self._stream = Stream(f"stream-{next(self._ids)}", call, headers)
            subscribed = {"framework_id": {"value": self.framework_id}, "heartbeat_interval_seconds": self.heartbeat_s}
            self._stream.tell({"type": "SUBSCRIBED", "subscribed": subscribed}, {"type": "HEARTBEAT"})
            self._new_streams.send_nowait(self._stream)
            return self._stream
        if self._stream is None or headers.get("mesos-stream-id") != self._stream.id:
            return Answer(400, WRONG_STREAM.format(headers.get("mesos-stream-id"), self.framework_id))
        self._new_calls.send_nowait(call)
        return Answer(202)

    async def called(self, type_: str) -> Json:
        """The next call of this type."""
        while (call := await self.calls.receive())["type"] != type_:
            pass
        return call


@contextlib.asynccontextmanager
async def fake_master(heartbeat_s: float = 15.0) -> AsyncIterator[tuple[FakeMaster, str]]:
    """A master, and its address."""
    master = FakeMaster(heartbeat_s)
    async with serving(master.handle) as address:
        yield master, address
