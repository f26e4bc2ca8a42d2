"""The short way of small calls: ``POST /api`` past the web framework, a third of the time of such a request.

It is for requests of which nothing but the call is left to be judged. All others, and so whatever is refused, go the
long way, through the framework; tests send everything both ways. A hook of the application of which is not known
whether it would let a request pass closes the short way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, HTTPScope, Scope
from quart_trio import QuartTrio

from aurorad.pages.heads import judges
from aurorad.pages.look import PROTECTION
from aurorad.vars import Vars
from aurorad.web.access import UNASKED
from aurorad.web.compression import compressed
from aurorad.web.large import pieces
from aurorad.web.thrift import ANSWERED, PATH, RAISED, Message

_MOST_BYTES = 64 << 10
_PATIENCE_S = 1.0
"""So long a body may take to come; the long way has more patience."""
_PROTECTION = [(name.lower().encode(), value.encode()) for name, value in PROTECTION.items()]


class ShortWay:
    """Stands before an application, as its `asgi_app`."""

    def __init__(self, app: QuartTrio, after: Iterable[Callable[..., object]], stats: Vars) -> None:
        """`after` are the hooks after each request whose work is done here, too."""
        self._app = app
        self._long_way = app.asgi_app
        self._after = frozenset(after)
        self._stats = stats

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        began = trio.current_time()
        headers = self._headers(scope) if scope["type"] == "http" else None
        caller = self._app.extensions[UNASKED](headers) if headers is not None else None
        if headers is None or caller is None:
            await self._long_way(scope, receive, send)
            return
        came: list[ASGIReceiveEvent] = []
        body = await _small_body(receive, came)
        if body is None:
            await self._long_way(scope, _again(came, receive), send)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
            try:
                message = await self._app.extensions[ANSWERED](body, headers, caller)
            except Exception as error:
                # Not handled here: the application tells of it as of any other.
                await self._long_way(cast(Scope, {**scope, RAISED: error}), _again(came, receive), send)
            else:
                await self._send(message, headers, began, send)
            nursery.cancel_scope.cancel()

    def _headers(self, scope: HTTPScope) -> Mapping[str, str] | None:
        """None for what goes the long way."""
        app = self._app
        if scope["path"] != PATH or scope["method"] != "POST" or not {ANSWERED, UNASKED} <= app.extensions.keys():
            return None
        passes = judges(app)
        if passes is None or not self._after.issuperset(app.after_request_funcs[None]):
            return None
        given = [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in scope["headers"]]
        headers = dict(given)
        length = headers.get("Content-Length", "0")
        if len(headers) < len(given) or not length.isdecimal() or int(length) > _MOST_BYTES:
            return None
        return headers if all(judge(headers) for judge in passes) else None

    async def _send(self, message: Message, asked: Mapping[str, str], began: float, send: ASGISendCallable) -> None:
        data, headers = message.data, [(b"content-type", message.type.encode()), *_PROTECTION]
        if message.status == 200:
            small = await compressed(data, message.type, asked.get("Accept-Encoding"))
            if small is not None:
                data = small
                headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        headers.append((b"content-length", b"%d" % len(data)))
        self._stats.observe(f"http_{message.status}_responses", trio.current_time() - began)
        await send({"type": "http.response.start", "status": message.status, "headers": headers, "trailers": False})
        for piece in pieces(data, 0, len(data)):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _small_body(receive: ASGIReceiveCallable, came: list[ASGIReceiveEvent]) -> bytes | None:
    """None if it is not small, or not all of it has come in time; `came` is what has."""
    body = b""
    with trio.move_on_after(_PATIENCE_S):
        while len(body) <= _MOST_BYTES:
            event = await receive()
            came.append(event)
            if event["type"] != "http.request":
                return None
            body += event["body"]
            if not event["more_body"]:
                return body
    return None


def _again(came: list[ASGIReceiveEvent], receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
    """What came, and then what comes."""

    async def receive_again() -> ASGIReceiveEvent:
        return came.pop(0) if came else await receive()

    return receive_again


async def _until_gone(receive: ASGIReceiveCallable, scope: trio.CancelScope) -> None:
    """Nobody waits for the answer any more, then."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
