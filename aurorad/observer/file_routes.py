"""Sandboxes and logs: listings, viewers that follow, chunks and downloads (observer sheet, sections 5, 7 and 8)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

import trio
from quart import Blueprint, Response, jsonify, redirect, request
from quart.wrappers.response import ResponseBody
from werkzeug import Response as AnyResponse

from aurorad.observer import files, listing, views
from aurorad.observer.context import Context, NotThere, routes, sandbox_of, whole_number
from aurorad.observer.files import Refused, Window
from aurorad.observer.observer import TaskView
from aurorad.pages.paging import Here, Page

VIEW_BYTES = 100_000  # of a file on a page
DOWNLOAD_CHUNK_BYTES = 256 << 10


class _File(NamedTuple):
    """A file to be shown: the folder it must not leave, the path below it, and where its chunks and the whole are."""

    base: Path
    relative: str
    chunks_url: str
    download_url: str | None


class FileRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context

    def blueprint(self) -> Blueprint:
        log = "<task_id>/<process>/<run>/<stream>"
        return routes(
            "files",
            {
                f"/logs/{log}": self.logs,
                f"/logdata/{log}": self.logdata,
                "/file/<task_id>/<path:path>": self.file,
                "/filedata/<task_id>/<path:path>": self.filedata,
                "/download/<task_id>/<path:path>": self.download,
                "/browse/<task_id>": self.browse,
                "/browse/<task_id>/<path:path>": self.browse,
            },
        )

    async def logs(self, task_id: str, process: str, run: str, stream: str) -> Response:
        task, file = await self._log(task_id, process, run, stream)
        other = "stderr" if stream == "stdout" else "stdout"
        beside = (other, f"/logs/{views.part(task_id)}/{views.part(process)}/{run}/{other}")
        return await self._view(
            task, file, stream, beside, process=process, run=run, missing_is_empty=not task.finished
        )

    async def file(self, task_id: str, path: str) -> Response:
        task, file = await self._sandbox_file(task_id, path)
        return await self._view(task, file, path, None, process=None, run=None, missing_is_empty=False)

    async def logdata(self, task_id: str, process: str, run: str, stream: str) -> Response:
        _, file = await self._log(task_id, process, run, stream)
        return await _chunk(file)

    async def filedata(self, task_id: str, path: str) -> Response:
        _, file = await self._sandbox_file(task_id, path)
        return await _chunk(file)

    async def download(self, task_id: str, path: str) -> Response:
        _, file = await self._sandbox_file(task_id, path)
        window = await trio.to_thread.run_sync(files.read_window, file.base, file.relative, 0, 0)
        response = Response(_Download(file, window.size), content_type="application/octet-stream")
        response.content_length = window.size
        name = quote(path.rpartition("/")[2], safe="", errors="replace")
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        return response

    async def browse(self, task_id: str, path: str = "") -> AnyResponse | Response:
        task = await self._context.task(task_id)
        sandbox, steps = sandbox_of(task), [step for step in path.split("/") if step]
        here = Here(request.path, request.args.to_dict())
        try:
            page = await trio.to_thread.run_sync(_lines, task_id, sandbox, steps, here.number("page", 1))
        except NotADirectoryError:
            return redirect(f"/file/{views.path_url(task_id, *steps)}", 303)
        except Refused:
            if steps:
                raise
            raise NotThere("Sandbox does not exist.", f"Looked for {sandbox}, the sandbox of {task_id}") from None
        return await self._context.look.page(
            "browse.html",
            task=views.task_row(task),
            steps=[(step, f"/browse/{views.path_url(task_id, *steps[: n + 1])}") for n, step in enumerate(steps)],
            here=here,
            page=page,
            sandbox=str(sandbox),
        )

    async def _log(self, task_id: str, process: str, run: str, stream: str) -> tuple[TaskView, _File]:
        """Raises `NotThere` and `Refused`."""
        task = await self._context.task(task_id)
        if stream not in ("stdout", "stderr"):
            raise NotThere(f"No such log type: {stream}")
        number, header = whole_number(run), task.state.header
        if header is None or number is None or number not in range(len(task.state.processes.get(process, ()))):
            raise NotThere(f"Invalid task/process combination: {task_id}/{process}", f"Looked for its run {run}")
        base, relative = files.log_file(header.sandbox, header.log_dir, process, number, stream)
        within = header.sandbox is not None and base == Path(header.sandbox)
        download = f"/download/{views.path_url(task_id, *relative.split('/'))}" if within else None
        chunks = f"/logdata/{views.path_url(task_id, process, str(number), stream)}"
        return task, _File(base, relative, chunks, download)

    async def _sandbox_file(self, task_id: str, path: str) -> tuple[TaskView, _File]:
        """Raises `NotThere`."""
        task = await self._context.task(task_id)
        where = views.path_url(task_id, *path.split("/"))
        return task, _File(sandbox_of(task), path, f"/filedata/{where}", f"/download/{where}")

    async def _view(
        self,
        task: TaskView,
        file: _File,
        title: str,
        beside: tuple[str, str] | None,
        *,
        process: str | None,
        run: str | None,
        missing_is_empty: bool,
    ) -> Response:
        """The tail of a file, growing while the task lives; or with ``?offset=`` what is there."""
        offset = whole_number(request.args.get("offset", ""))
        try:
            window = await trio.to_thread.run_sync(_window, file, offset)
        except Refused:
            if not missing_is_empty:
                raise
            window = Window(0, b"", 0)
        return await self._context.look.page(
            "view.html",
            task=views.task_row(task),
            file=file,
            title=title,
            beside=beside,
            process=process,
            run=run,
            window=window,
            text=window.data.decode("utf-8", "replace"),
            tail=offset is None,
            following=offset is None and not task.finished,
            earlier=max(0, window.offset - VIEW_BYTES),
        )


def _window(file: _File, offset: int | None) -> Window:
    if offset is None or offset < 0:
        return files.read_tail(file.base, file.relative, VIEW_BYTES)
    return files.from_line(files.read_window(file.base, file.relative, offset, VIEW_BYTES))


async def _chunk(file: _File) -> Response:
    """``{"offset", "length", "data"}``, the data XML-escaped; ``{}`` for what cannot be read."""
    numbers = [whole_number(request.args.get(name, "-1")) for name in ("offset", "length")]
    offset, length = numbers
    if offset is None or length is None:
        return jsonify({})
    try:
        window = await trio.to_thread.run_sync(files.read_window, file.base, file.relative, offset, length)
    except Refused:
        return jsonify({})
    answer: dict[str, object] = {"offset": window.offset, "length": len(window.data)}
    if window.data:
        answer["data"] = escape(window.data.decode("utf-8", "replace"))
    return jsonify(answer)


def _lines(task_id: str, sandbox: Path, steps: list[str], number: int) -> Page[listing.Line]:
    """In a thread: besides the disk, it asks for the names of users and groups. Raises as `list_folder`."""
    year, page = datetime.now(UTC).year, files.list_folder(sandbox, "/".join(steps), number)
    lines = tuple(listing.line(task_id, steps, entry, year) for entry in page.rows)
    return Page(lines, page.number, page.size, page.total)


class _Download(ResponseBody):
    """A file's first `size` bytes, read in threads; opened when the sending begins, closed when it ends."""

    def __init__(self, file: _File, size: int) -> None:
        self._file = file
        self._left = size
        self._at = 0
        self._fd = -1

    async def __aenter__(self) -> _Download:
        self._fd, _ = await trio.to_thread.run_sync(files.open_regular, self._file.base, self._file.relative)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def __aiter__(self) -> _Download:
        return self

    async def __anext__(self) -> bytes:
        wanted = min(self._left, DOWNLOAD_CHUNK_BYTES)
        data = await trio.to_thread.run_sync(os.pread, self._fd, wanted, self._at) if wanted else b""
        if not data:
            raise StopAsyncIteration
        self._at += len(data)
        self._left -= len(data)
        return data
