"""One POST to a server that somebody named: with a time limit, without redirects or proxies, the answer bounded."""

from __future__ import annotations

import ssl
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import h11
import trio

MAX_ANSWER_BYTES = 64 << 10

_RECEIVE_BYTES = 16 << 10
_UNQUOTED = "/%:@!$&'()*+,;=~?"


class Answer(NamedTuple):
    status: int
    body: bytes


class NoAnswer(Exception):
    """Why there is none; the text is for a log."""


class _Place(NamedTuple):
    """Where a URL leads."""

    encrypted: bool
    host: str
    port: int
    authority: str
    target: str


async def post(
    url: str,
    body: bytes,
    timeout_s: float,
    *,
    headers: Mapping[str, str] | None = None,
    parameters: Iterable[tuple[str, str]] = (),
) -> Answer:
    """What the server at this http or https URL says to `body`, within `timeout_s` seconds for all of it.

    `parameters` are added to the URL's query. Raises `NoAnswer`, also for a URL that is none and for an answer of more
    than 64 KiB. If cancelled, the server may have got it.
    """
    place = _place(url, parameters)
    try:
        with trio.fail_after(timeout_s):
            async with await _connect(place) as stream:
                return await _exchange(stream, place, body, headers or {})
    except trio.TooSlowError:
        raise NoAnswer(f"no answer from {place.authority} within {timeout_s:g} s") from None
    except (OSError, trio.BrokenResourceError, ssl.SSLError) as error:
        raise NoAnswer(f"{place.authority}: {_cause(error)}") from None
    except h11.ProtocolError as error:
        raise NoAnswer(f"{place.authority} does not speak HTTP properly: {error}") from None


def _place(url: str, parameters: Iterable[tuple[str, str]]) -> _Place:
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError as error:  # UnicodeError, too
        raise NoAnswer(f"not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise NoAnswer("not a URL such as http://host:port/path, without a user name")
    encrypted = parts.scheme == "https"
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority += f":{port}"
    query = "&".join(part for part in (parts.query, urllib.parse.urlencode(list(parameters), safe="/")) if part)
    target = urllib.parse.quote(parts.path or "/", safe=_UNQUOTED)
    if query:
        target += "?" + urllib.parse.quote(query, safe=_UNQUOTED)
    return _Place(encrypted, host, port if port is not None else 443 if encrypted else 80, authority, target)


async def _connect(place: _Place) -> trio.abc.Stream:
    stream = await trio.open_tcp_stream(place.host, place.port)
    if not place.encrypted:
        return stream
    return trio.SSLStream(stream, ssl.create_default_context(), server_hostname=place.host, https_compatible=True)


async def _exchange(stream: trio.abc.Stream, place: _Place, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    own = {"Host": place.authority, "Connection": "close", "Content-Length": str(len(body))}
    head = h11.Request(method="POST", target=place.target, headers=list({**headers, **own}.items()))
    for event in (head, h11.Data(data=body), h11.EndOfMessage()):
        await stream.send_all(connection.send(event) or b"")
    status, answer = 0, bytearray()
    while True:
        got = connection.next_event()
        if got is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))
        elif isinstance(got, h11.Response):
            status = got.status_code
        elif isinstance(got, h11.Data):
            answer += got.data
            if len(answer) > MAX_ANSWER_BYTES:
                raise NoAnswer(f"{place.authority} answers more than {MAX_ANSWER_BYTES} bytes")
        elif isinstance(got, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, bytes(answer))


def _cause(error: BaseException) -> str:
    """What is behind an error: Trio wraps those of all the addresses it tried."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[-1]
    return str(cause or error) or type(error).__name__
