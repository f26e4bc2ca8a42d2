"""How long instances are up, and what share of them for how long (client-internals sheet, section 13)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask


def uptimes(tasks: Iterable[ScheduledTask], now_s: float) -> list[int]:
    """Whole seconds since each first ran, shortest first; a task that never ran has been up for none."""
    return sorted(uptime(task, now_s) for task in tasks)


def uptime(task: ScheduledTask, now_s: float) -> int:
    began = [event.timestamp for event in task.task_events if event.status is ScheduleStatus.RUNNING]
    return max(0, math.floor(now_s - min(began) / 1000)) if began else 0


def up_share(uptimes: Sequence[int], duration_s: float) -> float:
    """Of 100: how many have been up for so long."""
    if not uptimes:
        return 0.0
    return 100 * sum(uptime >= duration_s for uptime in uptimes) / len(uptimes)


def uptime_of_share(uptimes: Sequence[int], percentile: float) -> int:
    """What `percentile` percent have reached, in seconds; `uptimes` begins with the shortest."""
    index = len(uptimes) - math.floor(percentile / 100 * len(uptimes)) - 1
    return uptimes[index] if 0 <= index < len(uptimes) else 0
