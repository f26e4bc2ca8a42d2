from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from aurorad.api.tasks import Attribute
from aurorad.engine import base
from aurorad.engine.base import AgentLost, ExecutorLost, Resource, StatusUpdate, TaskState
from aurorad.engine.mesos import messages, translate

CPUS = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2.5}, "role": "*"}
PORTS = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 3}, {"begin": 7, "end": 7}]}}


def decode(kind: type[Any], value: dict[str, Any]) -> Any:
    return msgspec.json.decode(json.dumps(value), type=kind)


def offer(**more: object) -> base.Offer:
    ids = {"id": {"value": "o"}, "agent_id": {"value": "a"}, "framework_id": {"value": "f"}, "hostname": "h"}
    return translate.offer(decode(messages.Offer, {**ids, **more}))


def test_an_offer_without_anything() -> None:
    assert offer() == base.Offer("o", "a", "h", ())


@pytest.mark.parametrize(
    ("wire", "resource"),
    [
        (CPUS, Resource("cpus", 2.5)),
        (PORTS, Resource("ports", ranges=((1, 3), (7, 7)))),
        ({**PORTS, "ranges": {}}, Resource("ports")),
        ({**CPUS, "role": "web"}, Resource("cpus", 2.5, role="web")),
        ({**CPUS, "revocable": {}}, Resource("cpus", 2.5, revocable=True)),
        (
            {**CPUS, "role": "web", "reservation": {"principal": "ops"}},
            Resource("cpus", 2.5, role="web", reservation='{"principal": "ops"}'),
        ),
        ({**CPUS, "allocation_info": {"role": "*"}}, Resource("cpus", 2.5)),
    ],
)
def test_resources_are_offered(wire: dict[str, Any], resource: Resource) -> None:
    assert offer(resources=[wire]).resources == (resource,)


@pytest.mark.parametrize(
    "mark",
    [{"disk": {"persistence": {"id": "x"}}}, {"disk": {}}, {"shared": {}}, {"provider_id": {"value": "p"}}],
)
def test_what_is_no_plain_resource_is_not_used_as_one(mark: dict[str, Any]) -> None:
    assert offer(resources=[{**CPUS, "name": "disk", **mark}, CPUS]).resources == (Resource("cpus", 2.5),)


@pytest.mark.parametrize(
    "resource",
    [
        Resource("cpus", 2.5),
        Resource("mem", 0.0),
        Resource("ports", ranges=((1, 3), (7, 7))),
        Resource("ports"),
        Resource("cpus", 1.0, role="web", revocable=True, reservation='{"principal":"ops"}'),
    ],
)
def test_a_resource_comes_back_as_it_went(resource: Resource) -> None:
    wire = msgspec.json.encode(translate.wire_resource(resource))
    assert translate._resource(msgspec.json.decode(wire, type=messages.Resource)) == resource


def test_a_plain_resource_says_no_more_than_it_must() -> None:
    written = json.loads(msgspec.json.encode(translate.wire_resource(Resource("cpus", 2.5))))
    assert written == {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2.5}, "role": "*"}


def test_attributes_are_texts_and_numbers_and_those_of_one_name_are_one() -> None:
    attributes = [
        {"name": "rack", "type": "TEXT", "text": {"value": "r1"}},
        {"name": "weight", "type": "SCALAR", "scalar": {"value": 2}},
        {"name": "rack", "type": "TEXT", "text": {"value": "r2"}},
        {"name": "some", "type": "RANGES", "ranges": {"range": []}},
    ]
    assert offer(attributes=attributes).attributes == {
        Attribute("rack", frozenset({"r1", "r2"})),
        Attribute("weight", frozenset({"2.0"})),
    }


def test_when_an_agent_will_be_away_is_told_in_milliseconds() -> None:
    unavailability = {"start": {"nanoseconds": 1_500_000_999_999}, "duration": {"nanoseconds": 1}}
    assert offer(unavailability=unavailability).unavailability_start_ms == 1_500_000


@pytest.mark.parametrize(
    ("url", "hostname"),
    [
        ({}, None),
        ({"url": {"address": {"port": 1}}}, None),
        ({"url": {"address": {"port": 1, "ip": "10.0.0.1"}}}, "10.0.0.1"),
        ({"url": {"address": {"port": 1, "ip": "10.0.0.1", "hostname": "h"}}}, "h"),
    ],
)
def test_an_inverse_offer_is_about_the_host_in_its_url(url: dict[str, Any], hostname: str | None) -> None:
    wire = {"id": {"value": "i"}, "unavailability": {"start": {"nanoseconds": 7_000_000}}, **url}
    assert translate.inverse_offer(decode(messages.InverseOffer, wire)) == base.InverseOffer("i", hostname, 7)


@pytest.mark.parametrize(
    ("wire", "update"),
    [
        ({}, StatusUpdate("t", TaskState.TASK_LOST)),
        ({"state": "TASK_BETTER"}, StatusUpdate("t", TaskState.TASK_UNKNOWN)),
        ({"message": "", "uuid": ""}, StatusUpdate("t", TaskState.TASK_LOST)),
        (
            {
                "state": "TASK_RUNNING",
                "agent_id": {"value": "a"},
                "message": "m",
                "reason": "R",
                "source": "S",
                "timestamp": 1.5,
                "uuid": "AAE=",
                "executor_id": {"value": "e"},
                "container_status": {"network_infos": []},
            },
            StatusUpdate("t", TaskState.TASK_RUNNING, "a", "m", "R", "S", 1.5, b"\0\1"),
        ),
    ],
)
def test_status_updates(wire: dict[str, Any], update: StatusUpdate) -> None:
    status = {"task_id": {"value": "t"}, "state": "TASK_LOST", **wire}
    assert translate.status_update(decode(messages.TaskStatus, status)) == update


@pytest.mark.parametrize("state", TaskState)
def test_every_state_is_known(state: TaskState) -> None:
    assert translate.status_update(messages.TaskStatus(messages.Id("t"), state.value)).state is state


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        ({}, None),
        ({"agent_id": {"value": "a"}}, AgentLost("a")),
        ({"agent_id": {"value": "a"}, "executor_id": {"value": "e"}}, ExecutorLost("e", "a", 0)),
        ({"agent_id": {"value": "a"}, "executor_id": {"value": "e"}, "status": 1792}, ExecutorLost("e", "a", 1792)),
    ],
)
def test_a_failure_is_an_executors_or_its_agents(wire: dict[str, Any], event: base.Event | None) -> None:
    assert translate.failure(decode(messages.Failure, wire)) == event
