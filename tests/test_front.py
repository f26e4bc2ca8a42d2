"""One port, first a follower's, then a leader's; nobody is turned away in between."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from aurorad.api import binary
from aurorad.api.calls import GetJobs, Reply
from aurorad.api.enums import ResponseCode
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType
from aurorad.flags import Flags
from aurorad.front import Front, follower_app
from aurorad.leader.alone import Alone
from aurorad.leading import Surroundings
from aurorad.rules import executors, tiers
from aurorad.series import Series
from aurorad.storage.backup_folder import BackupFolder
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars
from aurorad.web import server
from aurorad.web.access import Gate
from tests.storage.samples import JOB, task


class Page:
    """An application that says its name, when it may."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked, self.may = trio.Event(), trio.Event()

    def app(self, _: object) -> QuartTrio:
        app = QuartTrio("tests")

        @app.get("/")
        async def say() -> str:
            self.asked.set()
            await self.may.wait()
            return self.name

        return app


async def _serve(
    app: QuartTrio, sock: socket.socket, stopping: trio.Event, *, task_status: trio.TaskStatus[None]
) -> None:
    await server.serve(app, sock, stopping=stopping, grace_s=30.0, task_status=task_status)


class World:
    def __init__(self, front: Front, port: int, follower: Page, leader: Page) -> None:
        self.front, self.port, self.follower, self.leader = front, port, follower, leader
        self.answers: list[str] = []

    async def ask(self) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            answer = b"".join([chunk async for chunk in stream])
        self.answers.append(answer.partition(b"\r\n\r\n")[2].decode())


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    sock = server.listen("127.0.0.1", 0, "http_port")
    port: int = sock.getsockname()[1]
    follower, leader = Page("follower"), Page("leader")
    with trio.fail_after(30):
        async with trio.open_nursery() as servers:
            front = Front(servers, sock, _serve, follower=follower.app, leader=leader.app)
            yield World(front, port, follower, leader)
            await front.stop()


# What a page is made of does not matter here.
ANY: Any = None


async def test_before_anything_is_shown_who_comes_waits() -> None:
    async with world() as it, trio.open_nursery() as clients:
        clients.start_soon(it.ask)
        it.leader.may.set()
        await it.front.lead(ANY)
    assert it.answers == ["leader"]


async def test_a_leaders_takes_the_place_of_a_followers_and_what_was_asked_before_is_answered() -> None:
    async with world() as it, trio.open_nursery() as clients:
        await it.front.follow(ANY)
        clients.start_soon(it.ask)
        await it.follower.asked.wait()
        await it.front.lead(ANY)
        it.leader.may.set()
        await it.ask()
        assert it.answers == ["leader"]
        it.follower.may.set()
    assert it.answers == ["leader", "follower"]


async def test_stopped_it_takes_nobody_and_answers_all_it_has_taken() -> None:
    async with world() as it, trio.open_nursery() as clients:
        await it.front.follow(ANY)
        clients.start_soon(it.ask)
        await it.follower.asked.wait()
        clients.start_soon(it.front.stop)
        await trio.testing.wait_all_tasks_blocked(0.05)
        with pytest.raises(OSError, match="failed"):
            await it.ask()
        it.follower.may.set()
    assert it.answers == ["follower"]


async def test_a_leader_told_to_end_while_it_begins_to_serve_does_end() -> None:
    async with world() as it, trio.open_nursery() as clients:
        await it.front.follow(ANY)
        clients.start_soon(it.ask)
        await it.follower.asked.wait()
        clients.start_soon(it.front.lead, ANY)
        clients.start_soon(it.front.stop)
        await trio.testing.wait_all_tasks_blocked(0.05)
        it.follower.may.set()
        await it.front.lead(ANY)  # too late: nobody is served
    assert it.answers == ["follower"]


async def test_stopping_twice_and_what_never_served_does_no_harm() -> None:
    async with world() as it:
        await it.front.stop()


# --- What a follower serves ---


def follower(tables: Tables, leadership: Alone, unfit: str | None = None) -> QuartTrio:
    flags = Flags(cluster_name="here")
    folder = BackupFolder(Path("/nonexistent"), 1)
    series = Series(Vars(), lambda: 1)
    given = Surroundings(
        flags=flags,
        stats=Vars(),
        tiers=tiers.BUILT_IN,
        executors=executors.BUILT_IN,
        webhook=None,
        executor_arguments=(),
        hostname="me",
        url="http://me:8081",
        now_ms=lambda: 1,
        observer_url=lambda _: None,
        backup_folder=folder,
        series=series,
        stopping=trio.Event(),
    )
    app = follower_app(given, tables, leadership, lambda: unfit)
    Gate(None).guard(app)
    return app


async def body(app: QuartTrio, path: str) -> str:
    response = await app.test_client().get(path, headers={"Accept": "text/html"})
    assert response.status_code == 200
    text: str = await response.get_data(as_text=True)
    return text


async def test_its_pages_show_the_tables_and_where_the_leader_is() -> None:
    tables, leadership = Tables(), Alone("2001:db8::1", 8081)
    tables.load([Row(Table.TASKS, "a", task("a"))])
    app = follower(tables, leadership)
    path = f"/scheduler/{JOB.role}/{JOB.environment}/{JOB.name}"
    assert "This scheduler waits to lead" in await body(app, path)
    await leadership.elected()
    await leadership.advertise()
    page = await body(app, path)
    assert "This scheduler follows another one" in page
    assert '<a href="http://[2001:db8::1]:8081/scheduler">Go to the leader</a>' in page
    tables.load([Row(Table.TASKS, "b", task("b", instance=1))])
    assert ">1</a>" in await body(app, path), "what comes is shown"


async def test_it_is_well_and_says_what_keeps_it_from_leading() -> None:
    assert await body(follower(Tables(), Alone("h", 1)), "/health") == "OK\n"
    told = await body(follower(Tables(), Alone("h", 1), "the quorum is wrong"), "/health")
    assert told == "OK\nThis scheduler cannot lead: the quorum is wrong\n"


async def test_calls_that_reach_it_all_the_same_are_told_to_come_again() -> None:
    request = binary.encode_message(MessageHeader("getJobs", MessageType.CALL, 0), GetJobs("www"))
    client = follower(Tables(), Alone("h", 1)).test_client()
    answer = await client.post("/api", data=request, headers={"Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE})
    data: bytes = await answer.get_data(as_text=False)
    reply = binary.read_struct(Reply, data, binary.decode_header(data)[1])[0].success
    assert reply is not None
    assert reply.response_code is ResponseCode.ERROR_TRANSIENT
    assert [detail.message for detail in reply.details] == ["Storage is not READY"]
    assert reply.server_info is not None
    assert reply.server_info.cluster_name == "here"
