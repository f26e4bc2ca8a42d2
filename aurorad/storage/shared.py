"""What is equal is one object, in memory too: a million tasks share configurations, events and the names of hosts."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
from frozendict import frozendict

from aurorad.api.tasks import JobConfiguration, TaskConfig, TaskEvent
from aurorad.api.updates import InstanceTaskConfig, JobUpdate, JobUpdateDetails

encode = msgspec.msgpack.Encoder().encode


def from_msgpack(expected: type, value: Any) -> Any:
    """The `dec_hook` that reading what `encode` wrote needs."""
    if typing.get_origin(expected) is frozendict:
        return frozendict(value)
    raise NotImplementedError(f"{expected} cannot be read")


MOST = 20_000
"""How many values whoever goes on reading remembers: more would never be forgotten."""


class Shared:
    """Values by their content: of equal ones, the first is the one that is kept."""

    def __init__(self) -> None:
        self._configs: dict[TaskConfig, TaskConfig] = {}
        self._events: dict[TaskEvent, TaskEvent] = {}
        self._texts: dict[str, str] = {}

    def forget_if_many(self) -> None:
        """What comes later may be equal to what is there and yet be another object."""
        for values in (self._configs, self._events, self._texts):
            if len(values) > MOST:
                values.clear()

    def config(self, config: TaskConfig) -> TaskConfig:
        return self._configs.setdefault(config, config)

    def event(self, event: TaskEvent) -> TaskEvent:
        return self._events.setdefault(event, event)

    def text(self, text: str | None) -> str | None:
        return None if text is None else self._texts.setdefault(text, text)

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
