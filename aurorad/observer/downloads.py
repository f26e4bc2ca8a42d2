"""Files as they are, whole or in part: a download that broke off can be taken up again (``Range``)."""

from __future__ import annotations

import os
from types import TracebackType
from typing import NamedTuple
from urllib.parse import quote

import trio
from quart import Blueprint, Response, request
from quart.wrappers.response import ResponseBody
from werkzeug.datastructures import Range

from aurorad.observer import walk
from aurorad.observer.context import Context, routes
from aurorad.observer.files import File
from aurorad.observer.lookup import Lookup

CHUNK_BYTES = 256 << 10
# What a task wrote may be a page: it must never run as one of ours, however it is opened.
_HARMLESS = "sandbox; default-src 'none'; frame-ancestors 'none'"


class DownloadRoutes:
    def __init__(self, context: Context) -> None:
        self._lookup = Lookup(context)

    def blueprint(self) -> Blueprint:
        return routes(
            "downloads",
            {
                "/download/<task_id>/<path:path>": self.file,
                "/logdownload/<task_id>/<process>/<run>/<stream>": self.log,
            },
        )

    async def file(self, task_id: str, path: str) -> Response:
        _, file = await self._lookup.sandbox_file(task_id, path)
        return await _answer(file, file.name)

    async def log(self, task_id: str, process: str, run: str, stream: str) -> Response:
        _, file = await self._lookup.log(task_id, process, run, stream)
        return await _answer(file, f"{process}-{run}-{stream}.log")


class Part(NamedTuple):
    """Bytes from `start` up to `stop`; `is_all` if the whole file was asked for, or what is answered with it."""

    start: int
    stop: int
    is_all: bool


def part_of(asked: Range | None, size: int) -> Part | None:
    """The part that a ``Range`` asks for; None if the file has none such. Several parts at once are not offered."""
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return Part(0, size, True)
    start, stop = asked.ranges[0]
    if start < 0:
        start = max(0, size + start)
    stop = size if stop is None else min(stop, size)
    return Part(start, stop, False) if start < stop else None


async def _answer(file: File, name: str) -> Response:
    status = await trio.to_thread.run_sync(_status, file)
    tag = f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
    unchanged = not request.headers.get("If-Range") or request.if_range.etag == tag
    part = part_of(request.range if unchanged else None, status.st_size)
    response = Response(b"", 416, content_type="application/octet-stream")
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Security-Policy"] = _HARMLESS
    if part is None:
        response.headers["Content-Range"] = f"bytes */{status.st_size}"
        return response
    response.status_code = 200 if part.is_all else 206
    if not part.is_all:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{status.st_size}"
    response.set_etag(tag)
    response.last_modified = status.st_mtime  # type: ignore[assignment]  # takes seconds, too
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    response.content_length = part.stop - part.start
    if request.method != "HEAD":
        response.response = _Bytes(file, (status.st_dev, status.st_ino), part)
    return response


def _status(file: File) -> os.stat_result:
    fd, status = walk.regular_file(file.place, file.relative)
    os.close(fd)
    return status


class _Bytes(ResponseBody):
    """Part of a file, read in threads; opened when the sending begins, closed when it ends."""

    def __init__(self, file: File, identity: tuple[int, int], part: Part) -> None:
        self._file = file
        self._identity = identity
        self._at, self._stop, _ = part
        self._fd = -1

    async def __aenter__(self) -> _Bytes:
        self._fd, status = await trio.to_thread.run_sync(walk.regular_file, self._file.place, self._file.relative)
        if (status.st_dev, status.st_ino) != self._identity:
            self._stop = self._at  # it is another file now: what was promised cannot be kept
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def __aiter__(self) -> _Bytes:
        return self

    async def __anext__(self) -> bytes:
        wanted = min(self._stop - self._at, CHUNK_BYTES)
        data = await trio.to_thread.run_sync(os.pread, self._fd, wanted, self._at) if wanted else b""
        if not data:
            raise StopAsyncIteration
        self._at += len(data)
        return data
