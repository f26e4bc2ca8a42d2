"""What a transaction does to tasks, many at a time; all else is an `api.storage.Op`.

These are what `Tables.apply` applies and what the log holds (in `entries`, with what they share written once).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from frozendict import frozendict

from aurorad.api import keys
from aurorad.api import storage as s
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskConfig, TaskEvent

NO_PORTS: frozendict[str, int] = frozendict()

Many = TypeVar("Many", list[Any], tuple[int, ...])

BITE = 500
"""Tasks that are changed in one go."""


class InsertTasks(msgspec.Struct, frozen=True):
    """Create tasks that differ in nothing but their instance. Their ids are ``<prefix><instance><suffix>``."""

    config: TaskConfig
    prefix: str
    suffix: str
    instance_ids: tuple[int, ...]
    event: TaskEvent
    """The only one, which says the status too."""


class SaveTasks(msgspec.Struct, frozen=True):
    """Create or overwrite tasks by their ids."""

    tasks: list[ScheduledTask]


class MoveTasks(msgspec.Struct, frozen=True):
    """Have tasks, by their ids, enter the status of an event, which becomes their last."""

    moves: list[tuple[str, TaskEvent]]


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """The place a task gets."""

    task_id: str
    host: str
    agent_id: str
    ports: Mapping[str, int]
    event: TaskEvent


class AssignTasks(msgspec.Struct, frozen=True):
    """Give tasks their places; each enters the status of its event as well."""

    assignments: list[Assignment]


class RemoveTasks(msgspec.Struct, frozen=True):
    """Unknown ids are passed over."""

    task_ids: list[str]


OtherOp = s.Op
TaskOp = InsertTasks | SaveTasks | MoveTasks | AssignTasks | RemoveTasks
Op = OtherOp | TaskOp


def bites(op: Op) -> Iterator[Op]:
    """Operations that together do the same, none of them to more tasks than take a few milliseconds."""
    match op:
        case InsertTasks():
            for some in _some(op.instance_ids):
                yield InsertTasks(op.config, op.prefix, op.suffix, some, op.event)
        case SaveTasks(tasks):
            yield from map(SaveTasks, _some(tasks))
        case MoveTasks(moves):
            yield from map(MoveTasks, _some(moves))
        case AssignTasks(assignments):
            yield from map(AssignTasks, _some(assignments))
        case RemoveTasks(task_ids):
            yield from map(RemoveTasks, _some(task_ids))
        case _:
            yield op


def _some(items: Many) -> Iterator[Many]:
    return (items[start : start + BITE] for start in range(0, len(items), BITE))


def insertion(config: TaskConfig, instance_ids: Iterable[int], unique: UUID, event: TaskEvent) -> InsertTasks:
    """Tasks of these instances, in this order. One `unique` suffices: within it ids differ by their instances."""
    prefix, suffix = keys.task_id_affixes(config.job, unique)
    return InsertTasks(config, prefix, suffix, tuple(instance_ids), event)


class NewTasks(NamedTuple):
    """An insertion and the records it makes, for who made them beforehand."""

    op: InsertTasks
    by_id: Mapping[str, ScheduledTask]


def inserted(op: InsertTasks, instance_ids: Sequence[int]) -> dict[str, ScheduledTask]:
    """The records of some of the instances, by their ids."""
    config, prefix, suffix, status, events = op.config, op.prefix, op.suffix, op.event.status, (op.event,)
    return {
        (task_id := f"{prefix}{instance}{suffix}"): ScheduledTask(
            AssignedTask(task_id, None, None, config, NO_PORTS, instance), status, 0, 0, events
        )
        for instance in instance_ids
    }


def moved(task: ScheduledTask, event: TaskEvent) -> ScheduledTask:
    """The record after entering the event's status, and nothing else."""
    return ScheduledTask(
        task.assigned_task,
        event.status,
        task.failure_count,
        task.times_partitioned,
        (*task.task_events, event),
        task.ancestor_id,
    )


def assigned(task: ScheduledTask, place: Assignment) -> ScheduledTask:
    """The record of a task at its place."""
    before, ports = task.assigned_task, place.ports
    return ScheduledTask(
        AssignedTask(
            before.task_id,
            place.agent_id,
            place.host,
            before.task,
            frozendict(ports) if ports else NO_PORTS,
            before.instance_id,
        ),
        place.event.status,
        task.failure_count,
        task.times_partitioned,
        (*task.task_events, place.event),
        task.ancestor_id,
    )
