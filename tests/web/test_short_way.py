"""The short way answers as the long one does, and whoever has to be judged does not come by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from quart import Response as HttpResponse
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient
from werkzeug.datastructures import Headers as HttpHeaders

from aurorad.api import binary, compact, tjson
from aurorad.api.calls import Call, GetJobs, GetQuota, GetTasksStatus, GetTierConfigs, SetQuota
from aurorad.api.results import Response, ResponseDetail, Result, ScheduleStatusResult
from aurorad.api.tasks import AssignedTask, ScheduledTask
from aurorad.api.wire import BINARY_TYPE, COMPACT_TYPE, JSON_TYPE, MessageHeader, MessageType
from aurorad.leader.face import Leader
from aurorad.pages.guard import keep_others_out
from aurorad.rules.authorization import NotAuthenticated
from aurorad.rules.permissions import Caller
from aurorad.storage.tables import Tables
from aurorad.vars import Vars
from aurorad.web import short_way
from aurorad.web.access import RUN_AS, Gate, present_caller
from aurorad.web.app import scheduler_app
from aurorad.web.leader import BYPASS, leader_endpoints
from aurorad.web.pages.blueprint import scheduler_look, scheduler_pages
from aurorad.web.short_way import ShortWay
from aurorad.web.thrift import thrift_endpoint
from tests.web.test_access import basic, gate
from tests.web.test_every_route import apps
from tests.web.test_leader import ME, OTHER, Known

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


class World:
    """An application, and what came of requests to it."""

    def __init__(
        self, guard: Gate | None = None, leaders: tuple[Leader, ...] = (ME,), welcome: str | None = None
    ) -> None:
        self.stats = Vars()
        self.heard: list[tuple[Call, Caller]] = []
        self.ways: list[str] = []
        look = scheduler_look("here", lambda: 0)
        pages = scheduler_pages(look, Tables(), lambda _: "", lambda _: None)
        self.app = scheduler_app(
            self.stats, thrift_endpoint(self.handle, present_caller), pages, leader_endpoints(Known(*leaders))
        )
        keep_others_out(self.app, "127.0.0.1", "localhost", welcome)
        (guard or Gate(None)).guard(self.app)
        short = self.app.asgi_app
        assert isinstance(short, ShortWay)
        self.short, self.long = short, short._long_way
        short._long_way = self.remember  # type: ignore[assignment]  # a spy

    async def handle(self, call: Call, caller: Caller) -> Response:
        self.heard.append((call, caller))
        match call:
            case GetTasksStatus():
                tasks = tuple(ScheduledTask(AssignedTask(f"task-{i}")) for i in range(6_000))
                return Response(result=Result(schedule_status_result=ScheduleStatusResult(tasks)))
            case GetJobs():
                return Response(details=(ResponseDetail("x" * 10_000),))
            case GetQuota():
                raise ValueError("a secret")
            case SetQuota():
                raise NotAuthenticated
            case _:
                return Response(details=(ResponseDetail("done"),))

    async def remember(self, *request: Any) -> None:
        self.ways.append("long")
        await self.long(*request)

    def only_long(self) -> QuartTrio:
        self.app.asgi_app = self.long  # type: ignore[method-assign]
        return self.app


class Client:
    """One that may leave; `heard` is what it was told."""

    def __init__(self, app: QuartTrio, nursery: trio.Nursery) -> None:
        to_app, events = trio.open_memory_channel[dict[str, object]](10)
        self.say = to_app.send_nowait
        self.heard: list[object] = []
        headers = [(name.lower().encode(), value.encode()) for name, value in BINARY.items()]
        scope = {"type": "http", "method": "POST", "path": "/api", "query_string": b"", "headers": headers}
        scope |= {"scheme": "http", "root_path": "", "http_version": "1.1", "client": ("127.0.0.1", 1)}

        async def hear(event: object) -> None:
            self.heard.append(event)

        nursery.start_soon(app, scope, events.receive, hear)  # type: ignore[arg-type]


def message(call: Call) -> bytes:
    return binary.encode_message(MessageHeader(call.method(), MessageType.CALL, 7), call)


TYPE = {"Content-Type": BINARY_TYPE}
BINARY = {**TYPE, "Accept": BINARY_TYPE}
GZIP = {"Accept-Encoding": "gzip, deflate"}
CALL, MANY, LONG = message(GetTierConfigs()), message(GetTasksStatus()), message(GetJobs())
COMPACT = compact.encode_message(MessageHeader("getTierConfigs", MessageType.CALL, 7), GetTierConfigs())
JSON = tjson.encode_message(MessageHeader("getTierConfigs", MessageType.CALL, 7), GetTierConfigs())

SHORT: list[tuple[Headers, bytes]] = [
    (BINARY, CALL),
    (TYPE, CALL),
    ({"Content-Type": COMPACT_TYPE, "Accept": COMPACT_TYPE}, COMPACT),
    ({"Content-Type": JSON_TYPE}, JSON),
    ({}, JSON),
    ({"Content-Type": "application/x-thrift"}, CALL),
    ({**BINARY, **GZIP}, CALL),
    ({**BINARY, **GZIP}, LONG),
    ({**BINARY, "Accept-Encoding": "gzip;q=0"}, LONG),
    ({**BINARY, "Accept-Encoding": "*"}, LONG),
    (BINARY, MANY),
    ({**BINARY, **GZIP}, MANY),
    (BINARY, b"nonsense"),
    (BINARY, b""),
    ({"Content-Type": "text/html"}, b"x"),
    ({"Content-Type": JSON_TYPE}, b'[1,"noSuch",1,0,{}]'),
    ({**BINARY, "Host": "localhost", "Origin": "http://localhost"}, CALL),
    ({**BINARY, "Host": "elsewhere"}, CALL),
]
LONG_WAY: list[tuple[Headers, bytes]] = [
    ({**BINARY, "Host": "localhost", "Origin": "http://evil.example"}, CALL),
    ({**BINARY, "Sec-Fetch-Site": "cross-site"}, CALL),
    ({**BINARY, "Sec-Fetch-Site": "cross-site", "Accept": "text/html"}, CALL),
    ({**BINARY, "Sec-Fetch-Site": "same-origin", "Host": "evil.example"}, CALL),
    ({**BINARY, "Content-Length": str(1 << 40)}, CALL),
    ({**BINARY, "Content-Length": "x"}, CALL),
    ([*BINARY.items(), ("Accept", JSON_TYPE)], CALL),
    (BINARY, CALL + b"x" * (1 << 20)),
]
FAILING: list[tuple[Headers, bytes]] = [
    (BINARY, message(GetQuota())),
    ({**TYPE, "Accept": "text/html"}, message(GetQuota())),
]
CREDENTIALS: list[Headers] = [
    {},
    basic("ann", "apple"),
    basic("ann", "wrong"),
    {"Authorization": "nonsense"},
    [*basic("ann", "apple").items(), *basic("bob", "pear").items()],
    {**basic("web", "plum"), RUN_AS: "bob"},
    {RUN_AS: "bob"},
]


async def answer(app: QuartTrio, headers: Headers, body: bytes, method: str = "POST", path: str = "/api") -> object:
    got = await TrioClient(app).open(path, method=method, headers=HttpHeaders(headers), data=body)
    return got.status_code, sorted(got.headers.items()), await got.get_data(as_text=False)


def counted(world: World) -> dict[str, object]:
    names = (f"http_{status}_responses_events" for status in (200, 307, 400, 401, 403, 405, 413, 415, 500, 503))
    return {name: world.stats.get(name) for name in names}


async def same_both_ways(both: World, only: World, *request: Any) -> None:
    with trio.fail_after(5):  # refusals wait for bodies that do not end, but not for these
        expected = await answer(only.only_long(), *request)
        assert await answer(both.app, *request) == expected
    assert both.heard == only.heard
    assert counted(both) == counted(only)


@pytest.mark.parametrize(("headers", "body"), SHORT)
async def test_what_is_a_plain_call_goes_the_short_way_and_is_answered_as_ever(headers: Headers, body: bytes) -> None:
    world = World()
    await same_both_ways(world, World(), headers, body)
    assert world.ways == []


@pytest.mark.parametrize(("headers", "body"), LONG_WAY)
async def test_what_is_refused_or_large_goes_the_long_way(headers: Headers, body: bytes) -> None:
    world = World()
    await same_both_ways(world, World(), headers, body)
    assert world.ways == ["long"]


@pytest.mark.parametrize(("headers", "body"), FAILING)
async def test_of_a_defect_the_application_tells(headers: Headers, body: bytes) -> None:
    world = World()
    await same_both_ways(world, World(), headers, body)
    assert world.ways == ["long"]
    assert len(world.heard) == 1, "it is not called again"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", ["/api", "/api/", "/api/aurora.thrift", "/"])
async def test_every_other_request_goes_the_long_way(method: str, path: str) -> None:
    world = World()
    await same_both_ways(world, World(), BINARY, b"", method, path)
    assert world.ways == ["long"]


@pytest.mark.parametrize("anonymous_reads", [True, False])
@pytest.mark.parametrize("headers", CREDENTIALS)
@pytest.mark.parametrize("call", [GetTierConfigs(), SetQuota()])
async def test_who_says_something_of_itself_is_judged(headers: Headers, anonymous_reads: bool, call: Call) -> None:
    world, only = (World(gate(anonymous_reads=anonymous_reads, run_as=True)) for _ in range(2))
    given = [*BINARY.items(), *(headers.items() if isinstance(headers, Mapping) else headers)]
    await same_both_ways(world, only, given, message(call))
    nothing_to_judge = headers == {} and anonymous_reads and call == GetTierConfigs()
    assert world.ways == ([] if nothing_to_judge else ["long"])


@pytest.mark.parametrize("leaders", [(), (OTHER,), (ME, OTHER)])
@pytest.mark.parametrize("headers", [BINARY, {**BINARY, BYPASS: "true"}])
async def test_a_follower_sends_to_the_leader_as_ever(headers: Headers, leaders: tuple[Leader, ...]) -> None:
    world = World(leaders=leaders)
    await same_both_ways(world, World(leaders=leaders), headers, CALL)
    assert world.ways == ([] if BYPASS in headers else ["long"])


async def test_guests_are_told_so_the_long_way() -> None:
    world = World(welcome="*")
    await same_both_ways(world, World(welcome="*"), {**BINARY, "Origin": "http://a.example", "Host": "localhost"}, CALL)
    assert world.ways == ["long"]


async def test_a_hook_that_nobody_has_thought_of_closes_the_short_way() -> None:
    async def before() -> None:
        pass

    async def after(response: HttpResponse) -> HttpResponse:
        return response

    first, second = World(), World()
    first.app.before_request(before)
    second.app.after_request(after)
    for world in (first, second):
        await answer(world.app, BINARY, CALL)
        assert world.ways == ["long"]


async def test_it_is_open_in_a_leader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise AssertionError("the long way")

    async with apps(monkeypatch, 1, "-engine=simulated", "-simulated_hosts=1", f"-work_dir={tmp_path}") as (leader,):
        assert isinstance(leader, QuartTrio)
        assert isinstance(leader.asgi_app, ShortWay)
        leader.asgi_app._long_way = fail  # type: ignore[assignment]
        here = {**BINARY, BYPASS: "yes"}  # it may not be told yet who leads
        got = await leader.test_client().post("/api", headers=here, data=CALL)
        assert got.status_code == 200


async def test_a_call_is_given_up_when_its_client_leaves() -> None:
    began, ended = trio.Event(), trio.Event()

    async def handle(call: Call, caller: Caller) -> Response:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    app = scheduler_app(Vars(), thrift_endpoint(handle, present_caller))
    Gate(None).guard(app)
    async with trio.open_nursery() as nursery:
        client = Client(app, nursery)
        client.say({"type": "http.request", "body": CALL, "more_body": False})
        await began.wait()
        client.say({"type": "http.disconnect"})
        with trio.fail_after(5):
            await ended.wait()
    assert client.heard == []


async def test_a_body_that_comes_slowly_or_in_parts_arrives(autojump_clock: trio.testing.MockClock) -> None:
    for pause_s, ways in ((0.0, []), (3 * short_way._PATIENCE_S, ["long"])):
        world = World()
        async with world.app.test_client().request("/api", method="POST", headers=BINARY) as sent:
            await sent.send(CALL[:10])
            await trio.sleep(pause_s)
            await sent.send(CALL[10:])
            await sent.send_complete()
        assert (await sent.as_response()).status_code == 200
        assert [call for call, _ in world.heard] == [GetTierConfigs()]
        assert world.ways == ways


async def test_who_leaves_before_its_call_is_complete_is_not_heard() -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        client = Client(world.app, nursery)
        client.say({"type": "http.request", "body": CALL[:10], "more_body": True})
        client.say({"type": "http.disconnect"})
    assert (world.heard, client.heard) == ([], [])
