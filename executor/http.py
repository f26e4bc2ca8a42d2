"""Just enough HTTP to ask a task on this machine for its health, and to tell it to end."""

from __future__ import annotations

from typing import NamedTuple

import h11
import trio

_MAX_BODY = 64 << 10  # nobody reads more of it
_LAST_PORT = 65535
_HOSTS = ("127.0.0.1", "::1")  # what localhost means; names would be looked up in a thread


class Answer(NamedTuple):
    status: int
    body: bytes


class NoAnswer(Exception):
    """What is wrong, in the words of health check reasons."""


async def ask(method: str, port: int, target: str, timeout_s: float, *, body: bool = True) -> Answer:
    """One request without a body to localhost. Redirects are not followed. Raises `NoAnswer`.

    Of an answer's body only the first 64 KiB are read, or nothing if it is of no interest.
    """
    if not 0 <= port <= _LAST_PORT:  # a socket would take the rest of it
        raise NoAnswer(f"port must be 0-{_LAST_PORT}")
    try:
        with trio.fail_after(timeout_s):
            stream = await _connect(port)
            async with stream:
                return await _exchange(stream, method, port, target, _MAX_BODY if body else 0)
    except trio.TooSlowError:
        raise NoAnswer("Error within TimeoutError") from None
    except OSError as error:
        raise NoAnswer(str(error)) from None
    except (h11.ProtocolError, UnicodeError, trio.BrokenResourceError) as error:
        raise NoAnswer(f"Error within {type(error).__name__}") from None


async def _connect(port: int) -> trio.SocketStream:
    """What the first address says counts if none answers: not every machine has the other."""
    refusals: list[Exception] = []
    for host in _HOSTS:
        try:
            return await trio.open_tcp_stream(host, port)
        except OSError as error:
            cause = error.__cause__  # Trio's own text tells no reason
            refusals += cause.exceptions if isinstance(cause, ExceptionGroup) else [error]
    raise refusals[0]


async def _exchange(stream: trio.SocketStream, method: str, port: int, target: str, body_bytes: int) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", f"localhost:{port}"), ("Connection", "close"), ("Content-Length", "0")]
    for event in (h11.Request(method=method, target=target, headers=headers), h11.EndOfMessage()):
        await stream.send_all(connection.send(event) or b"")
    status, body = 0, b""
    while not status or len(body) < body_bytes:
        got = connection.next_event()
        if got is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
        elif isinstance(got, h11.Response):
            status = got.status_code
        elif isinstance(got, h11.Data):
            body += got.data
        elif isinstance(got, h11.EndOfMessage | h11.ConnectionClosed):
            break
    return Answer(status, body[:body_bytes])
