"""``/j``: tasks and processes as JSON (observer sheet, sections 5 and 6)."""

from __future__ import annotations

from typing import cast

import msgspec
from quart import Blueprint, Response, request

from aurorad.observer import views
from aurorad.observer.context import Context, NotThere, json_answer, routes, whole_number
from aurorad.observer.observer import Kind, Observer, TaskView

DEFAULT_COUNT = "20"


class JsonRoutes:
    def __init__(self, context: Context) -> None:
        self._observer = context.observer

    def blueprint(self) -> Blueprint:
        return routes(
            "json",
            {
                "/j/task_ids": self.task_ids,
                "/j/task_ids/<which>": self.task_ids,
                "/j/task_ids/<which>/<offset>": self.task_ids,
                "/j/task_ids/<which>/<offset>/<num>": self.task_ids,
                "/j/task_id_count": self.task_id_count,
                "/j/task": self.tasks,
                "/j/task/<task_id>": self.task,
                "/j/process/<task_id>": self.process,
                "/j/process/<task_id>/<process>": self.process,
                "/j/process/<task_id>/<process>/<run>": self.process,
                "/j/processes": self.processes,
            },
        )

    async def task_ids(self, which: str = "all", offset: str = "0", num: str = DEFAULT_COUNT) -> Response:
        await self._observer.refresh()
        kind, start, count = slice_of(self._observer, which, offset, num)
        every = self._observer.ids(kind)
        listed = await self._observer.each(every[start : start + count], _listed)
        known = [task for task in listed if task is not None]
        return json_answer({"type": kind, "offset": start, "num": count, "task_count": len(every), "tasks": known})

    async def task_id_count(self) -> Response:
        await self._observer.refresh()
        kinds: tuple[Kind, ...] = ("active", "finished", "all")
        return json_answer({kind: len(self._observer.ids(kind)) for kind in kinds})

    async def tasks(self) -> Response:
        found = await self._observer.each(_asked_ids(), lambda task: (task.task_id, _encoded(views.task_json(task))))
        return json_answer(dict(found))

    async def task(self, task_id: str) -> Response:
        found = await self._observer.task(task_id)
        return json_answer({} if found is None else {task_id: views.task_json(found)})

    async def process(self, task_id: str, process: str | None = None, run: str | None = None) -> Response:
        found = await self._observer.task(task_id)
        number = whole_number(run) if run is not None else None
        if found is None or process is None or (run is not None and number is None):
            return json_answer({})
        return json_answer(views.run_json(found, process, number))

    async def processes(self) -> Response:
        found = await self._observer.each(_asked_ids(), lambda task: (task.task_id, _encoded(_last_runs(task))))
        return json_answer(dict(found))


def _listed(task: TaskView) -> msgspec.Raw | None:
    """None for a task that cannot be read."""
    return _encoded(views.listed_json(task)) if task.state.statuses else None


def _last_runs(task: TaskView) -> dict[str, views.Json]:
    return {name: views.run_json(task, name) for name in task.state.processes}


def _encoded(value: object) -> msgspec.Raw:
    """A long answer is encoded one task after the other, between which others have their turn."""
    return msgspec.Raw(msgspec.json.encode(value))


def _asked_ids() -> list[str]:
    return [task_id for task_id in request.args.get("task_id", "").split(",") if task_id]


def slice_of(observer: Observer, which: str, offset: str, num: str) -> tuple[Kind, int, int]:
    """The type of tasks, where to start and how many; -k starts k from the end. Raises `NotThere`."""
    if which not in ("all", "active", "finished"):
        raise NotThere(f"Invalid task type: {which}")
    kind = cast(Kind, which)
    start, count = whole_number(offset), whole_number(num)
    if start is None:
        raise NotThere(f"Invalid offset: {offset}")
    if count is None or count < 0:
        raise NotThere(f"Invalid count: {num}")
    if start < 0:
        start = max(0, len(observer.ids(kind)) + start)
    return kind, start, count
