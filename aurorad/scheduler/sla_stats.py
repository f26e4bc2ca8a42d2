"""Computes now and then how well services did lately, for /vars (quota-tiers-sla sheet, section 4; vars sheet, 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from aurorad.api import keys
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import sla_numbers
from aurorad.rules.sla_numbers import Uptime, Window
from aurorad.storage.storage import Storage
from aurorad.vars import Value, Vars

_TIMES_TO = {
    "mtta_ms": ScheduleStatus.ASSIGNED,
    "mtts_ms": ScheduleStatus.STARTING,
    "mttr_ms": ScheduleStatus.RUNNING,
}


class SlaStats:
    """Statistics of jobs that are gone go with them."""

    def __init__(self, *, storage: Storage, flags: Flags, stats: Vars, now_ms: Callable[[], int]) -> None:
        self._storage = storage
        self._stats = stats
        self._now_ms = now_ms
        self._interval_s = flags.sla_stat_refresh_interval
        self._wanted = {
            production: frozenset(metrics)
            for production, metrics in ((True, flags.sla_prod_metrics), (False, flags.sla_non_prod_metrics))
            if metrics
        }
        self._numbers: Mapping[str, Value] = {}
        stats.family(lambda: self._numbers)

    async def run(self) -> None:
        while True:
            await trio.sleep(self._interval_s)
            started = trio.current_time()
            self._numbers = await self.compute()
            self._stats.observe("sla_stats_computation", trio.current_time() - started)

    async def compute(self) -> dict[str, Value]:
        """The numbers by name. Never has the loop for long, however many tasks there are."""
        now_ms = self._now_ms()
        window = Window(now_ms - round(self._interval_s * 1000), now_ms)
        kinds = {
            production: _Numbers(window, metrics, "" if production else "_nonprod")
            for production, metrics in self._wanted.items()
        }
        pace = Pace()
        for job in list(self._storage.tables.job_keys()) if kinds else ():
            services: dict[bool, list[ScheduledTask]] = {production: [] for production in kinds}
            for task in self._storage.tables.job_tasks(job):
                config = task.assigned_task.task
                if config.is_service and config.production in services and task.task_events:
                    services[config.production].append(task)
                await pace.breathe()
            for production, numbers in kinds.items():
                await numbers.add(job, services[production], pace)
        done = {name: value for numbers in kinds.values() for name, value in numbers.all().items()}
        return {name: done[name] for name in sorted(done)}


class _Numbers:
    """Those of production services, or of all others, in the making."""

    def __init__(self, window: Window, metrics: frozenset[str], suffix: str) -> None:
        self._window = window
        self._metrics = metrics
        self._suffix = suffix
        self._done: dict[str, Value] = {}
        self._cluster: Uptime | None = None
        self._waits_ms: dict[str, list[int]] = {}
        self._groups: dict[TaskConfig, tuple[str, ...]] = {}

    async def add(self, job: JobKey, tasks: list[ScheduledTask], pace: Pace) -> None:
        """All the tasks of one job."""
        await pace.breathe()
        if not tasks:
            return
        name = keys.canonical(job)
        if "JOB_UPTIMES" in self._metrics:
            await self._add_job_uptimes(name, tasks, pace)
        if "PLATFORM_UPTIME" in self._metrics:
            await self._add_platform_uptime(name, tasks, pace)
        if "MEDIANS" in self._metrics:
            await self._add_waits(name, tasks, pace)

    def all(self) -> dict[str, Value]:
        """To be called once all jobs were added."""
        if self._cluster is not None:
            self._note("cluster_platform_uptime_percent", self._cluster.percent)
        for name, waits_ms in self._waits_ms.items():
            self._note(name, sla_numbers.percentile(sorted(waits_ms), 50))
        return self._done

    async def _add_job_uptimes(self, job: str, tasks: list[ScheduledTask], pace: Pace) -> None:
        uptimes_ms = []
        for task in tasks:
            if task.status is ScheduleStatus.RUNNING:
                uptimes_ms.append(self._window.end_ms - task.task_events[-1].timestamp)
            await pace.breathe()
        uptimes_ms.sort()
        for percentage in sla_numbers.UPTIMES:
            self._note(f"{job}_job_uptime_{percentage:.2f}_sec", sla_numbers.uptime_s(uptimes_ms, percentage))

    async def _add_platform_uptime(self, job: str, tasks: list[ScheduledTask], pace: Pace) -> None:
        instances: dict[int, list[ScheduledTask]] = {}
        for task in tasks:
            instances.setdefault(task.assigned_task.instance_id, []).append(task)
            await pace.breathe()
        of_job = Uptime()
        for history in instances.values():
            of_job = of_job.plus(sla_numbers.instance_uptime(history, self._window))
            await pace.breathe()
        self._note(f"{job}_platform_uptime_percent", of_job.percent)
        self._cluster = of_job.plus(self._cluster or Uptime())

    async def _add_waits(self, job: str, tasks: list[ScheduledTask], pace: Pace) -> None:
        for task in tasks:
            groups = self._groups_of(job, task.assigned_task.task)
            if task.task_events[-1].timestamp >= self._window.start_ms:
                for name, status in _TIMES_TO.items():
                    waited_ms = sla_numbers.waited_ms(status, task, self._window)
                    if waited_ms is not None:
                        for group in groups:
                            self._waits_ms[f"{group}_{name}"].append(waited_ms)
            await pace.breathe()

    def _groups_of(self, job: str, config: TaskConfig) -> tuple[str, ...]:
        """The groups that the tasks of a job are in; all of them have numbers, also if nobody had to wait."""
        groups = self._groups.get(config)
        if groups is None:
            groups = self._groups[config] = (job, "cluster", *sla_numbers.size_groups(config))
            for group in groups:
                for name in _TIMES_TO:
                    self._waits_ms.setdefault(f"{group}_{name}", [])
        return groups

    def _note(self, name: str, value: float) -> None:
        self._done[f"sla_{name}{self._suffix}"] = value
