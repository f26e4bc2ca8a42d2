"""Who is sent where, by followers, leaders, and those who know of no leader or several."""

from __future__ import annotations

import re

import pytest
import trio
from quart import Blueprint, Response
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient

from aurorad.leader.face import Leader
from aurorad.pages.look import Look
from aurorad.web.leader import leader_endpoints, location
from tests.web.serving import served

ME, OTHER, SIX = Leader("me", 8081, {}), Leader("other", 8082, {}), Leader("2001:db8::1", 8081, {})
LEADERS_ONLY = [
    *("/api", "/apibeta/getJobs", "/apiclient", "/v1/jobs", "/events", "/explain", "/plan", "/mname/r/e/n/0", "/state"),
    *("/offers", "/pendingtasks", "/quotas", "/tiers", "/maintenance", "/cron", "/utilization", "/utilization/total/r"),
]
ANYBODYS = ["/", "/scheduler", "/scheduler/role", "/updates", "/agents", "/health", "/vars", "/vars.json", "/assets/x"]


class Known:
    """A leadership that knows what it was told."""

    def __init__(self, *leaders: Leader) -> None:
        self.leaders = leaders
        self.leads = True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        raise AssertionError

    async def elected(self) -> None:
        raise AssertionError

    async def defeated(self) -> str:
        raise AssertionError

    async def advertise(self) -> None:
        raise AssertionError

    async def withdraw(self) -> None:
        raise AssertionError

    @property
    def is_advertised(self) -> bool:
        return self.leaders == (ME,)


def everything() -> Blueprint:
    blueprint = Blueprint("everything", __name__)

    @blueprint.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @blueprint.route("/<path:path>", methods=["GET", "POST"])
    async def serve(path: str) -> Response:
        return Response(f"served {path}")

    look = Look("aurorad.web", lambda: 0, home="/", part="scheduler", place="here", nav=[])
    blueprint.register_blueprint(look.assets())
    blueprint.app_errorhandler(503)(look.http_error)
    return blueprint


def client(*leaders: Leader) -> TrioClient:
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(leader_endpoints(Known(*leaders)))
    app.register_blueprint(everything())
    return TrioClient(app)


@pytest.mark.parametrize("path", LEADERS_ONLY)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_follower_sends_to_the_leader_what_is_a_leaders(path: str, method: str) -> None:
    answer = await client(OTHER).open(path, method=method)
    assert (answer.status_code, answer.headers["Location"]) == (307, f"http://other:8082{path}")
    assert await answer.get_data() == b""


@pytest.mark.parametrize("path", [*LEADERS_ONLY, *ANYBODYS])
async def test_the_leader_serves_everything(path: str) -> None:
    assert (await client(ME).get(path)).status_code == (404 if path == "/assets/x" else 200)


@pytest.mark.parametrize("leaders", [(), (OTHER,), (OTHER, ME)])
@pytest.mark.parametrize("path", ANYBODYS)
async def test_everybody_serves_what_is_anybodys(path: str, leaders: tuple[Leader, ...]) -> None:
    assert (await client(*leaders).get(path)).status_code == (404 if path == "/assets/x" else 200)


@pytest.mark.parametrize(
    ("leaders", "words"),
    [
        ((), "No scheduler leads now."),
        ((ME, OTHER), "Several schedulers say that they lead: me:8081, other:8082."),
    ],
)
async def test_without_a_single_leader_there_is_nowhere_to_go(leaders: tuple[Leader, ...], words: str) -> None:
    answer = await client(*leaders).post("/api")
    assert (answer.status_code, await answer.get_data(as_text=True)) == (503, f"No Leader Found\n{words}\n")
    page = await client(*leaders).get("/offers", headers={"Accept": "text/html"})
    assert page.status_code == 503
    assert re.search("<h1>No Leader Found</h1>", await page.get_data(as_text=True))


@pytest.mark.parametrize("leaders", [(), (OTHER,), (ME, OTHER)])
@pytest.mark.parametrize("value", ["", "false"])
async def test_who_asks_for_this_very_scheduler_is_served_by_it(value: str, leaders: tuple[Leader, ...]) -> None:
    answer = await client(*leaders).get("/offers", headers={"Bypass-Leader-Redirect": value})
    assert await answer.get_data(as_text=True) == "served offers"


@pytest.mark.parametrize("path", ["/apiary", "/statefoo", "/structdump", "/x/api"])
async def test_other_paths_are_no_leaders(path: str) -> None:
    assert (await client(OTHER).get(path)).status_code == 200


@pytest.mark.parametrize(
    ("leader", "scheme", "target", "place"),
    [
        (OTHER, "http", "/api", "http://other:8082/api"),
        (OTHER, "https", "/quotas?role=a%20b&x", "https://other:8082/quotas?role=a%20b&x"),
        (SIX, "http", "/api", "http://[2001:db8::1]:8081/api"),
    ],
)
def test_the_place_to_go_to_is_the_same_one_at_the_leader(leader: Leader, scheme: str, target: str, place: str) -> None:
    assert location(leader, scheme, target) == place


@pytest.mark.parametrize(
    "target",
    ["/quotas?role=a%2Fb&x=%0d%0aSet-Cookie:%20a", "/quotas/%2e%2e/x", "/offers?", "/%61pi", "/api/%E2%82%AC?a=%zz"],
)
async def test_the_address_goes_on_as_it_came(target: str) -> None:
    async with served(leader_endpoints(Known(OTHER)), everything()) as server:
        answer = await server.exchange(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 307 Temporary Redirect\r\n")
    assert f"location: http://other:8082{target.removesuffix('?')}\r\n".encode() in answer.lower().replace(
        target.lower().encode(), target.encode()
    )


async def test_a_large_body_is_taken_before_it_is_sent_elsewhere() -> None:
    body = b"x" * (4 << 20)
    async with served(leader_endpoints(Known(OTHER)), everything()) as server:
        head = f"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        again = b"GET /vars HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await server.exchange(head + body + again)
    assert answer.startswith(b"HTTP/1.1 307 ")
    assert answer.endswith(b"served vars")


@pytest.mark.parametrize(
    ("leaders", "status", "words"),
    [
        ((ME,), 200, "This is the leading scheduler."),
        ((OTHER,), 503, "Another instance is the leading scheduler."),
        ((), 502, "There is no leading scheduler or the leader is unknown."),
        ((ME, OTHER), 502, "There is no leading scheduler or the leader is unknown."),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Bypass-Leader-Redirect": "true"}])
async def test_load_balancers_are_told_who_leads(
    leaders: tuple[Leader, ...], status: int, words: str, headers: dict[str, str]
) -> None:
    answer = await client(*leaders).get("/leaderhealth", headers=headers)
    text = await answer.get_data(as_text=True)
    assert (answer.status_code, answer.content_type) == (status, "text/plain; charset=utf-8")
    assert text.startswith(f"Current status: {words}\n\nThis endpoint ")
    assert text.endswith(
        "200: This is the leading scheduler.\n503: Another instance is the leading scheduler.\n"
        "502: There is no leading scheduler or the leader is unknown."
    )
