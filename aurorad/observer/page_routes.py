"""Lists of tasks, task and process pages (observer sheet, sections 5 and 8)."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
import trio
from quart import Blueprint, Response, redirect, request
from werkzeug import Response as AnyResponse

from aurorad.observer import views
from aurorad.observer.context import Context, NotThere, routes
from aurorad.observer.json_routes import DEFAULT_COUNT, slice_of
from aurorad.observer.observer import Kind

LIST_IN_OVERVIEW = 20
EVENTS_SHOWN = 100


class PageRoutes:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._observer = context.observer
        self._look = context.look

    def blueprint(self) -> Blueprint:
        return routes(
            "pages",
            {
                "/": self.index,
                "/main": self.main,
                "/main/<which>": self.main,
                "/main/<which>/<offset>": self.main,
                "/main/<which>/<offset>/<num>": self.main,
                "/task/<task_id>": self.task,
                "/rawtask/<task_id>": self.rawtask,
                "/process/<task_id>/<process>": self.process,
                "/output/<task_id>/<stream>": self.output,
            },
        )

    async def index(self) -> Response:
        await self._observer.refresh()
        lists = [await self._list(kind, 0, LIST_IN_OVERVIEW) for kind in ("active", "finished")]
        return await self._look.page("tasks.html", lists=lists, host=_host())

    async def main(self, which: str = "all", offset: str = "0", num: str = DEFAULT_COUNT) -> Response:
        await self._observer.refresh()
        lists = [await self._list(*slice_of(self._observer, which, offset, num))]
        return await self._look.page("tasks.html", lists=lists, host=_host())

    async def _list(self, kind: Kind, start: int, count: int) -> views.TaskList:
        every = self._observer.ids(kind)
        rows = await self._observer.each(every[start : start + count], views.task_row)
        return views.TaskList(kind, start, count, len(every), tuple(rows))

    async def task(self, task_id: str) -> Response:
        found = await self._context.task(task_id)
        return await self._look.page(
            "task.html",
            task=views.task_row(found),
            statuses=views.status_rows(found.state)[-EVENTS_SHOWN:],
            processes=views.process_rows(found),
            waiting=views.waiting_processes(found),
            finished=found.finished,
            abandoned=found.abandoned,
            host=_host(),
        )

    async def rawtask(self, task_id: str) -> Response:
        found = await self._context.task(task_id)
        pretty = await trio.to_thread.run_sync(lambda: msgspec.json.format(found.description.json, indent=4).decode())
        return await self._look.page("rawtask.html", task=views.task_row(found), json=pretty)

    async def process(self, task_id: str, process: str) -> Response:
        found = await self._context.task(task_id)
        if process not in views.process_names(found):
            raise NotThere(f"Invalid task/process combination: {task_id}/{process}")
        runs = [views.run_row(found, process, n) for n in range(len(found.state.processes.get(process, ())))]
        return await self._look.page(
            "process.html",
            task=views.task_row(found),
            name=process,
            runs=runs[::-1],
            cmdline=views.cmdline(found, process),
            finished=found.finished,
        )

    async def output(self, task_id: str, stream: str) -> AnyResponse:
        """On to the log that says most about the task: the scheduler's pages link here."""
        found = await self._context.task(task_id)
        if stream not in ("stdout", "stderr"):
            raise NotThere(f"No such log type: {stream}")
        chosen = views.main_process(found.state)
        if chosen is None:
            return redirect(f"/task/{views.part(task_id)}", 303)
        name, run = chosen
        return redirect(f"/logs/{views.part(task_id)}/{views.part(name)}/{run}/{stream}", 303)


def _host() -> str:
    """This machine as the reader's browser knows it: there the ports of its tasks are, too."""
    name = urlsplit(f"//{request.host}").hostname or "localhost"
    return f"[{name}]" if ":" in name else name
