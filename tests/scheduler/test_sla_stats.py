"""Which SLA statistics there are, and what they say (quota-tiers-sla sheet, section 4)."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from aurorad.flags import Flags
from aurorad.scheduler.sla_stats import SlaStats
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.scheduler.world import config
from tests.storage.memory_log import MemoryLog

S = ScheduleStatus
NOW_MS = 1_700_000_060_000
"""A minute after the window begins."""


def production(name: str) -> TaskConfig:
    return msgspec.structs.replace(config(name=name), production=True)


def task(of: TaskConfig, instance: int, *events: tuple[float, ScheduleStatus]) -> ScheduledTask:
    """In the status of its last event; times are seconds before now."""
    entered = tuple(TaskEvent(NOW_MS - round(seconds * 1000), status) for seconds, status in events)
    assigned = AssignedTask(f"{of.job.name}-{instance}-{len(events)}", task=of, instance_id=instance)
    return ScheduledTask(assigned, events[-1][1], task_events=entered)


def service(*tasks: ScheduledTask, flags: Flags | None = None) -> tuple[SlaStats, Tables, Vars]:
    tables, stats = Tables(), Vars()
    Transaction(tables).save_tasks(*tasks)
    storage = Storage(MemoryLog(), tables)
    return SlaStats(storage=storage, flags=flags or Flags(), stats=stats, now_ms=lambda: NOW_MS), tables, stats


JOB_METRICS = {
    *(f"job_uptime_{percentage}_sec" for percentage in ("50.00", "75.00", "90.00", "95.00", "99.00")),
    "platform_uptime_percent",
    "mtta_ms",
    "mtts_ms",
    "mttr_ms",
}
WEB = (
    task(production("web"), 0, (3600, S.PENDING), (3590, S.RUNNING)),
    task(production("web"), 1, (50, S.PENDING), (40, S.ASSIGNED), (35, S.STARTING), (30, S.RUNNING)),
)


async def test_there_are_numbers_for_each_job_the_cluster_and_the_sizes() -> None:
    sla, _, _ = service(*WEB)
    numbers = await sla.compute()
    times = ("mtta_ms", "mtts_ms", "mttr_ms")
    sizes = [f"{resource}_small_{time}" for resource in ("cpu", "ram", "disk") for time in times]
    of_job = [f"www-data/prod/web_{metric}" for metric in JOB_METRICS]
    of_cluster = ["cluster_platform_uptime_percent", *(f"cluster_{time}" for time in times)]
    assert numbers.keys() == {f"sla_{name}" for name in (*of_job, *of_cluster, *sizes)}


async def test_the_numbers_are_right() -> None:
    sla, _, _ = service(*WEB, task(production("api"), 0, (600, S.RUNNING), (15, S.LOST)))
    numbers = await sla.compute()
    assert numbers["sla_www-data/prod/web_job_uptime_50.00_sec"] == (3590 + 30) / 2
    assert numbers["sla_www-data/prod/web_job_uptime_75.00_sec"] == 30 + (3590 - 30) / 4
    assert numbers["sla_www-data/prod/api_job_uptime_99.00_sec"] == 0
    assert numbers["sla_www-data/prod/web_platform_uptime_percent"] == 100
    assert numbers["sla_www-data/prod/api_platform_uptime_percent"] == 75
    assert numbers["sla_cluster_platform_uptime_percent"] == pytest.approx(100 * (60 + 30 + 45) / (60 + 30 + 60))
    assert numbers["sla_www-data/prod/web_mtta_ms"] == numbers["sla_cluster_mtta_ms"] == 10_000
    assert numbers["sla_cpu_small_mttr_ms"] == 20_000
    assert numbers["sla_www-data/prod/api_mttr_ms"] == 0


async def test_only_services_count_and_others_only_if_asked_for() -> None:
    batch = msgspec.structs.replace(production("batch"), is_service=False)
    tasks = (*WEB, task(batch, 0, (9, S.RUNNING)), task(config(name="test"), 0, (9, S.PENDING), (8, S.RUNNING)))
    sla, _, _ = service(*tasks)
    assert not [name for name in await sla.compute() if "batch" in name or "test" in name or "nonprod" in name]
    sla, _, _ = service(*tasks, flags=Flags(sla_prod_metrics=(), sla_non_prod_metrics=("MEDIANS", "PLATFORM_UPTIME")))
    numbers = await sla.compute()
    assert all(name.endswith("_nonprod") for name in numbers)
    assert numbers["sla_www-data/prod/test_mttr_ms_nonprod"] == 1000
    assert numbers["sla_cluster_platform_uptime_percent_nonprod"] == 100
    assert "sla_www-data/prod/test_job_uptime_50.00_sec_nonprod" not in numbers


async def test_without_wanted_metrics_or_services_there_are_no_numbers() -> None:
    sla, _, _ = service(*WEB, flags=Flags(sla_prod_metrics=()))
    assert await sla.compute() == {}
    sla, _, _ = service()
    assert await sla.compute() == {}


async def test_they_are_renewed_regularly_and_go_with_their_jobs(autojump_clock: MockClock) -> None:
    sla, tables, stats = service(*WEB, flags=Flags(sla_stat_refresh_interval=60.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sla.run)
        await trio.sleep(59)
        assert "sla_cluster_mtta_ms" not in stats.snapshot()
        await trio.sleep(2)
        assert stats.get("sla_cluster_mtta_ms") == stats.snapshot()["sla_cluster_mtta_ms"] == 10_000
        assert stats.get("sla_stats_computation_events") == 1
        Transaction(tables).remove_tasks([one.assigned_task.task_id for one in WEB])
        await trio.sleep(60)
        assert not [name for name in stats.snapshot() if name.startswith("sla_") and not name.startswith("sla_stats")]
        nursery.cancel_scope.cancel()
