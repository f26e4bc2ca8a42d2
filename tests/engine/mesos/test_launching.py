"""What a Mesos master is told of a task, row by row of the scheduling sheet's section 10."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from frozendict import frozendict

from aurorad.api.enums import Mode
from aurorad.api.tasks import (
    AppcImage,
    AssignedTask,
    Container,
    DockerContainer,
    DockerImage,
    DockerParameter,
    Image,
    MesosContainer,
    MesosFetcherURI,
    Metadata,
    TaskConfig,
    Volume,
)
from aurorad.engine.base import Resource
from aurorad.engine.mesos.launching import Launching, Unlaunchable
from aurorad.rules import executors
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.task_info import task_info, template_of
from tests.rules.test_executors import MINE
from tests.rules.values import TASK, but

SETTINGS = ExecutorSettings(
    {
        "AuroraExecutor": executors.built_in(
            0.25, 128, "/usr/bin/run", ("/etc/more",), "--nosetuid", mounts=(Volume("/c", "/h", Mode.RO),)
        ),
        **executors.parse(json.dumps([MINE])),
    }
)
OWN = (
    Resource("cpus", 0.5, role="web"),
    Resource("cpus", 0.5),
    Resource("mem", 64.0),
    Resource("ports", ranges=((31000, 31000), (31002, 31003))),
)
OVERHEAD = (Resource("cpus", 0.25, revocable=True), Resource("mem", 128.0, reservation='{"principal":"p"}'))
HTTP = frozendict({"http": 31000, "admin": 31002})


def told(config: TaskConfig = TASK, launching: Launching | None = None) -> dict[str, Any]:
    """The message, as JSON."""
    assigned = AssignedTask("web-prod-site-7-x", "agent-1", "host-1", config, HTTP, 7)
    info = task_info(template_of(config, SETTINGS), assigned, "agent-1", OWN, OVERHEAD)
    message = (launching or Launching(SETTINGS.by_name)).task(info, "framework-1")
    told: dict[str, Any] = json.loads(msgspec.json.encode(message))
    return told


def test_a_task_has_its_name_and_ids() -> None:
    task = told()
    assert task["name"] == "web/prod/site"
    assert task["task_id"] == {"value": "web-prod-site-7-x"}
    assert task["agent_id"] == {"value": "agent-1"}


def test_resources_keep_role_reservation_and_marker_of_those_they_were_taken_from() -> None:
    task = told()
    assert task["resources"] == [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}, "role": "web"},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}, "role": "*"},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 64.0}, "role": "*"},
        {
            "name": "ports",
            "type": "RANGES",
            "ranges": {"range": [{"begin": 31000, "end": 31000}, {"begin": 31002, "end": 31003}]},
            "role": "*",
        },
    ]
    assert task["executor"]["resources"] == [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.25}, "role": "*", "revocable": {}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 128.0}, "role": "*", "reservation": {"principal": "p"}},
    ]


def test_labels_tell_tier_and_metadata() -> None:
    config = but(TASK, metadata=frozenset({Metadata("a", "1")}))
    assert told(config)["labels"] == {
        "labels": [
            {"key": "org.apache.aurora.tier", "value": "preemptible"},
            {"key": "org.apache.aurora.metadata.a", "value": "1"},
        ]
    }


def test_the_executor_finds_the_assigned_task_in_the_data() -> None:
    assert b"web-prod-site-7-x" in base64.b64decode(told()["data"])


def test_the_built_in_executor_is_told_how_it_starts_and_for_whom() -> None:
    assert {key: value for key, value in told()["executor"].items() if key != "resources"} == {
        "executor_id": {"value": "thermos-web-prod-site-7-x"},
        "framework_id": {"value": "framework-1"},
        "type": "CUSTOM",
        "name": "AuroraExecutor",
        "source": "web.prod.site.7",
        "labels": {"labels": [{"key": "source", "value": "web.prod.site.7"}]},
        "command": {
            "shell": True,
            "value": "${MESOS_SANDBOX=.}/run --nosetuid",
            "uris": [{"value": "/usr/bin/run", "executable": True}, {"value": "/etc/more", "executable": True}],
        },
    }


def test_another_executor_is_as_the_operator_wrote_it() -> None:
    executor = told(but(TASK, executor_config=but(TASK.executor_config, name="mine")))["executor"]  # type: ignore[type-var]
    assert executor["executor_id"] == {"value": "mine-web-prod-site-7-x"}
    assert executor["name"] == "mine"
    assert executor["command"]["shell"] is False
    assert executor["command"]["arguments"] == ["localhost:2181", "-verbose"]
    assert executor["shutdown_grace_period"] == {"nanoseconds": 5}


def test_an_executor_that_is_no_longer_configured_cannot_be_launched() -> None:
    config = but(TASK, executor_config=but(TASK.executor_config, name="gone"))  # type: ignore[type-var]
    with pytest.raises(Unlaunchable, match="executor 'gone' doesn't exist"):
        told(config)


def test_what_the_job_fetches_comes_after_what_its_executor_fetches_and_is_no_program() -> None:
    uris = frozenset({MesosFetcherURI("http://b", True, False, "there"), MesosFetcherURI("http://a", False, True)})
    assert told(but(TASK, mesos_fetcher_uris=uris))["executor"]["command"]["uris"][2:] == [
        {"value": "http://a", "executable": False, "extract": False, "cache": True},
        {"value": "http://b", "executable": False, "extract": True, "cache": False, "output_file": "there"},
    ]


HOST_VOLUME = {"mode": "RO", "container_path": "/c", "host_path": "/h"}
ASKED = Volume("/data", "/srv", Mode.RW)


def image_volume(image: dict[str, Any]) -> dict[str, Any]:
    return {"mode": "RO", "container_path": "taskfs", "image": image}


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        (Container(mesos=MesosContainer()), None),
        (
            Container(mesos=MesosContainer(Image(docker=DockerImage("python", "3.11")), (ASKED,))),
            {
                "type": "MESOS",
                "volumes": [
                    HOST_VOLUME,
                    {"mode": "RW", "container_path": "/data", "host_path": "/srv"},
                    image_volume({"type": "DOCKER", "docker": {"name": "python:3.11"}}),
                ],
            },
        ),
        (
            Container(mesos=MesosContainer(Image(appc=AppcImage("py", "sha512-1")))),
            {
                "type": "MESOS",
                "volumes": [HOST_VOLUME, image_volume({"type": "APPC", "appc": {"name": "py", "id": "sha512-1"}})],
            },
        ),
        (
            Container(docker=DockerContainer("python:3", (DockerParameter("env", "a=b"),))),
            {
                "type": "DOCKER",
                "volumes": [HOST_VOLUME],
                "docker": {"image": "python:3", "parameters": [{"key": "env", "value": "a=b"}]},
            },
        ),
    ],
)
def test_the_container_of_an_executor(container: Container, expected: dict[str, Any] | None) -> None:
    task = told(but(TASK, container=container))
    assert task["executor"].get("container") == expected
    assert "container" not in task


def test_docker_without_an_executor_is_a_container_of_the_task_itself() -> None:
    container = Container(docker=DockerContainer("python:3", (DockerParameter("env", "a=b"),)))
    task = told(but(TASK, container=container, executor_config=None))
    assert task["container"] == {
        "type": "DOCKER",
        "docker": {"image": "python:3", "parameters": [{"key": "env", "value": "a=b"}]},
    }
    assert task["command"] == {"shell": False}
    assert not {"executor", "data"} & task.keys()


@pytest.mark.parametrize("executor", [TASK.executor_config, None])
def test_a_container_of_no_kind_cannot_be_launched(executor: Any) -> None:
    with pytest.raises(Unlaunchable, match=r"Task had no supported container set\."):
        told(but(TASK, container=Container(), executor_config=executor))


def test_tasks_are_found_if_the_operator_wants_it() -> None:
    assert "discovery" not in told()
    assert told(launching=Launching(SETTINGS.by_name, "east"))["discovery"] == {
        "visibility": "CLUSTER",
        "name": "site.prod.web",
        "environment": "prod",
        "location": "east",
        "ports": {
            "ports": [
                {"name": "admin", "number": 31002, "protocol": "TCP"},
                {"name": "http", "number": 31000, "protocol": "TCP"},
            ]
        },
    }
