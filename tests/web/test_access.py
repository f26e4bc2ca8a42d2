"""The gate before the applications, and the table it goes by."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import pytest
import trio
import trio.testing
from quart import Blueprint
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient, connections
from werkzeug.datastructures import Headers

from aurorad.rules.permissions import Caller
from aurorad.vars import Vars
from aurorad.web.access import CHANGES, READS, RUN_AS, Access, Gate, decision, present_caller
from aurorad.web.authentication import Authentication, Basic
from aurorad.web.users import read_users

USERS = read_users("""
[users]
ann = apple, admin
bob = pear, quota
joe = nut, stopper
web = plum, proxy
[roles]
admin = *
quota = thrift.AuroraAdmin:setQuota
stopper = http.admin:quitquitquit
proxy = http.runAs:bob
""")

HERE, ELSEWHERE = ("127.0.0.1", 40000), ("192.0.2.7", 40000)


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def gate(**settings: bool) -> Gate:
    return Gate(Authentication({"basic": Basic(lambda: USERS)}, lambda: USERS, Vars()), **settings)


def app(guard: Gate, seen: list[Caller] | None = None) -> QuartTrio:
    made = QuartTrio(__name__, static_folder=None)
    blueprint = Blueprint("all", __name__)

    async def answer() -> str:
        if seen is not None:
            seen.append(present_caller())
        return "done"

    for path in ("/health", "/scheduler", "/api", "/quitquitquit", "/status", "/nobody_thought_of_this"):
        blueprint.add_url_rule(path, path, answer, methods=["GET", "POST"])
    made.register_blueprint(blueprint)
    guard.guard(made)
    return made


async def status(
    made: QuartTrio,
    path: str,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    *,
    method: str = "GET",
    client: tuple[str, int] = ELSEWHERE,
) -> int:
    answer = await TrioClient(made).open(
        path,
        method=method,
        headers=Headers(headers),
        scope_base={"client": client},
    )
    return answer.status_code


def test_a_decision_is_by_the_first_part_of_a_route_unless_it_has_its_own() -> None:
    assert decision("/task/<task_id>", "GET") is Access.READ
    assert decision("/api", "POST") is Access.CALL
    assert decision("/api/aurora.thrift", "GET") is Access.ANYONE
    assert decision("/", "GET") is Access.READ


def test_what_changes_something_is_decided_apart() -> None:
    assert decision("/logconfig", "GET") is Access.READ
    assert decision("/logconfig", "POST") is Access.ADMIN
    assert decision("/vars", "POST") is None


def test_nothing_but_health_and_looks_is_always_open() -> None:
    assert {path for path, access in READS.items() if access is Access.ANYONE} == {
        "/health",
        "/leaderhealth",
        "/assets",
        "/favicon.ico",
        "/apiclient",
        "/api/aurora.thrift",
        "/v1/openapi.json",
    }
    assert Access.ANYONE not in CHANGES.values()


@pytest.mark.parametrize("path", ["/health", "/scheduler", "/api"])
async def test_without_authentication_everybody_is_the_one_unsecure_caller(path: str) -> None:
    seen: list[Caller] = []
    assert await status(app(Gate(None), seen), path, basic("ann", "wrong")) == 200
    assert [caller.name for caller in seen] == ["UNSECURE"]


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_without_authentication_a_client_on_this_machine_may_end_the_scheduler(client: str) -> None:
    assert await status(app(Gate(None)), "/quitquitquit", method="POST", client=(client, 40000)) == 200


@pytest.mark.parametrize("client", ["192.168.1.7", "::ffff:192.168.1.7", "2001:db8::1"])
async def test_without_authentication_nobody_else_may(client: str) -> None:
    assert await status(app(Gate(None)), "/quitquitquit", method="POST", client=(client, 40000)) == 403


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        (basic("ann", "pear"), 401),
        (basic("bob", "pear"), 403),
        (basic("joe", "nut"), 200),
        (basic("ann", "apple"), 200),
    ],
)
@pytest.mark.parametrize("client", [HERE, ELSEWHERE])
async def test_with_authentication_who_ends_the_scheduler_needs_a_permission(
    headers: dict[str, str], expected: int, client: tuple[str, int]
) -> None:
    assert await status(app(gate()), "/quitquitquit", headers, method="POST", client=client) == expected


@pytest.mark.parametrize("path", ["/scheduler", "/api"])
async def test_a_wrong_password_is_refused_even_where_none_is_needed(path: str) -> None:
    made = app(gate())
    assert await status(made, path) == 200
    assert await status(made, path, basic("ann", "pear")) == 401
    assert await status(made, path, basic("nobody", "pear")) == 401
    assert await status(made, path, basic("ann", "apple")) == 200


async def test_health_is_for_whoever_asks_in_whatever_way() -> None:
    made = app(gate(anonymous_reads=False))
    assert await status(made, "/health", basic("ann", "wrong")) == 200


async def test_reading_can_be_closed_to_unknown_callers() -> None:
    made = app(gate(anonymous_reads=False))
    assert await status(made, "/scheduler") == 401
    assert await status(made, "/scheduler", basic("bob", "pear")) == 200
    assert await status(made, "/api", basic("joe", "nut")) == 200  # each call is judged by what it does


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_unknown_callers_send_is_not_even_read_then(method: str) -> None:
    assert await status(app(gate(anonymous_reads=False)), "/api", method=method) == 401


async def test_who_is_refused_may_not_send_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    client = app(gate()).test_client()
    async with client.request("/quitquitquit", method="POST") as sent:
        assert isinstance(sent, connections.TestHTTPConnection)
        await sent.send(b"something, ")
        with trio.fail_after(60):
            while sent.status_code is None:
                await trio.sleep(1)
                await sent.send(b"and more, ")
    assert sent.status_code == 401


async def test_a_challenge_says_how() -> None:
    answer = await app(gate(anonymous_reads=False)).test_client().get("/scheduler")
    assert answer.headers["WWW-Authenticate"] == 'BASIC realm="Apache Aurora Scheduler"'


async def test_what_nobody_has_decided_is_nobodys() -> None:
    for guard in (Gate(None), gate()):
        assert await status(app(guard), "/nobody_thought_of_this", basic("ann", "apple"), client=HERE) == 403


async def test_what_is_for_this_machine_stays_so() -> None:
    assert await status(app(gate()), "/status", client=HERE) == 200
    assert await status(app(gate()), "/status", basic("ann", "apple"), client=ELSEWHERE) == 403


async def test_what_is_not_there_is_not_found_by_anybody() -> None:
    assert await status(app(gate(anonymous_reads=False)), "/nowhere") == 404


async def test_two_callers_at_once_are_refused() -> None:
    headers = [*basic("ann", "apple").items(), *basic("bob", "pear").items()]
    assert await status(app(gate()), "/api", headers) == 400


class TestActingForSomebodyElse:
    async def test_gives_what_the_other_may_and_nothing_more(self) -> None:
        seen: list[Caller] = []
        assert await status(app(gate(run_as=True), seen), "/api", {**basic("web", "plum"), RUN_AS: "bob"}) == 200
        assert seen == [Caller("bob", USERS.permissions("bob"))]

    async def test_needs_a_permission(self) -> None:
        assert await status(app(gate(run_as=True)), "/api", {**basic("web", "plum"), RUN_AS: "ann"}) == 403
        assert await status(app(gate(run_as=True)), "/api", {**basic("bob", "pear"), RUN_AS: "web"}) == 403

    async def test_needs_somebody_who_asks(self) -> None:
        assert await status(app(gate(run_as=True)), "/api", {RUN_AS: "bob"}) == 401

    async def test_is_refused_where_it_is_not_in_use(self) -> None:
        assert await status(app(gate()), "/api", {**basic("ann", "apple"), RUN_AS: "bob"}) == 403

    @pytest.mark.parametrize("names", [[" "], ["bob", "bob"], ["b" * 256]])
    async def test_is_for_one_user(self, names: list[str]) -> None:
        headers = [*basic("ann", "apple").items(), *((RUN_AS, name) for name in names)]
        assert await status(app(gate(run_as=True)), "/api", headers) == 400
