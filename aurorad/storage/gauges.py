"""Statistics of what the tables hold (vars sheet, sections 6 and 10)."""

from __future__ import annotations

from functools import partial

from aurorad.api.enums import ScheduleStatus
from aurorad.storage.tables import Table, Tables
from aurorad.vars import Vars

_SIZES = {
    "attribute": Table.HOSTS,
    "cron": Table.CRON_JOBS,
    "maintenance": Table.MAINTENANCE,
    "quota": Table.QUOTAS,
    "update": Table.UPDATES,
}


def export(tables: Tables, stats: Vars) -> None:
    """Show the sizes of `tables` from now on, and the counters of its queries."""
    stats.declare(*(f"task_queries_{index}" for index in ("by_id", "by_job", "by_host", "by_status", "all")))
    for status in ScheduleStatus:
        stats.gauge(f"task_store_{status.name}", partial(tables.count, status))
    for name, table in _SIZES.items():
        stats.gauge(f"mem_storage_{name}_size", partial(_size, tables, table))
    stats.gauge("task_store_index_job_items", lambda: tables.indexed_jobs)
    stats.gauge("task_store_index_host_items", lambda: tables.indexed_hosts)


def _size(tables: Tables, table: Table) -> int:
    return len(tables.rows(table))
