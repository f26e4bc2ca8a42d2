"""Thermos configs: tasks without a job, as `thermos run` and `thermos inspect` take them.

Config-schema sheet, section 19; thermos-runner sheet, section 13.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pystachio import Ref

from aurorad.jobfile import checks, jobs, loader, namespace, running, where
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.schema.thermos import Process, Resources, Task


class ThermosTask(NamedTuple):
    """A checked task. What only its runner knows is still to be filled in: ``{{thermos...}}``."""

    name: str
    data: str  # JSON, every default written out
    ports: frozenset[str]  # mentioned by processes and given no number


def load_tasks(
    path: Path,
    *,
    as_json: bool = False,
    bindings: Sequence[tuple[str, str]] = (),
    ports: Mapping[str, int] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> dict[str, ThermosTask]:
    """The tasks that the file exports, or the one that it is as JSON, by name and in their order.

    `bindings` give variables values, the last one wins; `ports` give those that are known numbers. `warn` gets what
    the author should be told of. Raises `ConfigError`.
    """
    scopes = _scopes(bindings, ports or {})
    found: dict[str, ThermosTask] = {}
    for task in _from_json(path) if as_json else _exported(path, warn):
        evaluated = _evaluate(task.bind(*scopes))
        if evaluated.name in found:
            raise ConfigError(f"{path}: two tasks are called {evaluated.name}")
        found[evaluated.name] = evaluated
    return found


def of_command(
    name: str, cmdline: str, *, bindings: Sequence[tuple[str, str]], ports: Mapping[str, int]
) -> ThermosTask:
    """A task that is one command line, as `thermos simplerun` makes it. Raises `ConfigError`."""
    process = Process(name=name, cmdline=cmdline)
    task = Task(name=name, processes=[process], resources=Resources(cpu=1.0, ram=256 << 20, disk=0))
    return _evaluate(task.bind(*_scopes(bindings, ports)))


def pick(tasks: Mapping[str, ThermosTask], wanted: str | None) -> ThermosTask:
    """The task meant. Raises `ConfigError`."""
    if not tasks:
        raise ConfigError("No tasks specified!")
    if wanted is None and len(tasks) > 1:
        raise ConfigError(f"Multiple tasks in config but no task name specified! (There are {', '.join(tasks)})")
    if wanted is None:
        return next(iter(tasks.values()))
    if wanted not in tasks:
        raise ConfigError(f"Could not find task {wanted}! (There are {', '.join(tasks)})")
    return tasks[wanted]


def parse_environment(text: str) -> tuple[str, str]:
    """``NAME=VALUE``, as of `thermos run -E`. Raises `ValueError` that says what was expected."""
    name, equals, value = text.partition("=")
    if not equals or "=" in value:
        raise ValueError("Binding must be of the form NAME=VALUE")
    try:
        Ref.from_address(name)
    except Ref.InvalidRefError as error:
        raise ValueError(f"Could not parse ref {name}: {error}") from None
    return name, value


def _scopes(bindings: Sequence[tuple[str, str]], ports: Mapping[str, int]) -> list[Mapping[str, object]]:
    scopes: list[Mapping[str, object]] = [{name: value} for name, value in bindings]
    return scopes + [{f"thermos.ports[{name}]": number} for name, number in ports.items()]


def _exported(path: Path, warn: Callable[[str], None]) -> list[Any]:
    tasks: list[Any] = []

    def export(task: object) -> None:
        made = Task(task) if isinstance(task, Mapping) else task
        if not isinstance(made, Task):
            raise ValueError(f"export takes a Task, not a {type(task).__name__}")
        tasks.append(made)

    for warning in running.run(path, namespace.for_tasks(export)):
        warn(warning)
    return tasks


def _from_json(path: Path) -> list[Any]:
    """Keys that no task has are passed over: the file may be what another version wrote."""
    data = loader.read_json(path, "one task object")
    try:
        return [Task(Task._filter_against_schema(data))]
    except (AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _evaluate(task: Any) -> ThermosTask:
    with jobs.templates_explained(task):
        if not task.has_processes() or not where.processes(task):
            raise ConfigError(f"Task[processes] is required.{where.at(task, '')}")
        checked = task.check()
        if not checked.ok():
            raise ConfigError(f"Failed to fully evaluate task: {checked.message()}{where.culprit(task, where.failing)}")
        source, _ = task.interpolate()
        mentioned = checks.ports_of(task)
        try:
            checks.plan_of(task, mentioned, {})
        except ConfigError as error:
            raise ConfigError(f"{error}{where.at(task, '')}") from None
        return ThermosTask(str(source.name()), json.dumps(source.get()), mentioned)
