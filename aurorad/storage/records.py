"""How the log holds tasks: what many of them share is written once an entry, and referred to by its number.

Tasks of a job share a configuration, those of one write an event, those of one host a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec
from frozendict import frozendict

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from aurorad.storage.operations import NO_PORTS
from aurorad.storage.shared import Shared


class EventRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    timestamp: int
    status: ScheduleStatus
    message: str | None
    scheduler: str | None


K = TypeVar("K")

NOWHERE = (None, None)
"""Agent and host of a task that has none."""


class TaskRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A task; `config`, `place` and `events` are numbers of what the entry holds once."""

    config: int
    place: int | None
    task_id: str
    instance_id: int
    status: ScheduleStatus
    events: tuple[int, ...]
    ports: dict[str, int] | None = None
    failure_count: int = 0
    times_partitioned: int = 0
    ancestor_id: str | None = None


class _Numbers(dict[K, int]):
    """Numbers for values, in the order in which they are asked for first."""

    def __missing__(self, key: K) -> int:
        self[key] = number = len(self)
        return number


class Pool:
    """Numbers what the tasks of one entry share, in the making of it."""

    def __init__(self) -> None:
        self.config_numbers: _Numbers[TaskConfig] = _Numbers()
        self.event_numbers: _Numbers[TaskEvent] = _Numbers()
        self.place_numbers: _Numbers[tuple[str | None, str | None]] = _Numbers()

    def task(self, task: ScheduledTask) -> TaskRecord:
        assigned = task.assigned_task
        place = assigned.slave_id, assigned.slave_host
        return TaskRecord(
            self.config_numbers[assigned.task],
            self.place_numbers[place] if place != NOWHERE else None,
            assigned.task_id,
            assigned.instance_id,
            task.status,
            tuple(map(self.event_numbers.__getitem__, task.task_events)),
            ports_record(assigned.assigned_ports),
            task.failure_count,
            task.times_partitioned,
            task.ancestor_id,
        )

    def configs(self) -> tuple[TaskConfig, ...]:
        return tuple(self.config_numbers)

    def events(self) -> tuple[EventRecord, ...]:
        return tuple(
            EventRecord(event.timestamp, event.status, event.message, event.scheduler) for event in self.event_numbers
        )

    def places(self) -> tuple[tuple[str | None, str | None], ...]:
        return tuple(self.place_numbers)


class Pooled:
    """What the tasks of one entry share, in the reading of it. Unknown numbers raise `IndexError`."""

    def __init__(
        self,
        configs: Iterable[TaskConfig],
        events: Iterable[EventRecord],
        places: Iterable[tuple[str | None, str | None]],
        shared: Shared,
    ) -> None:
        self.configs = [shared.config(config) for config in configs]
        self.events = [
            shared.event(TaskEvent(event.timestamp, event.status, event.message, event.scheduler)) for event in events
        ]
        self.places = [(shared.text(agent_id), shared.text(host)) for agent_id, host in places]

    def tasks(self, records: Iterable[TaskRecord]) -> Iterator[ScheduledTask]:
        events, places, configs = self.events, self.places, self.configs
        for record in records:
            agent_id, host = places[record.place] if record.place is not None else NOWHERE
            yield ScheduledTask(
                AssignedTask(
                    record.task_id,
                    agent_id,
                    host,
                    configs[record.config],
                    frozendict(record.ports) if record.ports else NO_PORTS,
                    record.instance_id,
                ),
                record.status,
                record.failure_count,
                record.times_partitioned,
                tuple([events[number] for number in record.events]),
                record.ancestor_id,
            )


def ports_record(ports: Mapping[str, int]) -> dict[str, int] | None:
    return dict(ports) if ports else None
