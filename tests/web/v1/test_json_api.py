"""The JSON API over a contract that answers what a test wants: what is asked, what comes back, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import pytest
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient

from aurorad.api import calls
from aurorad.api.calls import CALLS, Call
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.results import (
    GetJobUpdateSummariesResult,
    JobSummary,
    JobSummaryResult,
    Response,
    ResponseDetail,
    Result,
    RoleSummary,
    RoleSummaryResult,
    ScheduleStatusResult,
    StartJobUpdateResult,
)
from aurorad.api.tasks import (
    AssignedTask,
    Hosts,
    InstanceKey,
    JobConfiguration,
    JobKey,
    ScheduledTask,
    TaskConfig,
    TaskQuery,
)
from aurorad.api.updates import JobUpdateKey
from aurorad.rules.permissions import ANYBODY, Caller
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.web.v1 import cluster, jobs, operations, tasks, updates
from aurorad.web.v1.blueprint import ROUTES, json_api
from aurorad.web.v1.route import World

WEB = JobKey("ops", "prod", "web")
DONE = Response(ResponseCode.OK)


class Answered(NamedTuple):
    status: int
    body: object
    headers: dict[str, str]
    calls: list[Call]

    @property
    def detail(self) -> str:
        assert isinstance(self.body, dict)
        return str(self.body["detail"])


def tables() -> Tables:
    made = Tables()
    Transaction(made).save_tasks(ScheduledTask(AssignedTask("t0", task=TaskConfig(WEB)), ScheduleStatus.RUNNING))
    return made


async def ask(
    method: str,
    path: str,
    body: object = None,
    answer: Response | Callable[[Call], Response] = DONE,
    headers: dict[str, str] | None = None,
) -> Answered:
    made: list[Call] = []

    async def handle(call: Call, caller: Caller) -> Response:
        assert caller is ANYBODY
        made.append(call)
        return answer if isinstance(answer, Response) else answer(call)

    async def nothing(*_: object) -> NoReturn:
        raise AssertionError

    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 10_000
    world = World(tables(), lambda: 0, nothing, nothing)
    app.register_blueprint(json_api(handle, lambda: ANYBODY, world))
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} if body is not None else {}
    done = await TrioClient(app).open(path, method=method, data=data, headers=given | (headers or {}))
    text = await done.get_data()
    value = json.loads(text) if text else None
    if done.status_code >= 400:
        assert done.content_type == "application/problem+json"
        assert isinstance(value, dict)
        assert value["status"] == done.status_code
        assert value["detail"].endswith((".", "valid."))
    return Answered(done.status_code, value, dict(done.headers), made)


@pytest.mark.parametrize(
    ("method", "path", "body", "call"),
    [
        ("GET", "/v1/tasks/t0", None, calls.GetTasksStatus(TaskQuery(task_ids=frozenset({"t0"})))),
        ("DELETE", "/v1/jobs/ops/prod/web", None, calls.KillTasks(WEB)),
        ("DELETE", "/v1/jobs/ops/prod/web?message=why", None, calls.KillTasks(WEB, message="why")),
        ("DELETE", "/v1/jobs/ops/prod/web/instances/0", None, calls.KillTasks(WEB, frozenset({0}))),
        ("POST", "/v1/jobs/ops/prod/web/kill", {"instances": [1, 2.0]}, calls.KillTasks(WEB, frozenset({1, 2}))),
        ("POST", "/v1/jobs/ops/prod/web/kill", None, calls.KillTasks(WEB)),
        ("POST", "/v1/jobs/ops/prod/web/restart", None, calls.RestartShards(WEB, frozenset({0}))),
        ("POST", "/v1/jobs/ops/prod/web/restart", {"shardIds": [3]}, calls.RestartShards(WEB, frozenset({3}))),
        (
            "POST",
            "/v1/jobs/ops/prod/web/instances",
            {"count": 2, "like": 1},
            calls.AddInstances(InstanceKey(WEB, 1), 2),
        ),
        ("PUT", "/v1/tasks/t0/state", {"status": "LOST"}, calls.ForceTaskState("t0", ScheduleStatus.LOST)),
        ("POST", "/v1/snapshot", None, calls.Snapshot()),
        ("PUT", "/v1/recovery", {"backup": "b1"}, calls.StageRecovery("b1")),
        ("POST", "/v1/reconciliation/implicit", None, calls.TriggerImplicitTaskReconciliation()),
    ],
)
async def test_a_request_is_one_call(method: str, path: str, body: object, call: Call) -> None:
    found = ScheduleStatusResult((ScheduledTask(AssignedTask("t0")),))
    done = await ask(method, path, body, Response(ResponseCode.OK, result=Result(schedule_status_result=found)))
    assert (done.status, done.calls) == (200, [call])


async def test_a_query_says_which_tasks() -> None:
    none = Response(ResponseCode.OK, result=Result(schedule_status_result=ScheduleStatusResult()))
    query = "?role=ops&job=ops/prod/web&instance=1&instance=2&status=RUNNING&host=h1&limit=10"
    done = await ask("GET", f"/v1/tasks{query}", answer=none)
    wanted = TaskQuery(
        role="ops",
        job_keys=frozenset({WEB}),
        instance_ids=frozenset({1, 2}),
        statuses=frozenset({ScheduleStatus.RUNNING}),
        slave_hosts=frozenset({"h1"}),
        limit=11,
    )
    assert (done.status, done.body, done.calls) == (200, {"items": []}, [calls.GetTasksWithoutConfigs(wanted)])
    done = await ask("GET", "/v1/tasks?configs=true", answer=none)
    assert done.calls == [calls.GetTasksStatus(TaskQuery(limit=101))]


async def test_pages_of_tasks_follow_on_each_other() -> None:
    everything = [ScheduledTask(AssignedTask(f"t{n}")) for n in range(5)]

    def answer(call: Call) -> Response:
        assert isinstance(call, calls.GetTasksWithoutConfigs)
        assert call.query is not None
        found = tuple(everything[call.query.offset :][: call.query.limit])
        return Response(ResponseCode.OK, result=Result(schedule_status_result=ScheduleStatusResult(found)))

    assert await _all_pages("/v1/tasks?limit=2", answer) == [2, 2, 1]


async def test_pages_of_names_follow_on_each_other() -> None:
    roles = frozenset(RoleSummary(f"r{n}") for n in range(4))
    answer = Response(ResponseCode.OK, result=Result(role_summary_result=RoleSummaryResult(roles)))
    assert await _all_pages("/v1/roles?limit=2", lambda call: answer) == [2, 2]
    summaries = frozenset(JobSummary(JobConfiguration(JobKey("r", "e", f"j{n}"))) for n in range(3))
    answer = Response(ResponseCode.OK, result=Result(job_summary_result=JobSummaryResult(summaries)))
    assert await _all_pages("/v1/jobs?limit=2", lambda call: answer) == [2, 1]


async def test_a_page_out_of_very_many_has_the_first_ones() -> None:
    roles = frozenset(RoleSummary(f"r{n:05}") for n in range(10_000))
    answer = Response(ResponseCode.OK, result=Result(role_summary_result=RoleSummaryResult(roles)))
    done = await ask("GET", "/v1/roles?limit=3", answer=answer)
    assert isinstance(done.body, dict)
    assert [item["role"] for item in done.body["items"]] == ["r00000", "r00001", "r00002"]
    done = await ask("GET", f"/v1/roles?limit=2&cursor={done.body['next']}", answer=answer)
    assert isinstance(done.body, dict)
    assert [item["role"] for item in done.body["items"]] == ["r00003", "r00004"]


async def _all_pages(path: str, answer: Callable[[Call], Response]) -> list[int]:
    """How many items each page has; no item comes twice."""
    sizes, seen, cursor = [], set(), ""
    while True:
        done = await ask("GET", path + cursor, answer=answer)
        assert isinstance(done.body, dict)
        sizes.append(len(done.body["items"]))
        for item in done.body["items"]:
            text = json.dumps(item)
            assert text not in seen
            seen.add(text)
        if "next" not in done.body:
            return sizes
        cursor = f"&cursor={done.body['next']}"


@pytest.mark.parametrize("cursor", ["%21", "w6k", "LTE", "OTk5OTk5OTk5OTk5OTk"])
async def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    done = await ask("GET", f"/v1/tasks?cursor={cursor}")
    assert (done.status, done.calls) == (422, [])


async def test_a_job_that_was_created_is_somewhere() -> None:
    body = {"key": {"role": "a", "environment": "b", "name": "c"}, "instanceCount": 1}
    done = await ask("POST", "/v1/jobs", body)
    assert (done.status, done.headers["location"], done.body) == (201, "/v1/jobs/a/b/c", {"details": []})


async def test_an_update_that_began_is_somewhere_and_one_that_had_nothing_to_do_is_not() -> None:
    key = JobUpdateKey(WEB, "u1")
    begun = Response(ResponseCode.OK, result=Result(start_job_update_result=StartJobUpdateResult(key)))
    done = await ask("POST", "/v1/updates", {"request": {"instanceCount": 1}}, begun)
    assert (done.status, done.headers["location"]) == (201, "/v1/updates/ops/prod/web/u1")
    unchanged = Response(ResponseCode.OK, details=(ResponseDetail("Unchanged."),))
    done = await ask("POST", "/v1/updates", {"request": {}}, unchanged)
    assert (done.status, done.body) == (200, {"details": ["Unchanged."]})


@pytest.mark.parametrize(
    ("code", "text", "status"),
    [
        (ResponseCode.INVALID_REQUEST, "No.", 422),
        (ResponseCode.ERROR, "No.", 422),
        (ResponseCode.ERROR, None, 422),
        (ResponseCode.AUTH_FAILED, "You lack something.", 403),
        (ResponseCode.JOB_UPDATING_ERROR, "Job is currently updating.", 409),
        (ResponseCode.ERROR_TRANSIENT, "Storage is not READY.", 503),
    ],
)
async def test_a_refusal_has_its_status_and_a_sentence(code: ResponseCode, text: str | None, status: int) -> None:
    answer = Response(code, details=(ResponseDetail(text),))
    done = await ask("DELETE", "/v1/jobs/ops/prod/web", answer=answer)
    assert isinstance(done.body, dict)
    assert (done.status, done.body["code"]) == (status, code.name)
    assert done.detail == (text or "The request cannot be done as it is: part of it is missing, or is not valid.")
    assert ("retry-after" in done.headers) is (status == 503)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("GET", "/v1/jobs/ops/prod/nosuch", None, "There is no job ops/prod/nosuch."),
        ("DELETE", "/v1/jobs/ops/prod/nosuch", None, "ops/prod/nosuch has no active tasks."),
        ("DELETE", "/v1/jobs/ops/prod/web/instances/7", None, "ops/prod/web has no active instance 7."),
        ("GET", "/v1/jobs/ops/prod/nosuch/configs", None, "There is no job ops/prod/nosuch."),
        ("PUT", "/v1/tasks/nosuch/state", {"status": "LOST"}, "There is no task nosuch."),
        ("POST", "/v1/updates/ops/prod/web/u9/abort", None, "There is no update u9 of ops/prod/web."),
        ("DELETE", "/v1/cron/ops/prod/web", None, "There is no cron job ops/prod/web."),
        ("GET", "/v1/nosuch", None, "There is nothing at /v1/nosuch: /v1/openapi.json says what there is."),
    ],
)
async def test_what_is_not_there_is_404(method: str, path: str, body: object, words: str) -> None:
    nothing = Response(ResponseCode.OK, result=Result(job_summary_result=JobSummaryResult()))
    done = await ask(method, path, body, nothing)
    assert (done.status, done.detail) == (404, words)


async def test_who_may_not_do_it_does_not_learn_what_there_is() -> None:
    refused = Response(ResponseCode.AUTH_FAILED, details=(ResponseDetail("You may not."),))
    assert (await ask("DELETE", "/v1/jobs/ops/prod/nosuch", answer=refused)).status == 403


async def test_what_is_there_already_is_a_conflict() -> None:
    refused = Response(ResponseCode.INVALID_REQUEST, details=(ResponseDetail("Job ops/prod/web already exists."),))
    body = {"key": {"role": "ops", "environment": "prod", "name": "web"}}
    assert (await ask("POST", "/v1/jobs", body, refused)).status == 409
    body["key"]["name"] = "other"
    assert (await ask("POST", "/v1/jobs", body, refused)).status == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/v1/jobs?rol=a", None, 400, "Unknown parameter 'rol': cursor, environment, limit, role can be given."),
        ("GET", "/v1/tiers?a=1", None, 400, "Unknown parameter 'a': none can be given."),
        ("GET", "/v1/jobs?role=a&role=b", None, 400, "role was given 2 times: once was expected."),
        ("GET", "/v1/jobs?limit=0", None, 400, "limit='0': a number from 1 to 1000 was expected."),
        ("GET", "/v1/tasks?configs=yes", None, 400, "configs='yes': one of true, false was expected."),
        ("GET", "/v1/tasks?job=web", None, 400, "job='web': role/environment/name was expected."),
        ("DELETE", "/v1/jobs/a%20b/prod/web", None, 400, "role='a b': letters, digits, '.', '-' and '_', at most 255"),
        ("POST", "/v1/jobs", b"{", 400, "The body is not JSON: "),
        ("POST", "/v1/jobs", b"\xff\xfe", 400, "The body is not JSON: "),
        ("POST", "/v1/jobs", b"[" * 5000, 400, "The body is nested too deeply."),
        ("POST", "/v1/jobs", [], 400, "JobConfiguration: [] where an object"),
        ("POST", "/v1/jobs", {"instances": 1}, 400, "instances: no such member of JobConfiguration, which has key, "),
        ("POST", "/v1/jobs", {"key": {"role": None}}, 400, "key.role: null where a value was expected; leave out what"),
        ("POST", "/v1/jobs", {"instanceCount": 1 << 31}, 400, "instanceCount: 2147483648 where a 32-bit integer was"),
        (
            "POST",
            "/v1/jobs/ops/prod/web/kill",
            {"job": {}},
            400,
            "job: no such member of KillTasks, which has instances",
        ),
        ("POST", "/v1/jobs", b"x" * 20_000, 413, ""),
        ("PATCH", "/v1/jobs", None, 405, "PATCH is not for this path: GET, HEAD, OPTIONS, POST can be used."),
        ("POST", "/v1/tiers", None, 405, "POST is not for this path: GET, HEAD, OPTIONS can be used."),
    ],
)
async def test_what_is_not_as_described_is_refused(
    method: str, path: str, body: object, status: int, words: str
) -> None:
    done = await ask(method, path, body)
    assert (done.status, done.calls) == (status, [])
    assert done.detail.startswith(words)


async def test_a_body_must_say_that_it_is_json() -> None:
    done = await ask("POST", "/v1/jobs", {}, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (done.status, done.detail) == (415, "A body of the Content-Type application/json was expected.")


async def test_who_has_it_already_is_told_so() -> None:
    answer = Response(ResponseCode.OK, result=Result(get_job_update_summaries_result=GetJobUpdateSummariesResult()))
    first = await ask("GET", "/v1/updates", answer=answer)
    again = await ask("GET", "/v1/updates", answer=answer, headers={"If-None-Match": f'"x", {first.headers["etag"]}'})
    assert (first.status, again.status, again.body) == (200, 304, None)


async def test_a_path_says_what_can_be_done_with_it() -> None:
    done = await ask("OPTIONS", "/v1/jobs/ops/prod/web")
    assert (done.status, done.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")


def test_every_call_of_the_contract_can_be_made() -> None:
    """But for those that others stand for: /v1/cron replaces schedules as it makes them, /v1/jobs lists all jobs."""
    modules = (jobs, tasks, updates, cluster, operations)
    used = {value for module in modules for value in vars(module).values() if value in CALLS.values()}
    assert set(CALLS.values()) - used == {calls.ReplaceCronTemplate, calls.GetJobs}


def test_no_two_routes_are_the_same() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


async def test_the_document_describes_every_route() -> None:
    done = await ask("GET", "/v1/openapi.json")
    assert isinstance(done.body, dict)
    described = {(method.upper(), path) for path, methods in done.body["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES}
    assert done.body["components"]["schemas"]["JobKey"]["additionalProperties"] is False
    assert Hosts.__name__ in done.body["components"]["schemas"]
