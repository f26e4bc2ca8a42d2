"""Every route of every application has a decision on who may ask for it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from quart import Quart
from quart_trio.testing import TrioClient

from aurorad.daemon import _Daemon
from aurorad.flags import parse
from aurorad.leader.alone import Alone
from aurorad.notify import Notifier
from aurorad.storage.tables import Tables
from aurorad.vars import Vars
from aurorad.web.access import Access, Gate, decision
from tests.test_front import follower
from tests.waiting import until


@asynccontextmanager
async def apps(monkeypatch: pytest.MonkeyPatch, count: int, *flags: str) -> AsyncIterator[list[Quart]]:
    """What a daemon with these flags serves, as its gate has seen them."""
    guarded: list[Quart] = []
    guard = Gate.guard

    def remember(gate: Gate, app: Quart) -> None:
        guarded.append(app)
        guard(gate, app)

    monkeypatch.setattr(Gate, "guard", remember)
    daemon = _Daemon(parse(["-http_port=0", "-observer_port=0", *flags]), Vars(), Notifier())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await until(lambda: len(guarded) == count)
        yield guarded
        daemon.ending.told("the test")


def routes(app: Quart) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        for method in rule.methods or ():
            yield rule.rule, method


def undecided(app: Quart) -> list[tuple[str, str]]:
    return [route for route in routes(app) if decision(*route) is None]


async def test_of_a_leader_and_of_a_simulated_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("-engine=simulated", "-simulated_hosts=1", "-simulated_control_port=0", f"-work_dir={tmp_path}")
    async with apps(monkeypatch, 2, *flags) as (one, other):
        assert {len(list(routes(one))), len(list(routes(other)))} != {0}
        assert undecided(one) + undecided(other) == []
        paths = {rule for app in (one, other) for rule, _ in routes(app)}
        assert {"/api", "/quitquitquit", "/vars", "/scheduler/<role>", "/agent_remove"} <= paths


async def test_of_an_observer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with apps(monkeypatch, 1, "-role=observer") as (observer,):
        assert undecided(observer) == []
        assert ("/file/<task_id>/<path:path>", "GET") in set(routes(observer))


async def test_of_a_follower() -> None:
    assert undecided(follower(Tables(), Alone("localhost", 1))) == []


async def test_what_is_open_to_whoever_reaches_us_is_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with apps(monkeypatch, 1, "-engine=simulated", "-simulated_hosts=1", f"-work_dir={tmp_path}") as (leader,):
        of_anyone = {
            rule for rule, method in routes(leader) if method != "OPTIONS" and decision(rule, method) is Access.ANYONE
        }
        assert {rule for rule in of_anyone if not rule.startswith(("/assets/", "/apiclient", "/graphview"))} <= {
            "/health",
            "/leaderhealth",
            "/favicon.ico",
            "/api/aurora.thrift",
            "/v1/openapi.json",
        }


async def test_whatever_changes_something_is_not_done_for_another_sites_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("-engine=simulated", "-simulated_hosts=1", "-simulated_control_port=0", f"-work_dir={tmp_path}")
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Host": "localhost"}
    async with apps(monkeypatch, 2, *flags) as served:
        changing = [(app, *route) for app in served for route in routes(app) if changes(*route)]
        for app, rule, method in changing:
            path = re.sub("<[^>]*>", "1", rule)
            answer = await TrioClient(app).open(path, method=method, headers=evil)
            assert answer.status_code == 403, (method, path)
        assert {"/api", "/quitquitquit", "/agent_remove"} <= {rule for _, rule, _ in changing}


def changes(rule: str, method: str) -> bool:
    """Telling a simulated cluster something is done by looking at a page."""
    return method not in ("GET", "HEAD", "OPTIONS") or (decision(rule, method) is Access.HERE and method == "GET")
