"""From an address to the file that it names."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes

import trio
from quart import request

from aurorad.observer import files
from aurorad.observer.context import Context, NotThere, whole_number
from aurorad.observer.files import File
from aurorad.observer.observer import TaskView
from aurorad.observer.walk import Place, Refused


class Lookup:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def log(self, task_id: str, process: str, run: str, stream: str) -> tuple[TaskView, File]:
        """One of a run's logs, also one that was rotated away. Raises `NotThere` and `Refused`."""
        task = await self._context.task(task_id)
        if not files.is_stream(stream):
            raise NotThere(f"No such log type: {stream}")
        number = whole_number(run)
        if number is None or number not in range(len(task.state.processes.get(process, ()))):
            raise NotThere(f"Invalid task/process combination: {task_id}/{process}", f"Looked for its run {run}")
        return task, await trio.to_thread.run_sync(task.log, process, number, stream)

    async def sandbox(self, task_id: str) -> tuple[TaskView, Place]:
        """Raises `NotThere`."""
        task = await self._context.task(task_id)
        try:
            return task, await trio.to_thread.run_sync(task.sandbox)
        except Refused as error:
            raise NotThere("Sandbox does not exist.", f"Looked for {error}, the sandbox of {task_id}") from None

    async def sandbox_file(self, task_id: str, path: str) -> tuple[TaskView, File]:
        """`path` as the routes have it. Raises `NotThere`."""
        task, place = await self.sandbox(task_id)
        return task, File(place, file_name(path))


def file_name(path: str) -> str:
    """The end of the present request's address, after ``/<route>/<task_id>/``, as the file system spells it.

    The web server reads bytes that are no UTF-8 as U+FFFD; then only the raw address still has them.
    """
    if "\ufffd" not in path:
        return path
    raw: bytes = request.scope["raw_path"]
    return os.fsdecode(unquote_to_bytes(raw).split(b"/", 3)[3])
