"""How well jobs did lately, from the events of their tasks (quota-tiers-sla sheet, section 4)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskConfig, TaskEvent
from aurorad.rules import resources
from aurorad.rules.resources import ResourceType

UPTIMES = (50.0, 75.0, 90.0, 95.0, 99.0)
"""Percentages of instances."""

SIZES = {
    ResourceType.CPUS: ("cpu", (1, 4, 8, 16)),
    ResourceType.RAM_MB: ("ram", (1024, 8192, 16384, 32768)),
    ResourceType.DISK_MB: ("disk", (4096, 16384, 32768, 65536)),
}
_SIZE_NAMES = ("small", "medium", "large", "xlarge", "xxlarge")


class Window(NamedTuple):
    """From `start_ms` on, up to but not including `end_ms`."""

    start_ms: int
    end_ms: int

    def holds(self, timestamp_ms: int) -> bool:
        return self.start_ms <= timestamp_ms < self.end_ms


class _Shape(Enum):
    UP = 1
    DOWN = 2
    REMOVED = 3


def uptime_s(tasks: Iterable[ScheduledTask], percentage: float, now_ms: int) -> float:
    """The seconds that so many percent of the RUNNING tasks have been up for at least; 0 without any."""
    uptimes = sorted(now_ms - task.task_events[-1].timestamp for task in tasks if task.status is ScheduleStatus.RUNNING)
    return _percentile(uptimes, 100 - percentage) / 1000


def median_ms_to(status: ScheduleStatus, tasks: Iterable[ScheduledTask], window: Window) -> float:
    """The median time from PENDING to the first `status` that fell into the window, of active tasks; 0 without any."""
    return _percentile(sorted(_waits(status, tasks, window)), 50)


def _waits(status: ScheduleStatus, tasks: Iterable[ScheduledTask], window: Window) -> Iterator[int]:
    for task in tasks:
        pending_ms: int | None = None
        for event in task.task_events if task.status in ACTIVE_STATES else ():
            if event.status is ScheduleStatus.PENDING:
                pending_ms = event.timestamp
            elif event.status is status and window.holds(event.timestamp) and pending_ms is not None:
                yield event.timestamp - pending_ms
                break


def platform_uptime_percent(tasks: Iterable[ScheduledTask], window: Window) -> float:
    """The share of the instances' wanted time in which the cluster had not taken them down; 100 without any."""
    instances: dict[tuple[object, int], list[TaskEvent]] = defaultdict(list)
    for task in tasks:
        assigned = task.assigned_task
        instances[assigned.task.job, assigned.instance_id] += task.task_events
    up = total = 0
    for events in instances.values():
        spent = _spent(sorted(events, key=lambda event: event.timestamp), window)
        up += spent[_Shape.UP]
        total += spent[_Shape.UP] + spent[_Shape.DOWN]
    return 100 * up / total if total else 100.0


def _spent(events: Sequence[TaskEvent], window: Window) -> dict[_Shape, int]:
    """Milliseconds of the window in each shape."""
    spent = dict.fromkeys(_Shape, 0)
    shape, since_ms = _Shape.REMOVED, window.start_ms
    for event in events:
        until_ms = min(max(event.timestamp, window.start_ms), window.end_ms)
        spent[shape] += until_ms - since_ms
        shape, since_ms = _next(shape, event.status), until_ms
    spent[shape] += window.end_ms - since_ms
    return spent


_BY_THE_PLATFORM = {ScheduleStatus.LOST, ScheduleStatus.DRAINING, ScheduleStatus.PREEMPTING}
_COMING = {ScheduleStatus.PENDING, ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING}
_THERE = {ScheduleStatus.RUNNING, ScheduleStatus.PARTITIONED}


def _next(shape: _Shape, status: ScheduleStatus) -> _Shape:
    if status is ScheduleStatus.INIT:
        return shape
    if status in _BY_THE_PLATFORM:
        return _Shape.DOWN
    if status in _THERE:
        return _Shape.UP
    if status is ScheduleStatus.KILLED:
        return _Shape.DOWN if shape is _Shape.UP else shape
    if status in _COMING and shape is _Shape.DOWN:
        return _Shape.DOWN
    return _Shape.REMOVED


def size_groups(config: TaskConfig) -> tuple[str, ...]:
    """The groups of tasks of like size that this one is in, as `cpu_small`, one for each type of resource."""
    bag = resources.bag_of(config.resources)
    return tuple(
        f"{name}_{_SIZE_NAMES[sum(1 for limit in limits if bag.get(type_, 0) > limit)]}"
        for type_, (name, limits) in SIZES.items()
    )


def _percentile(values: Sequence[float], percentile: float) -> float:
    """Between the two closest ranks; 0 without values. They are in order."""
    if not values:
        return 0.0
    rank = percentile / 100 * (len(values) - 1)
    lower, upper = values[math.floor(rank)], values[math.ceil(rank)]
    return lower + (upper - lower) * (rank - math.floor(rank))
