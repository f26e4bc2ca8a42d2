from __future__ import annotations

import json
from typing import Any

import pytest

from aurorad.api.enums import Mode
from aurorad.api.tasks import ExecutorConfig, TaskConfig, Volume
from aurorad.engine.mesos import tasks as wire
from aurorad.rules import executors
from aurorad.rules.executors import BUILT_IN, ExecutorError, ExecutorSettings
from aurorad.rules.resources import ResourceType

CPUS, RAM = ResourceType.CPUS, ResourceType.RAM_MB

# As the original's documents have it, quoted truth values and all.
MINE: dict[str, Any] = {
    "executor": {
        "name": "mine",
        "command": {
            "value": "myExecutor.a",
            "shell": "false",
            "arguments": ["localhost:2181", "-verbose"],
            "uris": [{"value": "/dist/myExecutor.a", "executable": True, "extract": False, "cache": True}],
        },
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.00}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": "512"}},
        ],
        "shutdown_grace_period": {"nanoseconds": 5},
    },
    "volume_mounts": [
        {"mode": "RO", "container_path": "/in", "host_path": "/out"},
        {"mode": "RW", "container_path": "/c", "host_path": "/h"},
    ],
    "task_prefix": "mine-",
}


def asking_for(name: str | None) -> TaskConfig:
    return TaskConfig(executor_config=ExecutorConfig(name, "{}") if name is not None else None)


@pytest.mark.parametrize(
    ("name", "overhead", "prefix"),
    [
        (None, {}, None),
        ("AuroraExecutor", {CPUS: 0.25, RAM: 128}, "thermos-"),
        ("mine", {CPUS: 1.0, RAM: 512}, "mine-"),
        ("unknown", {}, ""),
    ],
)
def test_each_executor_needs_its_own(name: str | None, overhead: dict[ResourceType, float], prefix: str | None) -> None:
    settings = ExecutorSettings({**BUILT_IN.by_name, **executors.parse(json.dumps([MINE]))})
    assert settings.overhead(asking_for(name)) == overhead
    assert settings.prefix(asking_for(name)) == prefix


@pytest.mark.parametrize(
    ("given", "command", "uris"),
    [
        ({"path": "/usr/bin/thermos_executor"}, "${MESOS_SANDBOX=.}/thermos_executor", ["/usr/bin/thermos_executor"]),
        (
            {"path": "hdfs://x/y.pex", "uris": ["/a/b", "http://c/d"], "arguments": "--nosetuid --a=b"},
            "${MESOS_SANDBOX=.}/y.pex --nosetuid --a=b",
            ["hdfs://x/y.pex", "/a/b", "http://c/d"],
        ),
        ({"path": "e", "home_in_sandbox": True}, "HOME=${MESOS_SANDBOX=.} ${MESOS_SANDBOX=.}/e", ["e"]),
    ],
)
def test_the_built_in_executor_is_started_in_its_sandbox(given: dict[str, Any], command: str, uris: list[str]) -> None:
    info = executors.built_in(0.25, 128, **given).info
    assert info.name == "AuroraExecutor"
    assert info.command == wire.Command(
        tuple(wire.Uri(uri, executable=True) for uri in uris),
        shell=True,
        value=command,
    )


def test_a_file_of_executors_is_read() -> None:
    (mine,) = executors.parse(json.dumps([MINE])).values()
    assert mine.mounts == (Volume("/in", "/out", Mode.RO), Volume("/c", "/h", Mode.RW))
    assert mine.info.command == wire.Command(
        (wire.Uri("/dist/myExecutor.a", executable=True, extract=False, cache=True),),
        shell=False,
        value="myExecutor.a",
        arguments=("localhost:2181", "-verbose"),
    )
    assert json.loads(bytes(mine.info.shutdown_grace_period)) == {"nanoseconds": 5}


def but(**changes: Any) -> list[Any]:
    return [{**MINE, **changes}]


def executor_but(**changes: Any) -> list[Any]:
    return but(executor={key: value for key, value in {**MINE["executor"], **changes}.items() if value is not None})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "not a list of executors: Input data was truncated"),
        ("{}", "not a list of executors: Expected `array`, got `object`"),
        ([{}], "not a list of executors: Object missing required field `executor` - at `$[0]`"),
        (but(prefix="x"), "not a list of executors: Object contains unknown field `prefix` - at `$[0]`"),
        (executor_but(nam="x"), "not a list of executors: Object contains unknown field `nam` - at `$[0].executor`"),
        (executor_but(name=None), "executor 1 has no name"),
        (executor_but(command=None), "executor mine has no command"),
        (executor_but(name="AuroraExecutor"), "executor 1 is called AuroraExecutor, which is built in: another name"),
        ([MINE, MINE], "there are two executors called mine"),
        (
            executor_but(resources=[{"name": "bandwidth", "type": "SCALAR", "scalar": {"value": 1}}]),
            "resource bandwidth of executor mine: one of cpus, mem, disk, gpus was expected",
        ),
        (
            executor_but(resources=[{"name": "cpus", "type": "SCALAR"}]),
            "resource cpus of executor mine: a scalar of 0 or more was expected",
        ),
        (
            but(volume_mounts=[{"mode": "XX", "container_path": "/c", "host_path": "/h"}]),
            "mount /h:/c:XX: host:container:mode, of mode ro or rw, was expected",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(content: Any, text: str) -> None:
    with pytest.raises(ExecutorError) as refused:
        executors.parse(content if isinstance(content, str) else json.dumps(content))
    assert str(refused.value).startswith(text)


@pytest.mark.parametrize("text", ["/h:/c", "/h:/c:rx", "/h:/c:ro:x", ":/c:ro", ""])
def test_a_mount_has_three_parts(text: str) -> None:
    with pytest.raises(ExecutorError, match="host:container:mode, of mode ro or rw, was expected"):
        executors.volume(text)


def test_a_mode_is_written_in_any_case() -> None:
    assert executors.volume("/h:/c:Ro") == Volume("/c", "/h", Mode.RO)
