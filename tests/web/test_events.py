"""Changes as server-sent events, over a real connection where streams matter."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from quart_trio import QuartTrio

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig, TaskEvent
from aurorad.api.updates import (
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateSummary,
)
from aurorad.scheduler.feed import Feed
from aurorad.storage.events import TaskChanged, UpdateChanged
from aurorad.web.events import MOST_READERS, Filter, Stream, event_endpoints
from tests.web.serving import served

WEB, DB = JobKey("ops", "prod", "web"), JobKey("stores", "test", "db")

Message = tuple[str, str, dict[str, object]]


def task(job: JobKey, status: ScheduleStatus, message: str | None = None) -> ScheduledTask:
    assigned = AssignedTask(f"{job.name}-0", None, "h1", TaskConfig(job))
    return ScheduledTask(assigned, status, task_events=(TaskEvent(7, status, message),))


def started(job: JobKey) -> TaskChanged:
    return TaskChanged(task(job, ScheduleStatus.STARTING), task(job, ScheduleStatus.RUNNING, "well"))


def update(*statuses: JobUpdateStatus, actions: tuple[JobUpdateAction, ...] = ()) -> JobUpdateDetails:
    return JobUpdateDetails(
        JobUpdate(JobUpdateSummary(JobUpdateKey(WEB, "u1"))),
        tuple(JobUpdateEvent(status, 5, "me") for status in statuses),
        tuple(JobInstanceUpdateEvent(3, 6, action) for action in actions),
    )


class Reader:
    """One connection; what it was told, message by message."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._text = ""

    async def next(self) -> Message:
        """The next message with an event; what only has an id is passed over."""
        while True:
            while "\n\n" not in self._text:
                data = await self._stream.receive_some()
                if not data:
                    raise EOFError
                self._text += "".join(
                    line + "\n" for line in data.decode().replace("\r\n", "\n").split("\n") if not _is_size(line)
                )[:-1]
            message, _, self._text = self._text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in message.split("\n") if ": " in line)
            if "event" in fields:
                return fields["event"], fields["id"], json.loads(fields["data"])


def _is_size(line: str) -> bool:
    """Whether it is that of a chunk."""
    return bool(line) and len(line) < 6 and all(sign in "0123456789abcdefABCDEF" for sign in line)


@asynccontextmanager
async def reading(
    feed: Feed, query: str = "", last: str | None = None, stopping: trio.Event | None = None
) -> AsyncIterator[Reader]:
    async with served(event_endpoints(feed, trio.Event() if stopping is None else stopping)) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with stream:
            header = f"Last-Event-ID: {last}\r\n" if last is not None else ""
            await stream.send_all(f"GET /events{query} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
            head = b""
            while b"retry: 1000" not in head:
                head += await stream.receive_some()
            assert b"content-type: text/event-stream; charset=utf-8" in head
            reader = Reader(stream)
            reader._text = head.decode().replace("\r\n", "\n").partition("retry: 1000\n")[2]
            yield reader


async def test_changes_are_told_as_they_happen() -> None:
    feed = Feed("r")
    feed.changed(started(DB))  # before anybody asked
    async with reading(feed) as reader:
        feed.changed(started(WEB))
        kind, id_, data = await reader.next()
        assert (kind, id_) == ("task", "r-2")
        assert data == {
            "taskId": "web-0",
            "job": "ops/prod/web",
            "instance": 0,
            "from": "STARTING",
            "to": "RUNNING",
            "host": "h1",
            "timestampMs": 7,
            "message": "well",
        }
        before = update(JobUpdateStatus.ROLLING_FORWARD)
        feed.changed(UpdateChanged(None, before))
        after = update(
            JobUpdateStatus.ROLLING_FORWARD,
            JobUpdateStatus.ABORTED,
            actions=(JobUpdateAction.INSTANCE_UPDATING, JobUpdateAction.INSTANCE_UPDATED),
        )
        feed.changed(UpdateChanged(before, after))
        messages = [await reader.next() for _ in range(4)]
    assert [(kind, id_, data.get("status") or data.get("action")) for kind, id_, data in messages] == [
        ("update", "r-3", "ROLLING_FORWARD"),
        ("update", "r-4", "ABORTED"),
        ("instance", "r-4", "INSTANCE_UPDATING"),
        ("instance", "r-4", "INSTANCE_UPDATED"),
    ]


@pytest.mark.parametrize(
    ("query", "jobs"),
    [
        ("", ["ops/prod/web", "stores/test/db"]),
        ("?role=ops", ["ops/prod/web"]),
        ("?environment=test", ["stores/test/db"]),
        ("?job=ops/prod/web", ["ops/prod/web"]),
        ("?kind=task", ["ops/prod/web", "stores/test/db"]),
        ("?kind=update,instance", []),
        ("?role=ops&environment=test", []),
    ],
)
async def test_a_reader_gets_what_it_asked_for(query: str, jobs: list[str]) -> None:
    feed, stopping = Feed("r"), trio.Event()
    async with reading(feed, query, stopping=stopping) as reader:
        for job in (WEB, DB):
            feed.changed(started(job))
            same = task(job, ScheduleStatus.RUNNING)
            feed.changed(TaskChanged(same, same))  # which is no change of its status
        told = [(await reader.next())[2]["job"] for _ in jobs]
        stopping.set()
        kind, id_, data = await reader.next()
    assert told == jobs
    assert (kind, id_) == ("end", "r-4")
    assert str(data["sentence"]).startswith("This scheduler ends, or leads no more.")


async def test_who_comes_back_goes_on_where_it_was() -> None:
    feed = Feed("r")
    for job in (WEB, DB):
        feed.changed(started(job))
    async with reading(feed, last="r-1") as reader:
        _, id_, data = await reader.next()
        assert (id_, data["job"]) == ("r-2", "stores/test/db")


async def test_who_is_too_slow_is_told_what_it_missed() -> None:
    feed = Feed("r", kept=2)
    for _ in range(5):
        feed.changed(started(WEB))
    async with reading(feed, last="r-1") as reader:
        kind, id_, data = await reader.next()
        assert (kind, id_) == ("missed", "r-3")
        assert data == {"sentence": "2 changes were forgotten before they could be told. Look at the state anew."}
        assert [(await reader.next())[1] for _ in range(2)] == ["r-4", "r-5"]


@pytest.mark.parametrize("last", ["q-1", "nonsense"])
async def test_under_a_new_leader_a_reader_is_told_that_it_missed_something(last: str) -> None:
    feed = Feed("r")
    feed.changed(started(WEB))
    async with reading(feed, last=last) as reader:
        kind, id_, data = await reader.next()
        assert (kind, id_) == ("missed", "r-1")
        assert str(data["sentence"]).startswith("Another scheduler led before")
        feed.changed(started(WEB))
        assert (await reader.next())[:2] == ("task", "r-2")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?rolle=ops", "Unknown parameter 'rolle': role, environment, job, kind can be given.\n"),
        ("?job=web", "'web' is not a job key: role/environment/name was expected.\n"),
        ("?kind=tasks", "kind=tasks: some of instance, task, update were expected.\n"),
    ],
)
async def test_what_cannot_be_meant_is_refused(query: str, words: str) -> None:
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(event_endpoints(Feed("r"), trio.Event()))
    answer = await app.test_client().get(f"/events{query}")
    assert (answer.status_code, await answer.get_data(as_text=True)) == (400, words)


async def test_there_are_not_more_readers_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_READERS > 1
    monkeypatch.setattr("aurorad.web.events.MOST_READERS", 1)
    feed = Feed("r")
    async with served(event_endpoints(feed, trio.Event())) as server:
        request = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
        first = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with first:
            await first.send_all(request)
            assert b"200 OK" in await first.receive_some()
            answer = await server.exchange(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert b"HTTP/1.1 503 " in answer


async def test_who_hears_nothing_learns_now_and_then_how_far_it_is(autojump_clock: trio.testing.MockClock) -> None:
    feed = Feed("r")
    stream = Stream(feed, Filter(role="nobody"), None, trio.Event(), set(), 0)
    assert await anext(stream) == b"retry: 1000\nid: r-0\n\n"
    feed.changed(started(WEB))
    assert await anext(stream) == b"id: r-1\n\n"
