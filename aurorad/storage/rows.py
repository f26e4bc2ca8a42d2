"""Rows as they are kept outside memory: in msgpack, and a task apart from its configuration.

All tasks of a job share one configuration, often larger than the rest of them together: it is written once and tasks
refer to it. In memory too, equal configurations are one object.
"""

from __future__ import annotations

import typing
from typing import Any

import msgspec
from frozendict import frozendict

from aurorad.api.tasks import AssignedTask, JobConfiguration, ScheduledTask, TaskConfig
from aurorad.api.updates import InstanceTaskConfig, JobUpdate, JobUpdateDetails

_NO_CONFIG = AssignedTask().task


encode = msgspec.msgpack.Encoder().encode


def from_msgpack(expected: type, value: Any) -> Any:
    """The `dec_hook` that reading what `encode` wrote needs."""
    if typing.get_origin(expected) is frozendict:
        return frozendict(value)
    raise NotImplementedError(f"{expected} cannot be read")


def with_config(task: ScheduledTask, config: TaskConfig) -> ScheduledTask:
    return msgspec.structs.replace(task, assigned_task=msgspec.structs.replace(task.assigned_task, task=config))


def without_config(task: ScheduledTask) -> ScheduledTask:
    """The task with the empty configuration, which is not written at all."""
    return with_config(task, _NO_CONFIG)


class Configs:
    """Task configurations by their content: of equal ones, the first is the one that is kept."""

    def __init__(self) -> None:
        self._known: dict[TaskConfig, TaskConfig] = {}

    def config(self, config: TaskConfig) -> TaskConfig:
        return self._known.setdefault(config, config)

    def cron_job(self, job: JobConfiguration) -> JobConfiguration:
        return msgspec.structs.replace(job, task_config=self.config(job.task_config))

    def update(self, update: JobUpdate) -> JobUpdate:
        instructions = update.instructions
        desired = instructions.desired_state
        return msgspec.structs.replace(
            update,
            instructions=msgspec.structs.replace(
                instructions,
                initial_state=frozenset(map(self._instances, instructions.initial_state)),
                desired_state=None if desired is None else self._instances(desired),
            ),
        )

    def details(self, details: JobUpdateDetails) -> JobUpdateDetails:
        return msgspec.structs.replace(details, update=self.update(details.update))

    def _instances(self, instances: InstanceTaskConfig) -> InstanceTaskConfig:
        return msgspec.structs.replace(instances, task=self.config(instances.task))
