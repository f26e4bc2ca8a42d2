"""What the observer's routes share: the tasks, the look, and how something that is not there is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from quart import Blueprint, Response
from werkzeug import Response as AnyResponse

from aurorad.observer.observer import Observer, TaskView
from aurorad.pages.look import Look

View = Callable[..., Awaitable[AnyResponse | Response]]


class NotThere(Exception):
    """Answered with 404: what is missing, and perhaps what to do."""

    def __init__(self, title: str, *lines: str) -> None:
        super().__init__(title)
        self.title = title
        self.lines = lines


class Context(msgspec.Struct, frozen=True):
    observer: Observer
    look: Look

    async def task(self, task_id: str) -> TaskView:
        """The task. Raises `NotThere`."""
        task = await self.observer.task(task_id)
        if task is None:
            raise NotThere(
                f"Failed to find task {task_id}.  Try again shortly.",
                "It may not have begun yet, or its files may have been removed from this host.",
            )
        return task


def json_answer(value: object) -> Response:
    """As JSON, in the order in which it was made."""
    return Response(msgspec.json.encode(value), content_type="application/json")


def routes(name: str, views: Mapping[str, View]) -> Blueprint:
    """A blueprint of GET routes: path to view."""
    blueprint = Blueprint(name, __name__)
    for path, view in views.items():
        blueprint.add_url_rule(path, view.__name__, view, strict_slashes=False)
    return blueprint


def whole_number(text: str) -> int | None:
    """None for anything but a decimal number of a sensible length."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None
