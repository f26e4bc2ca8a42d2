"""``/events``: changes of tasks and updates as they happen, as server-sent events.

An id says how far a reader is; who comes back with the last one (``Last-Event-ID``) goes on there, as long as this
scheduler leads and remembers. What cannot be told any more is told as ``missed``, with a sentence.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

import msgspec
import trio
from quart import Blueprint, Response, request
from quart.wrappers.response import ResponseBody
from werkzeug.datastructures import MultiDict

from aurorad.api import keys
from aurorad.api.tasks import JobKey
from aurorad.pace import Pace
from aurorad.scheduler.feed import Change, Feed, Position
from aurorad.storage.events import TaskChanged, UpdateChanged

MOST_READERS = 200
_AT_ONCE = 200
"""Changes told in one piece."""
_HEARTBEAT_S = 15.0
"""So that who is gone is missed, proxies do not give up, and who is told little knows how far it is."""
_RETRY_MS = 1000

_KINDS = frozenset({"task", "update", "instance"})
_FILTERS = ("role", "environment", "job", "kind")
_END = "This scheduler ends, or leads no more. Ask again: the next leader says what it knows."
_OTHER_REIGN = (
    "Another scheduler led before, or this one was started anew: what happened between the last event and now is not "
    "told. Look at the state anew."
)
_TOO_SLOW = "{} changes were forgotten before they could be told. Look at the state anew."

Json = dict[str, object]


class Filter(NamedTuple):
    """Whose changes are told: where something is None, all."""

    role: str | None = None
    environment: str | None = None
    job: JobKey | None = None
    kinds: frozenset[str] = _KINDS

    def wants(self, job: JobKey) -> bool:
        return (
            (self.role is None or job.role == self.role)
            and (self.environment is None or job.environment == self.environment)
            and (self.job is None or job == self.job)
        )

    @classmethod
    def read(cls, query: MultiDict[str, str]) -> Filter:
        """Raises `ValueError` with what is wrong."""
        for name in query:
            if name not in _FILTERS:
                raise ValueError(f"Unknown parameter {name!r}: {', '.join(_FILTERS)} can be given.")
        try:
            job = keys.parse(query["job"]) if "job" in query else None
        except ValueError as error:
            raise ValueError(f"{error}.") from None
        kinds = frozenset(kind for text in query.getlist("kind") for kind in text.split(","))
        if not kinds <= _KINDS:
            unknown = ", ".join(sorted(kinds - _KINDS))
            raise ValueError(f"kind={unknown}: some of {', '.join(sorted(_KINDS))} were expected.")
        return cls(query.get("role"), query.get("environment"), job, kinds or _KINDS)


def event_endpoints(feed: Feed, stopping: trio.Event) -> Blueprint:
    """Streams end with a sentence when `stopping` is set."""
    blueprint = Blueprint("events", __name__)
    readers = itertools.count()
    open_: set[int] = set()

    @blueprint.get("/events")
    async def events() -> Response:
        try:
            wanted = Filter.read(request.args)
        except ValueError as error:
            return Response(f"{error}\n", 400, content_type="text/plain; charset=utf-8")
        if len(open_) >= MOST_READERS:
            words = f"There are {MOST_READERS} readers of events already.\n"
            return Response(words, 503, content_type="text/plain; charset=utf-8", headers={"Retry-After": "10"})
        last = request.headers.get("Last-Event-ID")
        body = b"" if request.method == "HEAD" else Stream(feed, wanted, last, stopping, open_, next(readers))
        response = Response(body, content_type="text/event-stream; charset=utf-8")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"  # a proxy must not hold them back
        return response

    return blueprint


class Stream(ResponseBody):
    """What one reader is told, an iterator of pieces. Nothing is looked for before it took what came before."""

    def __init__(
        self, feed: Feed, wanted: Filter, last: str | None, stopping: trio.Event, open_: set[int], number: int
    ) -> None:
        self._feed = feed
        self._wanted = wanted
        self._stopping = stopping
        self._open = open_
        self._number = number
        self._read = feed.count
        self._begin = f"retry: {_RETRY_MS}\n"
        self._pace = Pace()
        self._ended = False
        if last:
            position = Position.read(last)
            if position is not None and position.reign == feed.reign:
                self._read = min(position.number, feed.count)
            else:
                self._begin += message("missed", self._id(), {"sentence": _OTHER_REIGN})
        self._begin += f"id: {self._id()}\n\n"

    async def __aenter__(self) -> Stream:
        self._open.add(self._number)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._open.discard(self._number)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        if self._begin:
            begin, self._begin = self._begin, ""
            return begin.encode()
        deadline = trio.current_time() + _HEARTBEAT_S
        while True:
            told = "" if self._ended else await self._more()
            if told:
                return told.encode()
            if self._stopping.is_set():
                break
            with trio.move_on_at(deadline) as waiting:
                await self._something()
            if waiting.cancelled_caught:
                return f"id: {self._id()}\n\n".encode()
        if self._ended:
            raise StopAsyncIteration
        self._ended = True
        return message("end", self._id(), {"sentence": _END}).encode()

    async def _more(self) -> str:
        """All that there is to tell now, at most of one piece; empty if there is nothing."""
        while self._read < self._feed.count:
            await self._pace.breathe()
            missed, first, changes = self._feed.after(self._read, _AT_ONCE)
            told = ""
            if missed:
                told = message("missed", Position(self._feed.reign, first), {"sentence": _TOO_SLOW.format(missed)})
            for number, change in enumerate(changes, first + 1):
                position = Position(self._feed.reign, number)
                told += "".join(message(kind, position, data) for kind, data in shown(change, self._wanted))
            self._read = first + len(changes)
            if told:
                return told
        return ""

    async def _something(self) -> None:
        """Wait for changes, or for the end."""
        async with trio.open_nursery() as nursery:

            async def until_the_end() -> None:
                await self._stopping.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_the_end)
            await self._feed.grown(self._read)
            nursery.cancel_scope.cancel()

    def _id(self) -> Position:
        return Position(self._feed.reign, self._read)


def message(kind: str, position: Position, data: Json) -> str:
    return f"event: {kind}\nid: {position}\ndata: {msgspec.json.encode(data).decode()}\n\n"


def shown(change: Change, wanted: Filter) -> Iterator[tuple[str, Json]]:
    """What a reader with this filter is told of a change: kinds, and their data."""
    match change:
        case TaskChanged():
            yield from _task(change, wanted)
        case UpdateChanged():
            yield from _update(change, wanted)


def _task(change: TaskChanged, wanted: Filter) -> Iterator[tuple[str, Json]]:
    task = change.after or change.before
    before, after = (one.status if one is not None else None for one in (change.before, change.after))
    if task is None or before is after or "task" not in wanted.kinds:
        return
    assigned = task.assigned_task
    if not wanted.wants(assigned.task.job):
        return
    data: Json = {
        "taskId": assigned.task_id,
        "job": keys.canonical(assigned.task.job),
        "instance": assigned.instance_id,
        "from": before.name if before is not None else None,
        "to": after.name if after is not None else None,
        "host": assigned.slave_host,
    }
    if after is not None and task.task_events:
        last = task.task_events[-1]
        data |= {"timestampMs": last.timestamp, "message": last.message}
    yield "task", data


def _update(change: UpdateChanged, wanted: Filter) -> Iterator[tuple[str, Json]]:
    after, before = change.after, change.before
    if after is None or not wanted.wants(after.update.summary.key.job):
        return
    key = after.update.summary.key
    named: Json = {"job": keys.canonical(key.job), "update": key.id}
    if "update" in wanted.kinds:
        for event in after.update_events[len(before.update_events) if before is not None else 0 :]:
            yield (
                "update",
                named
                | {
                    "status": event.status.name,
                    "timestampMs": event.timestamp_ms,
                    "user": event.user,
                    "message": event.message,
                },
            )
    if "instance" in wanted.kinds:
        for step in after.instance_events[len(before.instance_events) if before is not None else 0 :]:
            yield (
                "instance",
                named
                | {
                    "instance": step.instance_id,
                    "action": step.action.name,
                    "timestampMs": step.timestamp_ms,
                    "message": step.message,
                },
            )
