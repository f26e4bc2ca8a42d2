"""``/utilization``: what active tasks were promised, by pool, role and job (http-endpoints sheet, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from quart import Blueprint, Response

from aurorad.api.enums import ACTIVE_STATES
from aurorad.api.tasks import ScheduledTask, TaskConfig
from aurorad.pace import Pace
from aurorad.pages.look import Look
from aurorad.rules import quota
from aurorad.rules.admission import is_dedicated
from aurorad.rules.quota import Amounts
from aurorad.storage.tables import Tables

Pool = Callable[[TaskConfig], bool]

POOLS: Mapping[str, tuple[str, Pool]] = {
    "total_consumed": ("Total consumption", lambda config: True),
    "dedicated_consumed": ("Dedicated consumption", is_dedicated),
    "quota_consumed": ("Quota consumption", quota.prod_shared),
    "free_pool_consumed": ("Free pool consumption", quota.non_prod_shared),
}
"""Title, and what counts, by the name in addresses."""


class Row(NamedTuple):
    name: str
    url: str | None
    amounts: Amounts


def utilization_endpoints(tables: Tables, look: Look) -> Blueprint:
    blueprint = Blueprint("utilization", __name__)

    def tasks() -> list[ScheduledTask]:
        return tables.all_tasks()

    @blueprint.get("/utilization", strict_slashes=False)
    async def pools() -> Response:
        amounts = await by_pool(tasks())
        rows = [Row(title, f"/utilization/{name}", amounts[name]) for name, (title, _) in POOLS.items()]
        return await page("Resource consumption", rows)

    @blueprint.get("/utilization/<metric>", strict_slashes=False)
    async def roles(metric: str) -> Response:
        known = metric.lower()
        if known not in POOLS:
            return await unknown()
        title, pool = POOLS[known]
        amounts = await _summed(tasks(), pool, lambda config: config.job.role)
        rows = [Row(role, f"/utilization/{known}/{quote(role, safe='')}", amounts[role]) for role in sorted(amounts)]
        return await page(f"{title} by role", rows, known)

    @blueprint.get("/utilization/<metric>/<role>")
    async def jobs(metric: str, role: str) -> Response:
        known = metric.lower()
        if known not in POOLS:
            return await unknown()
        title, pool = POOLS[known]
        of_role = (task for job in tables.role_jobs(role) for task in tables.job_tasks(job, ACTIVE_STATES))
        amounts = await _summed(of_role, pool, lambda config: config.job.name)
        rows = [Row(name, None, amounts[name]) for name in sorted(amounts)]
        return await page(f"{title} of {role} by job name", rows, known)

    async def page(title: str, rows: list[Row], metric: str | None = None) -> Response:
        return await look.page("utilization.html", title=title, rows=rows, metric=metric)

    async def unknown() -> Response:
        return await look.message(400, "Invalid metric type.", f"One of {', '.join(POOLS)} was expected.")

    return blueprint


async def by_pool(tasks: Iterable[ScheduledTask]) -> dict[str, Amounts]:
    """All pools, also those that nobody takes from."""
    sums = dict.fromkeys(POOLS, Amounts())
    for config, count in (await _counted(tasks)).items():
        for name, (_, pool) in POOLS.items():
            if pool(config):
                sums[name] += quota.total(config.resources) * count
    return sums


async def _summed(tasks: Iterable[ScheduledTask], pool: Pool, key: Callable[[TaskConfig], str]) -> dict[str, Amounts]:
    sums: dict[str, Amounts] = {}
    for config, count in (await _counted(tasks)).items():
        if pool(config):
            sums[key(config)] = sums.get(key(config), Amounts()) + quota.total(config.resources) * count
    return sums


async def _counted(tasks: Iterable[ScheduledTask]) -> dict[TaskConfig, int]:
    """How many active tasks have each configuration."""
    counts: dict[TaskConfig, int] = {}
    pace = Pace()
    for task in tasks:
        if task.status in ACTIVE_STATES:
            config = task.assigned_task.task
            counts[config] = counts.get(config, 0) + 1
        await pace.breathe()
    return counts
