"""How well one job did lately (quota-tiers-sla sheet, section 4)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.pace import Pace
from aurorad.rules import sla_numbers
from aurorad.rules.sla_numbers import Uptime, Window


class JobSla(msgspec.Struct, frozen=True, rename="camel"):
    """`uptimes_secs` are those that so many percent of the running instances have reached; `platform_uptime_percent` is
    the share of the window in which instances were up as far as that was up to the cluster; `median_ms` says how long
    tasks waited until they entered a status, None if none did."""

    window_secs: int
    uptimes_secs: dict[str, float]
    platform_uptime_percent: float
    median_ms: dict[str, float | None]


_WAITED_FOR = (ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING, ScheduleStatus.RUNNING)


async def job_sla(tasks: Iterable[ScheduledTask], now_ms: int, window_s: int) -> JobSla:
    """Of all the tasks of a job, over so many seconds until now."""
    window, pace = Window(now_ms - window_s * 1000, now_ms), Pace()
    uptimes_ms: list[int] = []
    instances: dict[int, list[ScheduledTask]] = {}
    waits_ms: dict[ScheduleStatus, list[int]] = {status: [] for status in _WAITED_FOR}
    for task in tasks:
        await pace.breathe()
        if not task.task_events:
            continue
        instances.setdefault(task.assigned_task.instance_id, []).append(task)
        if task.status is ScheduleStatus.RUNNING:
            uptimes_ms.append(now_ms - task.task_events[-1].timestamp)
        for status, waits in waits_ms.items():
            waited = sla_numbers.waited_ms(status, task, window)
            if waited is not None:
                waits.append(waited)
    uptime = Uptime()
    for history in instances.values():
        uptime = uptime.plus(sla_numbers.instance_uptime(history, window))
        await pace.breathe()
    uptimes_ms.sort()
    return JobSla(
        window_s,
        {f"{percent:g}": sla_numbers.uptime_s(uptimes_ms, percent) for percent in sla_numbers.UPTIMES},
        uptime.percent,
        {
            status.name: sla_numbers.percentile(sorted(waits), 50) if waits else None
            for status, waits in waits_ms.items()
        },
    )
