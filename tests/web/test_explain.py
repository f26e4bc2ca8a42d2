"""``/explain`` and ``/plan``: what they take, and what they answer to what they do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quart.typing import TestClientProtocol as Client
from quart_trio import QuartTrio

from aurorad.api import binary, tjson
from aurorad.api.calls import Call, CreateJob, GetTierConfigs
from aurorad.api.tasks import JobConfiguration, JobKey
from aurorad.api.wire import BINARY_TYPE, JSON_TYPE, MessageHeader, MessageType
from aurorad.rules.explain import Explanation, Reason
from aurorad.rules.permissions import Caller
from aurorad.scheduler.explaining import JobExplanation, Waiting
from aurorad.scheduler.rpc.plans import Fit, Plan
from aurorad.web.explain import explain_endpoints

JOB = JobKey("www", "prod", "web")
HOSTS = Explanation(3, 0, (Reason("Insufficient: CPU", 3),), None, ("None of 3 hosts can take one more instance now.",))


async def explain(job: JobKey, instances: frozenset[int]) -> JobExplanation:
    waiting = Waiting(",".join(map(str, sorted(instances))), "PENDING", 5, HOSTS.sentences, HOSTS)
    return JobExplanation("www/prod/web", {"PENDING": 1}, ("1 of 1 active instances wait.",), (waiting,))


async def plan(call: Call, user: str) -> Plan:
    if not isinstance(call, CreateJob):
        raise ValueError(f"{call.method()} cannot be planned")
    return Plan(call.method(), "www/prod/web", "OK", (f"asked by {user}",), {"add": "0"}, Fit(1, 1, 1))


@pytest.fixture
def client() -> Client:
    app = QuartTrio("test")
    app.register_blueprint(explain_endpoints(explain, plan, lambda job: job == JOB, lambda: Caller("alice")))
    return app.test_client()


async def test_a_job_is_explained_as_json(client: Client) -> None:
    answer = await client.get("/explain?job=www/prod/web&instance=3&instance=1")
    assert answer.content_type == "application/json"
    assert await answer.get_json() == {
        "job": "www/prod/web",
        "instances": {"PENDING": 1},
        "sentences": ["1 of 1 active instances wait."],
        "waiting": [
            {
                "instances": "1,3",
                "status": "PENDING",
                "sinceMs": 5,
                "sentences": ["None of 3 hosts can take one more instance now."],
                "hosts": {
                    "hosts": 3,
                    "fitting": 0,
                    "reasons": [{"reason": "Insufficient: CPU", "hosts": 3}],
                    "nearest": None,
                    "sentences": ["None of 3 hosts can take one more instance now."],
                },
            }
        ],
        "update": [],
    }


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, "'' is not a job key: role/environment/name was expected.\n"),
        ("?job=www", 400, "'www' is not a job key: role/environment/name was expected.\n"),
        ("?job=www/prod/web&instance=x", 400, "'x' is no instance: a number such as 0 was expected.\n"),
        ("?job=www/prod/other", 404, "There is no job www/prod/other.\n"),
    ],
)
async def test_what_cannot_be_explained_gets_a_sentence(client: Client, query: str, status: int, text: str) -> None:
    answer = await client.get(f"/explain{query}")
    assert (answer.status_code, await answer.get_data(as_text=True)) == (status, text)
    assert answer.mimetype == "text/plain"


def message(call: Call) -> MessageHeader:
    return MessageHeader(call.method(), MessageType.CALL, 0)


@pytest.mark.parametrize(("encode", "type_"), [(binary.encode_message, BINARY_TYPE), (tjson.encode_message, JSON_TYPE)])
async def test_a_call_is_planned_in_either_encoding(
    client: Client, encode: Callable[[MessageHeader, Call], bytes], type_: str
) -> None:
    call = CreateJob(JobConfiguration(JOB))
    answer = await client.post("/plan", data=encode(message(call), call), headers={"Content-Type": type_})
    assert await answer.get_json() == {
        "method": "createJob",
        "job": "www/prod/web",
        "code": "OK",
        "sentences": ["asked by alice"],
        "changes": {"add": "0"},
        "fit": {"instances": 1, "fitting": 1, "hosts": 1, "explanation": None},
    }


async def test_a_call_that_cannot_be_planned_gets_a_sentence(client: Client) -> None:
    data = binary.encode_message(message(GetTierConfigs()), GetTierConfigs())
    answer = await client.post("/plan", data=data, headers={"Content-Type": BINARY_TYPE})
    assert (answer.status_code, await answer.get_data(as_text=True)) == (400, "getTierConfigs cannot be planned.\n")


async def test_what_is_no_call_gets_a_sentence(client: Client) -> None:
    answer = await client.post("/plan", data=b"x", headers={"Content-Type": BINARY_TYPE})
    assert answer.status_code == 400
    assert (await answer.get_data(as_text=True)).startswith("Malformed request body: ")
    assert (await client.post("/plan", data=b"x", headers={"Content-Type": "image/png"})).status_code == 400
