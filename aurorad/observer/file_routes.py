"""Sandboxes and logs: listings, viewers, and chunks as JSON (observer sheet, sections 5, 7 and 8)."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.sax.saxutils import escape

import msgspec
import trio
from quart import Blueprint, Response, redirect, request
from werkzeug import Response as AnyResponse

from aurorad.observer import files, listing, views, walk
from aurorad.observer.context import Context, NotThere, json_answer, routes, whole_number
from aurorad.observer.files import File, Rotated, Window
from aurorad.observer.following import Position
from aurorad.observer.lookup import Lookup, file_name
from aurorad.observer.observer import TaskView
from aurorad.observer.walk import Place, Refused
from aurorad.pages.formats import spelled
from aurorad.pages.paging import Here, Page

VIEW_BYTES = 100_000  # of a file on a page


class _Addresses(msgspec.Struct, frozen=True):
    """Where else a file is to be had: in chunks, as a stream, whole; and the page that shows it."""

    chunks: str
    stream: str
    download: str
    view: str

    @classmethod
    def of_log(cls, *steps: str) -> _Addresses:
        where = views.path_url(*steps)
        return cls(f"/logdata/{where}", f"/logstream/{where}", f"/logdownload/{where}", f"/logs/{where}")

    @classmethod
    def of_file(cls, task_id: str, path: str) -> _Addresses:
        where = views.path_url(task_id, *path.split("/"))
        return cls(f"/filedata/{where}", f"/filestream/{where}", f"/download/{where}", f"/file/{where}")


class _Shown(msgspec.Struct, frozen=True):
    """What a viewer starts with: some of a file, what else there is of it, and where a follower goes on."""

    window: Window
    rotated: tuple[Rotated, ...]
    position: Position | None


class FileRoutes:
    def __init__(self, context: Context) -> None:
        self._look = context.look
        self._lookup = Lookup(context)

    def blueprint(self) -> Blueprint:
        log = "<task_id>/<process>/<run>/<stream>"
        return routes(
            "files",
            {
                f"/logs/{log}": self.logs,
                f"/logdata/{log}": self.logdata,
                "/file/<task_id>/<path:path>": self.file,
                "/filedata/<task_id>/<path:path>": self.filedata,
                "/browse/<task_id>": self.browse,
                "/browse/<task_id>/<path:path>": self.browse,
            },
        )

    async def logs(self, task_id: str, process: str, run: str, stream: str) -> Response:
        task, file = await self._lookup.log(task_id, process, run, stream)
        names = [name for name in ("stdout", "stderr") if name != stream]
        beside = [(name, _Addresses.of_log(task_id, process, run, name).view) for name in names]
        addresses = _Addresses.of_log(task_id, process, run, stream)
        return await self._view(task, file, stream, addresses, beside, process=process, run=run)

    async def file(self, task_id: str, path: str) -> Response:
        task, file = await self._lookup.sandbox_file(task_id, path)
        addresses = _Addresses.of_file(task_id, file.relative)
        return await self._view(task, file, spelled(file.relative), addresses, [], process=None, run=None)

    async def logdata(self, task_id: str, process: str, run: str, stream: str) -> Response:
        _, file = await self._lookup.log(task_id, process, run, stream)
        return await _chunk(file)

    async def filedata(self, task_id: str, path: str) -> Response:
        _, file = await self._lookup.sandbox_file(task_id, path)
        return await _chunk(file)

    async def browse(self, task_id: str, path: str = "") -> AnyResponse | Response:
        task, sandbox = await self._lookup.sandbox(task_id)
        steps = [step for step in file_name(path).split("/") if step]
        above = [(step, f"/browse/{views.path_url(task_id, *steps[: n + 1])}") for n, step in enumerate(steps)]
        here = Here(request.path, request.args.to_dict())
        try:
            page = await trio.to_thread.run_sync(_lines, task_id, sandbox, steps, here.number("page", 1))
        except NotADirectoryError:
            return redirect(f"/file/{views.path_url(task_id, *steps)}", 303)
        except Refused:
            if steps:
                raise
            raise NotThere("Sandbox does not exist.", f"Looked for {sandbox}, the sandbox of {task_id}") from None
        return await self._look.page(
            "browse.html",
            task=views.task_row(task),
            steps=[(spelled(step), url) for step, url in above],
            here=here,
            page=page,
            sandbox=str(sandbox),
        )

    async def _view(
        self,
        task: TaskView,
        file: File,
        title: str,
        addresses: _Addresses,
        beside: list[tuple[str, str]],
        *,
        process: str | None,
        run: str | None,
    ) -> Response:
        """The tail of a file, growing while the task lives; or with ``?offset=`` what is there."""
        offset = whole_number(request.args.get("offset", ""))
        latest = not files.is_stream(file.name) or "." not in file.name
        try:
            shown = await trio.to_thread.run_sync(_show, file, offset)
        except Refused:
            if process is None or task.finished or not latest:
                raise
            shown = _Shown(Window(0, b"", 0), (), None)  # a process that has not written anything yet
        return await self._look.page(
            "view.html",
            task=views.task_row(task),
            addresses=addresses,
            title=title,
            beside=beside,
            process=process,
            run=run,
            window=shown.window,
            text=shown.window.data.decode("utf-8", "replace"),
            rotated=[(old, f"{addresses.view.rpartition('/')[0]}/{old.name}") for old in shown.rotated],
            name=file.name,
            latest=latest,
            tail=offset is None,
            position=shown.position or Position(0, 0),
            following=offset is None and not task.finished and latest,
            earlier=max(0, shown.window.offset - VIEW_BYTES),
        )


def _show(file: File, offset: int | None) -> _Shown:
    """Asks the disk. Raises `Refused`."""
    inode = walk.status_of(file.place, file.relative).st_ino  # read before the text: a later file is then known as one
    if offset is None or offset < 0:
        window = files.read_tail(file, VIEW_BYTES)
    else:
        window = files.from_line(files.read_window(file, offset, VIEW_BYTES))
    old = files.rotated(file) if files.is_stream(file.name) else []
    return _Shown(window, tuple(old), Position(inode, window.end))


async def _chunk(file: File) -> Response:
    """``{"offset", "length", "data"}``, the data XML-escaped; ``{}`` for what cannot be read."""
    offset, length = [whole_number(request.args.get(name, "-1")) for name in ("offset", "length")]
    if offset is None or length is None:
        return json_answer({})
    try:
        window = await trio.to_thread.run_sync(files.read_window, file, offset, length)
    except Refused:
        return json_answer({})
    answer: dict[str, object] = {"offset": window.offset, "length": len(window.data)}
    if window.data:
        answer["data"] = escape(window.data.decode("utf-8", "replace"))
    return json_answer(answer)


def _lines(task_id: str, sandbox: Place, steps: list[str], number: int) -> Page[listing.Line]:
    """In a thread: besides the disk, it asks for the names of users and groups. Raises as `list_folder`."""
    year, page = datetime.now(UTC).year, files.list_folder(sandbox, "/".join(steps), number)
    lines = tuple(listing.line(task_id, steps, entry, year) for entry in page.rows)
    return Page(lines, page.number, page.size, page.total)
