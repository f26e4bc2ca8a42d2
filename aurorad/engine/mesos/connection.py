"""One subscription: the answer to SUBSCRIBE, which goes on as long as it lasts, and beside it a connection for calls.

When either of them ends, the other is of no use.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import h11
import trio

from aurorad.engine.mesos import messages
from aurorad.engine.mesos.ends import Lost, NotReady
from aurorad.engine.mesos.masters import Address, address_in
from aurorad.engine.mesos.pipeline import Pipeline

ANSWER_S = 10.0
"""A master that is well takes a connection, and answers, within milliseconds."""

_RECEIVE_BYTES = 256 << 10
_MOST_TEXT_BYTES = 4 << 10  # of a refusal: it is a sentence
_MOST_REDIRECTS = 3


class _Redirected(Exception):
    def __init__(self, address: Address) -> None:
        self.address = address


class _Exchange:
    """One request and its answer."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def ask(self, headers: dict[str, str], body: bytes) -> h11.Response:
        """Raises `Lost`."""
        head = h11.Request(
            method="POST",
            target=messages.PATH,
            headers=list({**headers, "Content-Length": str(len(body))}.items()),
        )
        for part in (head, h11.Data(data=body), h11.EndOfMessage()):
            try:
                await self._stream.send_all(self._http.send(part) or b"")
            except trio.BrokenResourceError as error:
                raise Lost(f"the connection ended: {error}") from None
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event

    async def receive(self) -> bytes | None:
        """What comes next of the answer, None at its end. Raises `Lost`."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _next(self) -> h11.Event:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(bytes(await self._stream.receive_some(_RECEIVE_BYTES)))
        except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
            raise Lost(f"the connection ended: {error}") from None
        if isinstance(event, h11.ConnectionClosed):
            raise Lost("the master closed the connection")
        assert isinstance(event, h11.Event)
        return event


class Subscription:
    """What a master tells us, and what we tell it."""

    def __init__(self, address: Address, exchange: _Exchange, calls: Pipeline) -> None:
        self.address = address
        self.calls = calls
        self._exchange = exchange

    async def receive(self, patience_s: float) -> bytes:
        """What comes next of the events. Raises `Lost` at their end, and if nothing comes for so long.

        Nobody need receive all the time: what comes meanwhile waits, and shows that the master is there.
        """
        with trio.move_on_after(patience_s):
            data = await self._exchange.receive()
            if data is None:
                raise Lost("the master ended the subscription")
            return data
        raise Lost(f"the master was silent for {patience_s:g} s")


@contextlib.asynccontextmanager
async def subscribed(address: Address, body: bytes, authorization: str | None) -> AsyncIterator[Subscription]:
    """Subscribe at this master, or the one it sends us on to; within, the subscription may last.

    `body` is the SUBSCRIBE call, `authorization` goes with every request. Raises `Lost`.
    """
    async with contextlib.AsyncExitStack() as streams:
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                with _in_time(address):
                    subscription = await _subscribe(address, body, authorization, streams)
            except _Redirected as redirected:
                address = redirected.address
            else:
                yield subscription
                return
        raise Lost(f"masters send us on and on, the last time to {address}")


async def _subscribe(
    address: Address, body: bytes, authorization: str | None, streams: contextlib.AsyncExitStack
) -> Subscription:
    """Opens `streams`. Raises `_Redirected`, `Lost` and `OSError`."""
    headers = {"Host": str(address), "Accept": "application/json", "Content-Type": "application/json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    exchange = _Exchange(await streams.enter_async_context(await trio.open_tcp_stream(*address)))
    response = await exchange.ask(headers, body)
    answered = dict(response.headers)
    if response.status_code != 200:
        text = (await exchange.receive() or b"")[:_MOST_TEXT_BYTES].decode(errors="replace")
        raise _refusal(address, response.status_code, answered.get(b"location", b"").decode("latin-1"), text)
    stream_id = answered.get(messages.STREAM_ID.lower().encode())
    if stream_id is None:
        raise Lost(f"{address} is no Mesos master: its answer has no {messages.STREAM_ID}")
    headers[messages.STREAM_ID] = stream_id.decode("latin-1")
    head = f"POST {messages.PATH} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    calls = await streams.enter_async_context(await trio.open_tcp_stream(*address))
    return Subscription(address, exchange, Pipeline(calls, head.encode("latin-1")))


def _refusal(address: Address, status: int, location: str, text: str) -> Exception:
    if status == 307:
        try:
            return _Redirected(address_in(location))
        except ValueError as error:
            return Lost(f"{address} sends us on to {error}")
    if status == 401:
        return Lost(f"{address} does not take our credential, that of -framework_authentication_file (401)")
    kind = NotReady if status == 503 else Lost
    return kind(f"{address} refuses: {status} {text}".rstrip())


@contextlib.contextmanager
def _in_time(address: Address) -> Iterator[None]:
    try:
        with trio.fail_after(ANSWER_S):
            yield
    except trio.TooSlowError:
        raise Lost(f"no answer from {address} within {ANSWER_S:g} s") from None
    except OSError as error:
        raise Lost(f"{address}: {error.strerror or error}") from None
