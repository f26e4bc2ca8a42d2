from collections.abc import Mapping
from typing import NoReturn

import pytest
import trio
from quart import Blueprint, Response
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    Attribute,
    HostAttributes,
    HostMaintenanceRequest,
    JobKey,
    ScheduledTask,
    TaskConfig,
)
from aurorad.rules.permissions import ANYBODY
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from aurorad.web.admin import admin_endpoints
from aurorad.web.app import scheduler_app
from aurorad.web.pages.blueprint import scheduler_look, scheduler_pages
from aurorad.web.thrift import thrift_endpoint


async def nobody(*_: object) -> NoReturn:
    raise AssertionError("a secret")


def application(
    stats: Vars, tables: Tables | None = None, waits: Mapping[str, Mapping[str, str]] | None = None
) -> QuartTrio:
    pages = scheduler_pages(
        scheduler_look("here", lambda: 0),
        tables or Tables(),
        lambda _: "",
        lambda host: f"http://{host}:1338",
        waits_for=lambda host: (waits or {})[host],
    )
    return scheduler_app(
        stats,
        thrift_endpoint(nobody, lambda: ANYBODY),
        admin_endpoints(stats, lambda: None),
        pages,
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/vars", 200),
        ("HEAD", "/vars", 200),
        ("POST", "/vars", 405),
        ("GET", "/vars/jvm_uptime_secs", 404),
        ("GET", "/api", 400),
        ("HEAD", "/api", 400),
        ("OPTIONS", "/api", 200),
        ("PUT", "/api", 405),
        ("DELETE", "/api", 405),
        ("POST", "/api/", 404),
        ("POST", "/api/x", 404),
        ("GET", "/nosuch", 404),
        ("GET", "/assets/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/agents", 200),
        ("GET", "/slaves", 200),
    ],
)
async def test_every_answer_is_protected_and_counted(method: str, path: str, status: int) -> None:
    stats = Vars()
    answer = await TrioClient(application(stats)).open(path, method=method)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "Set-Cookie" not in answer.headers
    assert stats.get(f"http_{status}_responses_events") == 1


async def test_health_is_short_for_probes_that_read_256_bytes() -> None:
    answer = await application(Vars()).test_client().get("/health")
    assert {name.lower() for name in answer.headers.keys()} == {"content-type", "content-length"}  # noqa: SIM118


async def test_an_answer_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plain function is run in a thread, which waits for the interpreter's lock")

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    answer = await application(Vars()).test_client().get("/health")
    assert answer.status_code == 200


async def test_a_defect_is_500_without_its_story() -> None:
    stats = Vars()
    answer = await application(stats).test_client().post("/api", data=b'[1,"getTierConfigs",1,0,{}]')
    text = await answer.get_data(as_text=True)
    assert answer.status_code == 500
    assert "secret" not in text
    assert "Traceback" not in text
    assert stats.get("http_500_responses_events") == 1


async def test_a_body_that_is_too_large_is_413() -> None:
    answer = await application(Vars()).test_client().post("/api", data=b"x", headers={"Content-Length": str(1 << 40)})
    assert answer.status_code == 413


async def test_hosts_are_listed_with_what_they_are() -> None:
    tables = Tables()
    attributes = frozenset({Attribute("rack", frozenset({"r2", "r1"})), Attribute("host", frozenset({"<b>"}))})
    Transaction(tables).save_host_attributes(HostAttributes("host-1", attributes, slave_id="agent-1"))
    html = await (await application(Vars(), tables).test_client().get("/agents")).get_data(as_text=True)
    assert 'href="http://host-1:1338"' in html
    assert "<td>agent-1</td><td>NONE</td><td>host=[&lt;b&gt;], rack=[r1,r2]</td>" in html


async def test_a_host_being_drained_says_what_is_left() -> None:
    tables = Tables()
    tx = Transaction(tables)
    tx.save_host_attributes(HostAttributes("h1", mode=MaintenanceMode.DRAINING, slave_id="agent-1"))
    tx.save_host_maintenance_request(HostMaintenanceRequest("h1", timeout_secs=60))
    assigned = AssignedTask("t1", "agent-1", "h1", TaskConfig(JobKey("www", "prod", "web")), instance_id=7)
    tx.save_tasks(ScheduledTask(assigned, ScheduleStatus.RUNNING))
    waits = {"h1": {"t1": "its SLA <coordinator> says no"}}
    html = await (await application(Vars(), tables, waits).test_client().get("/agents")).get_data(as_text=True)
    assert "1 task left, at most until" in html
    assert 'href="/scheduler/www/prod/web/7">www/prod/web/7</a>: its SLA &lt;coordinator&gt; says no' in html


async def test_a_long_answer_may_take_its_time() -> None:
    blueprint = Blueprint("any", __name__)

    @blueprint.get("/any")
    async def any_() -> Response:
        return Response("x")

    assert scheduler_app(Vars(), blueprint).config["RESPONSE_TIMEOUT"] is None
