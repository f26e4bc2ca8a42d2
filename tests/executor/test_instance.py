"""From executor data to a task (config-schema sheet, sections 11 and 14)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from executor.instance import InvalidTask, parse_instance
from executor.task import Process, to_json
from executor.templates import Bindings

BINDINGS = Bindings("task-1", 7, "host.example", "john_doe")

EXAMPLE = {  # the sheet's minimal job
    "environment": "staging66",
    "name": "hello_world",
    "role": "john_doe",
    "cluster": "smf1-test",
    "service": False,
    "lifecycle": {"http": {"port": "health", "graceful_shutdown_endpoint": "/quitquitquit"}},
    "health_check_config": {
        "health_checker": {"http": {"endpoint": "/health", "expected_response": "ok", "expected_response_code": 0}},
        "initial_interval_secs": 15.0,
        "interval_secs": 10.0,
        "max_consecutive_failures": 0,
        "min_consecutive_successes": 1,
        "timeout_secs": 1.0,
    },
    "task": {
        "name": "main",
        "finalization_wait": 30,
        "max_failures": 1,
        "max_concurrency": 0,
        "constraints": [],
        "resources": {"cpu": 0.1, "ram": 67108864, "disk": 67108864, "gpu": 2},
        "processes": [
            {
                "name": "hello_world",
                "cmdline": "echo {{mesos.instance}}",
                "daemon": False,
                "ephemeral": False,
                "max_failures": 1,
                "min_duration": 5,
                "final": False,
            }
        ],
    },
}


def parse(data: Any, ports: dict[str, int] | None = None) -> Any:
    return parse_instance(json.dumps(data), BINDINGS, ports or {})


def job(*processes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "r", "task": {"processes": list(processes), **fields}}


def test_the_example_is_understood() -> None:
    instance, _ = parse(EXAMPLE)
    assert (instance.role, instance.environment, instance.task.name) == ("john_doe", "staging66", "main")
    assert instance.task.processes == (Process("hello_world", "echo 7"),)
    assert instance.health_check_config.health_checker.http.endpoint == "/health"
    assert instance.lifecycle.http.shutdown_wait_secs == 5


def test_what_is_absent_has_its_default() -> None:
    instance, _ = parse(job({"name": "p", "cmdline": "true"}))
    assert instance.task.name == "p"
    assert instance.lifecycle is None
    assert instance.health_check_config.health_checker.http.endpoint == "/health"


def test_numbers_may_come_from_templates() -> None:
    instance, _ = parse(job({"name": "p", "cmdline": "true", "max_failures": "{{mesos.instance}}"}))
    assert instance.task.processes[0].max_failures == 7


def test_ports_come_from_the_scheduler_and_through_the_portmap() -> None:
    data = {**job({"name": "p", "cmdline": "{{thermos.ports[aurora]}}"}), "announce": {"primary_port": "http"}}
    instance, bindings = parse(data, {"http": 31000})
    assert instance.task.processes[0].cmdline == "31000"
    assert bindings.ports == {"http": 31000, "aurora": 31000}


def test_of_processes_with_the_same_name_the_last_remains() -> None:
    instance, _ = parse(
        job({"name": "p", "cmdline": "1"}, {"name": "q", "cmdline": "2"}, {"name": "p", "cmdline": "3"})
    )
    assert [(p.name, p.cmdline) for p in instance.task.processes] == [("p", "3"), ("q", "2")]


def test_a_description_holds_defaults_but_nothing_unset() -> None:
    instance, _ = parse(job({"name": "p", "cmdline": "true"}))
    assert json.loads(to_json(instance.task)) == {
        "name": "p",
        "processes": [
            {
                "name": "p",
                "cmdline": "true",
                "max_failures": 1,
                "daemon": False,
                "ephemeral": False,
                "min_duration": 5,
                "final": False,
            }
        ],
        "constraints": [],
        "max_failures": 1,
        "max_concurrency": 0,
        "finalization_wait": 30,
    }


P, Q = {"name": "p", "cmdline": "true"}, {"name": "q", "cmdline": "true"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (job({"name": "a/b", "cmdline": "x"}), "Task has invalid process: Invalid process name: a/b"),
        (job({"name": ".a", "cmdline": "x"}), "Task has invalid process: Invalid process name: .a"),
        (job({"name": "", "cmdline": "x"}), "Task has invalid process: Invalid process name: "),
        (job({"name": "\u2603" * 82, "cmdline": "x"}), "Task has invalid process: Invalid process name: \u2603"),
        (job({"name": "a\n/", "cmdline": "x"}), "Task has invalid process: Invalid process name: a\n/"),
        (job(), "Failed to fully evaluate task: Task[processes] is required."),
        (job({"name": "p"}), "Failed to fully evaluate task: Object missing required field `cmdline`"),
        (job(P, Q, constraints=[{"order": ["p", "q"]}, {"order": ["q", "p"]}]), "Task has invalid plan: Cycles"),
        (job(P, constraints=[{"order": ["p", "z"]}]), "Task has invalid plan: Invalid process dependencies!"),
        (job({"name": "p", "cmdline": "{{thermos.ports[http]}}"}), "Task requires unbound port http!"),
        ({"role": "r"}, "Failed to fully evaluate task: Object missing required field `task`"),
        ([], "Failed to fully evaluate task: Expected `object`, got `array`"),
        ({**job(P), "announce": {"portmap": {"a": "b", "b": "a"}}}, "Found cycle in portmap!"),
        (
            {**job(P), "health_check_config": {"initial_interval_secs": "nan"}},
            "Failed to fully evaluate task: Expected `float` >= -9.2",
        ),
        (
            job(P, finalization_wait=10**400),
            "Failed to fully evaluate task: Expected `int` <= 9223372036854775807 - at `$.task.finalization_wait`",
        ),
    ],
)
def test_an_invalid_task_is_refused_in_one_sentence(data: Any, says: str) -> None:
    with pytest.raises(InvalidTask) as refused:
        parse(data)
    assert str(refused.value).startswith(f"Got invalid task: {says}")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", "Task did not have a thermos config!"),
        ("{", "Could not deserialize thermos config: "),
        ("[" * 100_000, "Could not deserialize thermos config: "),
        (f'{{"x": {"[" * 900}{"]" * 900}}}', "Got invalid task: "),
        (f'{{"announce": {{"portmap": {{"http": "{"1" * 5000}"}}}}}}', "Got invalid task: "),
    ],
)
def test_data_that_are_no_task_are_refused(data: str, says: str) -> None:
    with pytest.raises(InvalidTask) as refused:
        parse_instance(data, BINDINGS, {})
    assert str(refused.value).startswith(says)
