"""Logs and files as they grow, as server-sent events.

A message's data is text, as a JSON string; its id says how far that goes, and a browser that comes back with the last
id (or a page that asks with ``?from=``) goes on there. ``cut``, ``rotated`` and ``skipped`` tell why text does not
follow on what was before; ``end`` that there will be no more. Nothing is read before the reader took what came before.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from types import TracebackType

import msgspec
import trio
from quart import Blueprint, Response, request
from quart.wrappers.response import ResponseBody

from aurorad.observer import walk
from aurorad.observer.context import Context, routes
from aurorad.observer.files import File
from aurorad.observer.following import Following, Piece, Position
from aurorad.observer.lookup import Lookup

MOST_STREAMS = 200
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
_BETWEEN_PIECES_S = 0.1  # 640 kB/s, some thousands of lines: no browser can draw much more, and nobody can read it
_LOOK_AT_TASK_EVERY_S = 2.0
_HEARTBEAT_S = 15.0  # so that who is gone is missed, and proxies do not give up

IsOver = Callable[[], Awaitable[bool]]


class StreamRoutes:
    def __init__(self, context: Context, stopping: trio.Event) -> None:
        """Streams end when `stopping` is set."""
        self._observer = context.observer
        self._lookup = Lookup(context)
        self._stopping = stopping
        self._open = 0

    def blueprint(self) -> Blueprint:
        return routes(
            "streams",
            {
                "/logstream/<task_id>/<process>/<run>/<stream>": self.logstream,
                "/filestream/<task_id>/<path:path>": self.filestream,
            },
        )

    async def logstream(self, task_id: str, process: str, run: str, stream: str) -> Response:
        task, file = await self._lookup.log(task_id, process, run, stream)
        return await self._stream(task_id, file, may_come=not task.finished)

    async def filestream(self, task_id: str, path: str) -> Response:
        _, file = await self._lookup.sandbox_file(task_id, path)
        return await self._stream(task_id, file, may_come=False)

    async def _stream(self, task_id: str, file: File, *, may_come: bool) -> Response:
        if not may_come:
            await trio.to_thread.run_sync(walk.status_of, file.place, file.relative)
        if self._open >= MOST_STREAMS:
            return Response("There are too many readers of logs.\n", 503, content_type="text/plain; charset=utf-8")

        async def is_over() -> bool:
            task = await self._observer.task(task_id)
            return task is None or task.finished

        start = Position.read(request.headers.get("Last-Event-ID") or request.args.get("from", ""))
        body = (
            b"" if request.method == "HEAD" else _Events(Following(file, start), is_over, self._stopping, self._count)
        )
        response = Response(body, content_type="text/event-stream; charset=utf-8")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"  # a proxy must not hold them back
        return response

    def _count(self, by: int) -> None:
        self._open += by


class _Events(ResponseBody):
    """One reader's events; the file is closed when the reader goes, however that happens."""

    def __init__(
        self, following: Following, is_over: IsOver, stopping: trio.Event, count: Callable[[int], None]
    ) -> None:
        self._following = following
        self._is_over = is_over
        self._stopping = stopping
        self._count = count
        self._pause_s = _SHORTEST_PAUSE_S
        self._last_piece_s = -math.inf
        self._over = False
        self._ended = False
        self._looked_s = -math.inf
        self._said_s = trio.current_time()

    async def __aenter__(self) -> _Events:
        self._count(1)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._count(-1)
        self._following.close()

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> bytes:
        while not self._ended and not self._stopping.is_set():
            event = await self._next()
            if event is not None:
                self._said_s = trio.current_time()
                return event
            with trio.move_on_after(self._pause_s):
                await self._stopping.wait()
        raise StopAsyncIteration

    async def _next(self) -> bytes | None:
        now_s = trio.current_time()
        if not self._over and now_s - self._looked_s >= _LOOK_AT_TASK_EVERY_S:
            self._looked_s = now_s
            self._over = await self._is_over()  # asked before the file is read: nothing is written after that
        await trio.sleep_until(self._last_piece_s + _BETWEEN_PIECES_S)
        piece = await trio.to_thread.run_sync(self._following.read)
        if piece is not None:
            self._last_piece_s = trio.current_time()
            self._pause_s = _SHORTEST_PAUSE_S
            return _event(piece)
        if self._over:
            self._ended = True
            return b'event: end\ndata: ""\n\n'
        self._pause_s = min(self._pause_s * 1.5, _LONGEST_PAUSE_S)
        return b":\n\n" if now_s - self._said_s >= _HEARTBEAT_S else None


def _event(piece: Piece) -> bytes:
    kind = b"" if piece.kind == "text" else f"event: {piece.kind}\n".encode()
    data = msgspec.json.encode(piece.text)
    return b"%bid: %b\ndata: %b\n\n" % (kind, str(piece.position).encode(), data)
