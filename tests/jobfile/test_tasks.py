"""Thermos configs (config-schema sheet, section 19)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from aurorad.jobfile import tasks
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.tasks import ThermosTask

TWO = """
export(Task(name = 'one', processes = [Process(name = 'say', cmdline = 'echo {{word}} {{thermos.task_id}}')]))
export({'processes': [{'name': 'two', 'cmdline': 'nc -l {{thermos.ports[http]}} {{thermos.ports[admin]}}'}]})
"""


def load(
    folder: Path,
    text: str,
    *,
    as_json: bool = False,
    bindings: Sequence[tuple[str, str]] = (),
    ports: dict[str, int] | None = None,
) -> dict[str, ThermosTask]:
    file = folder / "task.thermos"
    file.write_text(text)
    return tasks.load_tasks(file, as_json=as_json, bindings=bindings, ports=ports)


def cmdlines(task: ThermosTask) -> list[str]:
    return [process["cmdline"] for process in json.loads(task.data)["processes"]]


def test_exported_tasks_are_found_by_name(tmp_path: Path) -> None:
    found = load(tmp_path, TWO, bindings=[("word", "first"), ("word", "last")], ports={"http": 80})
    assert list(found) == ["one", "two"]
    assert cmdlines(found["one"]) == ["echo last {{thermos.task_id}}"]
    assert cmdlines(found["two"]) == ["nc -l 80 {{thermos.ports[admin]}}"]
    assert found["two"].ports == {"admin"}
    assert json.loads(found["one"].data)["finalization_wait"] == 30


def test_a_task_may_be_json_and_unknown_keys_are_passed_over(tmp_path: Path) -> None:
    text = json.dumps({"name": "t", "new": 1, "processes": [{"name": "p", "cmdline": "{{x}}"}]})
    (task,) = load(tmp_path, text, as_json=True, bindings=[("x", "y")]).values()
    assert (task.name, cmdlines(task), task.ports) == ("t", ["y"], frozenset())


def test_the_task_meant_is_picked(tmp_path: Path) -> None:
    found = load(tmp_path, TWO, bindings=[("word", "x")])
    assert tasks.pick(found, "two").name == "two"
    assert tasks.pick({"one": found["one"]}, None).name == "one"
    for there, wanted, message in (
        ({}, None, "No tasks specified!"),
        (found, None, "Multiple tasks in config but no task name specified! (There are one, two)"),
        (found, "three", "Could not find task three! (There are one, two)"),
    ):
        with pytest.raises(ConfigError) as caught:
            tasks.pick(there, wanted)
        assert str(caught.value) == message


ONE = "export(Task(name = 't', processes = [Process(name = 'p', cmdline = {})], {}))"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("export(Process())", "task.thermos:1: ValueError: export takes a Task, not a Process"),
        ("Job()", "task.thermos:1: NameError: name 'Job' is not defined"),
        ("export(Task(name = 't'))", "Task[processes] is required. (Task at "),
        ("\nexport(Task(processes = [Process(name = 'p')]))", "Process[cmdline] is required. (Process at "),
        (ONE.format("'{{nobody}}'", ""), "Unexpected unbound refs: {{nobody}}. Make sure"),
        (ONE.format("'{{mesos.instance}}'", ""), "Unexpected unbound refs: {{mesos.instance}}"),
        (ONE.format("'{{thermos.ports.x}}'", ""), "Bad port specification"),
        (ONE.format("'{{ x }}'", ""), "A template in double braces cannot be read: "),
        (ONE.format("'x'", "constraints = order('p', 'q')"), "Task has invalid plan: Invalid process dependencies!"),
        (ONE.format("'x'", "") + "\n" + ONE.format("'x'", ""), "two tasks are called t"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)


def test_json_that_is_no_task_is_told(tmp_path: Path) -> None:
    for text, message in (("[]", "one task object was expected"), ('{"processes": 3}', "task.thermos: ListContainer")):
        with pytest.raises(ConfigError, match=message):
            load(tmp_path, text, as_json=True)


def test_bindings_of_the_command_have_exactly_one_equals_sign() -> None:
    assert tasks.parse_environment("a.b=c") == ("a.b", "c")
    for text in ("a", "a=b=c"):
        with pytest.raises(ValueError, match="Binding must be of the form NAME=VALUE"):
            tasks.parse_environment(text)
    with pytest.raises(ValueError, match="Could not parse ref 1: "):
        tasks.parse_environment("1=2")
