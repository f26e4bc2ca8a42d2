"""How well jobs did lately, from the events of their tasks (quota-tiers-sla sheet, section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def uptime_s(uptimes_ms: Sequence[int], percentage: float) -> float:
    """The seconds that so many percent of these have been up for at least; 0 without any. They are in order."""
    return percentile(uptimes_ms, 100 - percentage) / 1000


def waited_ms(status: ScheduleStatus, task: ScheduledTask, window: Window) -> int | None:
    """The time from PENDING to the first `status` that fell into the window; None if none did, or the task ended."""
    if task.status not in ACTIVE_STATES:
        return None
    pending_ms: int | None = None
    for event in task.task_events:
        if event.status is ScheduleStatus.PENDING:
            pending_ms = event.timestamp
        elif event.status is status and window.holds(event.timestamp) and pending_ms is not None:
            return event.timestamp - pending_ms
    return None


class Uptime(NamedTuple):
    """Milliseconds of a window in which instances were wanted, and of these, in which the cluster let them be up."""

    up: int = 0
    total: int = 0

    def plus(self, other: Uptime) -> Uptime:
        return Uptime(self.up + other.up, self.total + other.total)

    @property
    def percent(self) -> float:
        """100 if nothing was wanted."""
        return 100 * self.up / self.total if self.total else 100.0


def instance_uptime(tasks: Sequence[ScheduledTask], window: Window) -> Uptime:
    """That of one instance, all of whose tasks are one history. Each has an event at least."""
    if all(task.task_events[-1].timestamp < window.start_ms for task in tasks):
        latest = max(tasks, key=lambda task: task.task_events[-1].timestamp)
        if latest.status in _THERE:  # by far the most usual case
            return Uptime(window.end_ms - window.start_ms, window.end_ms - window.start_ms)
    in_turn = sorted(tasks, key=lambda task: task.task_events[0].timestamp)  # one ends when the next one begins
    events = [event for task in in_turn for event in task.task_events]
    spent = _spent(sorted(events, key=lambda event: event.timestamp), window)
    return Uptime(spent[_Shape.UP], spent[_Shape.UP] + spent[_Shape.DOWN])


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


def percentile(values: Sequence[float], rank_percent: float) -> float:
    """Between the two closest ranks; 0 without values. They are in order."""
    if not values:
        return 0.0
    rank = rank_percent / 100 * (len(values) - 1)
    lower, upper = values[math.floor(rank)], values[math.ceil(rank)]
    return lower + (upper - lower) * (rank - math.floor(rank))
