import json
from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client
from quart_trio import QuartTrio

from aurorad.api.calls import Call, GetJobs, GetTasksStatus, GetTierConfigs, PruneTasks, SetQuota
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.results import Response, ResponseDetail, Result, ScheduleStatusResult
from aurorad.api.tasks import (
    AssignedTask,
    JobKey,
    Resource,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
    TaskQuery,
)
from aurorad.rules.permissions import ANYBODY, Caller
from aurorad.web.apibeta import apibeta_endpoint


@pytest.fixture
def heard() -> list[tuple[Call, Caller]]:
    return []


@pytest.fixture
def client(heard: list[tuple[Call, Caller]]) -> Client:
    async def handle(call: Call, caller: Caller) -> Response:
        heard.append((call, caller))
        if isinstance(call, GetTasksStatus):
            task = ScheduledTask(AssignedTask("t", task=TaskConfig(JobKey("r", "e", "j"))), ScheduleStatus.RUNNING)
            return Response(result=Result(schedule_status_result=ScheduleStatusResult((task,) * 2000)))
        return Response(ResponseCode.OK, details=(ResponseDetail("done"),))

    app = QuartTrio("tests")
    app.register_blueprint(apibeta_endpoint(handle, lambda: ANYBODY))
    return app.test_client()


async def ask(client: Client, method: str, body: bytes) -> tuple[int, Any]:
    answer = await client.post(f"/apibeta/{method}", data=body)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, json.loads(await answer.get_data(as_text=False))


@pytest.mark.parametrize(
    ("method", "body", "call"),
    [
        ("getTierConfigs", b"", GetTierConfigs()),
        ("getTierConfigs", b" {} ", GetTierConfigs()),
        ("getJobs", b'{"ownerRole": "www", "x": 1}', GetJobs("www")),
        ("getJobs", b'{"ownerRole": null}', GetJobs()),
        ("pruneTasks", b'{"query": {"limit": 5}}', PruneTasks(TaskQuery(limit=5))),
        (
            "getTasksStatus",
            b'{"query": {"statuses": ["RUNNING"], "jobKeys": [{"role": "r", "environment": "e", "name": "j"}]}}',
            GetTasksStatus(
                TaskQuery(statuses=frozenset({ScheduleStatus.RUNNING}), job_keys=frozenset({JobKey("r", "e", "j")}))
            ),
        ),
        (
            "setQuota",
            b'{"ownerRole": "www", "quota": {"resources": [{"numCpus": 1}, {"ramMb": 2}]}}',
            SetQuota("www", ResourceAggregate(frozenset({Resource(num_cpus=1.0), Resource(ram_mb=2)}))),
        ),
    ],
)
async def test_parameters_go_by_their_names(
    client: Client, heard: list[tuple[Call, Caller]], method: str, body: bytes, call: Call
) -> None:
    status, _ = await ask(client, method, body)
    assert (status, heard) == (200, [(call, ANYBODY)])


async def test_the_answer_is_the_response_by_its_names(client: Client) -> None:
    assert await ask(client, "getJobs", b"{}") == (200, {"responseCode": "OK", "details": [{"message": "done"}]})
    _, many = await ask(client, "getTasksStatus", b"{}")
    tasks = many["result"]["scheduleStatusResult"]["tasks"]
    assert len(tasks) == 2000
    assert tasks[7]["status"] == "RUNNING"
    assert tasks[7]["assignedTask"]["task"]["job"] == {"role": "r", "environment": "e", "name": "j"}


@pytest.mark.parametrize(
    ("method", "body", "status", "message"),
    [
        ("noSuch", b"{}", 404, "Method noSuch does not exist."),
        ("getJobs", b"hello", 400, "Request must be valid JSON"),
        ("getJobs", b"[" * 100_000, 400, "Request must be valid JSON"),
        ("getJobs", b'"\xff"', 400, "Request must be valid JSON"),
        ("getJobs", b"[]", 400, "Request data must be a JSON object of method parameters."),
        (
            "getJobs",
            b'{"ownerRole": {"a": 1}}',
            400,
            "Failed to parse parameter ownerRole: {'a': 1} where a string was expected",
        ),
    ],
)
async def test_what_is_no_call_is_told_in_the_same_form(
    client: Client, heard: list[tuple[Call, Caller]], method: str, body: bytes, status: int, message: str
) -> None:
    assert await ask(client, method, body) == (status, {"responseCode": "ERROR", "details": [{"message": message}]})
    assert not heard


async def test_who_looks_around_is_led_to_the_interface(client: Client) -> None:
    answer = await client.get("/apibeta")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/api/aurora.thrift")
    assert (await client.get("/apibeta/getJobs")).status_code == 405
