"""From executor data to a task that can be run: parsed, filled in, checked (config-schema sheet, 11 and 14)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from aurorad.api.keys import is_process_name
from executor.logger import DEFAULT_LOGGER, InvalidLogger
from executor.planner import InvalidPlan, Plan
from executor.task import Announcer, Task, TaskInstance
from executor.templates import Bindings, JsonValue, fill, resolve_ports


class InvalidTask(ValueError):
    """A task that cannot be run; the text says why, in the sheet's words."""


def parse_instance(data: str, bindings: Bindings, assigned_ports: Mapping[str, int]) -> tuple[TaskInstance, Bindings]:
    """The instance that executor data describe, filled in and checked; and the bindings with their ports resolved.

    Raises `InvalidTask` with the text that follows `Could not deserialize Thermos task from AssignedTask: `.
    """
    if not data:
        raise InvalidTask("Task did not have a thermos config!")
    try:
        tree: JsonValue = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidTask(f"Could not deserialize thermos config: {error}") from None
    try:
        bound = bindings._replace(ports=resolve_ports({**_portmap(tree), **assigned_ports}))
        instance = msgspec.convert(fill(tree, bound), TaskInstance, strict=False)
        return msgspec.structs.replace(instance, task=check_task(instance.task)), bound
    except msgspec.ValidationError as error:
        raise InvalidTask(f"Got invalid task: Failed to fully evaluate task: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidTask(f"Got invalid task: {error}") from None


class _Announced(msgspec.Struct, frozen=True):
    announce: Announcer | None = None


def _portmap(tree: JsonValue) -> dict[str, str | int]:
    announce = msgspec.convert(tree, _Announced, strict=False).announce
    return announce.aliases() if announce is not None else {}


def check_task(task: Task) -> Task:
    """The task, checked; of processes with the same name the last remains. Raises `InvalidTask`."""
    for process in task.processes:
        if not is_process_name(process.name):
            raise InvalidTask(f"Task has invalid process: Invalid process name: {process.name}")
        try:
            DEFAULT_LOGGER.for_process(process)
        except InvalidLogger as error:
            raise InvalidTask(f"Task has invalid process: {process.name}: {error}") from None
    if not task.processes:
        raise InvalidTask("Failed to fully evaluate task: Task[processes] is required.")
    by_name = {process.name: process for process in task.processes}
    task = msgspec.structs.replace(task, name=task.name or task.processes[0].name, processes=tuple(by_name.values()))
    try:
        for final in (False, True):
            Plan.of(task, final=final)
    except InvalidPlan as error:
        raise InvalidTask(f"Task has invalid plan: {error}") from None
    return task
