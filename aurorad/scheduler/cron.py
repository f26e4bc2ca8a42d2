"""Fires cron jobs by their schedules, and makes room for a run where one is still going (cron sheet, 5 to 7).

All that matters is in the tables: that a run waits for the end of the one before shows in the tasks that were killed
for it. So a scheduler that ends in between loses no run that it has begun; what should have fired while none led does
not fire late.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import trio

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_STATES, TERMINAL_STATES, CronCollisionPolicy, ScheduleStatus
from aurorad.api.tasks import JobConfiguration, JobKey, ScheduledTask
from aurorad.flags import Flags, time_zone
from aurorad.pace import Pace
from aurorad.rules import cron
from aurorad.rules.cron import BadSchedule
from aurorad.rules.task_states import last_change_ms
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.timetable import Timetable
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import CronJobChanged, TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_log = logging.getLogger(__name__)

KILLED_BY_CRON = "Killed by cronScheduler"
"""What the event says of a task that made room for the next run."""

TASKS_AT_ONCE = 1000
"""About as many are created in one write, lest it hold the loop; a job is never divided."""

LOOK_AGAIN_S = 10.0
"""The wall clock is looked at at least this often, for it may be set forward while we wait."""

SET_BACK_MS = 60_000
"""A clock that slips by less is waited for."""

TAKEN_UP_WITHIN_MS = 3_600_000
"""A run that was cut off longer ago is not begun after a start: history tells it no longer from older things."""


class CronScheduler:
    """Knows the next time of each cron job, and which of them wait for the tasks of the run before to end."""

    def __init__(
        self, *, storage: Storage, states: StateManager, flags: Flags, stats: Vars, now_ms: Callable[[], int]
    ) -> None:
        zone = time_zone(flags.cron_timezone)
        assert zone is not None, "flags are checked when they are parsed"
        self._storage = storage
        self._states = states
        self._stats = stats
        self._now_ms = now_ms
        self._batch_size = flags.cron_scheduling_max_batch_size
        self._zone = zone
        self._timetable = Timetable(zone)
        self._cleared: dict[JobKey, None] = {}
        self._seen_ms = 0
        self._news = trio.Event()
        self._is_running = self._has_loaded = False
        stats.declare(
            "cron_job_triggers",
            "cron_job_misfires",
            "cron_job_parse_failures",
            "cron_job_launch_failures",
            "cron_job_collisions",
            "cron_job_concurrent_runs",
            "CronBatchWorker_items_processed",
            "CronBatchWorker_batches_processed",
        )
        stats.gauge("quartz_scheduler_running", lambda: int(self._is_running))
        stats.gauge("cron_jobs_loaded", lambda: int(self._has_loaded))

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change of a task: one that ends may have been what the next run waits for."""
        before, after = change.before, change.after
        if before is None or after is None or after.status not in TERMINAL_STATES or before.status in TERMINAL_STATES:
            return
        if _killed_ms(after) is not None:
            self._cleared[after.assigned_task.task.job] = None
            self._news.set()

    def cron_changed(self, change: CronJobChanged) -> None:
        """Heard of every cron job that is scheduled, replaced or descheduled."""
        if change.after is not None:
            self._enter(change.after)
        elif change.before is not None:
            self._timetable.remove(change.before.key)
        self._news.set()

    def next_run_ms(self, template: JobConfiguration) -> int | None:
        """When the job fires next, in ms since the epoch; None for one of another version that never will."""
        try:
            return cron.parse(template.cron_schedule or "").next_ms(self._now_ms(), self._zone)
        except BadSchedule:
            return None

    def trigger(self, tx: Transaction, job: JobKey) -> None:
        """Begin a run of `job` now, in the caller's write, as its collision policy lets (cron sheet, section 5)."""
        template = tx.tables.cron_jobs.get(job)
        if template is None:
            _log.info("cron job %s is gone: not run", keys.canonical(job))
            self._stats.count("cron_job_misfires")
            return
        try:
            cron.parse(template.cron_schedule or "")
        except BadSchedule as bad:
            _log.error("cron job %s is not run: %s", keys.canonical(job), bad)
            self._stats.count("cron_job_parse_failures")
            return
        active = tx.tables.job_tasks(job, ACTIVE_STATES)
        if any(_killed_ms(task) is not None for task in active):
            _log.info("cron job %s is not run: an earlier run still waits to begin", keys.canonical(job))
            self._stats.count("cron_job_concurrent_runs")
            return
        self._stats.count("cron_job_triggers")
        if active:
            self._stats.count("cron_job_collisions")
            if not self._make_room(tx, template, active):
                return
        self._begin_if_free(tx, job)

    async def run(self) -> None:
        """Fire what is due until cancelled."""
        self._is_running = True
        try:
            await self._load()
            while True:
                now_ms = await self._heed_clock()
                await self._begin_cleared()
                due = self._timetable.take_due(now_ms, self._batch_size)
                for batch in _batches(self._storage.tables, due):
                    await write_patiently(self._storage, functools.partial(self._trigger_all, batch))
                if not due:
                    await self._wait()
        finally:
            self._is_running = self._has_loaded = False

    async def _load(self) -> None:
        """Learn what there is; runs that are begun but for their tasks are taken up."""
        pace = Pace()
        tables = self._storage.tables
        for job in list(tables.cron_jobs):
            template = tables.cron_jobs.get(job)
            if template is None:  # descheduled meanwhile
                continue
            self._enter(template)
            if _was_cut_off(tables.job_tasks(job), self._now_ms()):
                self._cleared[job] = None
            await pace.breathe()
        self._has_loaded = True

    def _enter(self, template: JobConfiguration) -> None:
        try:
            crontab = cron.parse(template.cron_schedule or "")
        except BadSchedule as bad:  # written by another version: new ones are refused
            _log.error("cron job %s will not run: %s", keys.canonical(template.key), bad)
            self._stats.count("cron_job_launch_failures")
            self._timetable.remove(template.key)
            return
        self._timetable.set(template.key, crontab, self._now_ms())

    async def _heed_clock(self) -> int:
        """The time by the wall clock. If that was set back, every job has its place on it."""
        now_ms = self._now_ms()
        if now_ms < self._seen_ms - SET_BACK_MS:
            _log.warning("the clock was set back by %d s: cron jobs follow it", (self._seen_ms - now_ms) // 1000)
            self._seen_ms = now_ms
            pace = Pace()
            for job in self._timetable.jobs():
                self._timetable.clock_set_back(job, now_ms)
                await pace.breathe()
        self._seen_ms = max(self._seen_ms, now_ms)
        return now_ms

    async def _wait(self) -> None:
        """Until there are news, or it is time to look at the clock."""
        next_ms = self._timetable.next_ms()
        delay_s = min(LOOK_AGAIN_S, (next_ms - self._now_ms()) / 1000) if next_ms is not None else float("inf")
        with trio.move_on_after(max(0.0, delay_s)):
            await self._news.wait()
        self._news = trio.Event()

    async def _begin_cleared(self) -> None:
        while self._cleared:
            jobs = list(self._cleared)[: self._batch_size]
            for job in jobs:  # before they are looked at: what ends meanwhile puts them here again
                del self._cleared[job]
            for batch in _batches(self._storage.tables, jobs):
                await write_patiently(self._storage, functools.partial(self._begin_all, batch))

    def _trigger_all(self, jobs: Sequence[JobKey], tx: Transaction) -> None:
        for job in jobs:
            self.trigger(tx, job)
        self._stats.count("CronBatchWorker_items_processed", len(jobs))
        self._stats.count("CronBatchWorker_batches_processed")

    def _begin_all(self, jobs: Sequence[JobKey], tx: Transaction) -> None:
        for job in jobs:
            self._begin_if_free(tx, job)

    def _make_room(self, tx: Transaction, template: JobConfiguration, active: Iterable[ScheduledTask]) -> bool:
        """Do to the run that is going on what the policy says; whether a new one may follow it."""
        match template.cron_collision_policy or CronCollisionPolicy.KILL_EXISTING:
            case CronCollisionPolicy.KILL_EXISTING:
                for task in active:
                    self._kill(tx, task)
                return True
            case CronCollisionPolicy.CANCEL_NEW:
                return False
            case CronCollisionPolicy.RUN_OVERLAP:  # written by another version: new ones are refused
                _log.error("cron job %s is not run: RUN_OVERLAP is no policy any more", keys.canonical(template.key))
                return False

    def _kill(self, tx: Transaction, task: ScheduledTask) -> None:
        if task.status is ScheduleStatus.KILLING:  # by somebody else; that we wait for it must be on record too
            self._states.note(tx, task, KILLED_BY_CRON)
        else:
            self._states.change_state(tx, task.assigned_task.task_id, ScheduleStatus.KILLING, KILLED_BY_CRON)

    def _begin_if_free(self, tx: Transaction, job: JobKey) -> None:
        """Create the tasks of a run, unless the job is gone by now or a task of the run before is not."""
        template = tx.tables.cron_jobs.get(job)
        if template is None or tx.tables.job_tasks(job, ACTIVE_STATES):
            return
        config = template.task_config
        if config.job != job:  # written by another version: new ones are refused
            config = msgspec.structs.replace(config, job=job)
        self._states.insert_pending(tx, config, range(template.instance_count))


def _killed_ms(task: ScheduledTask) -> int | None:
    """When the task was told to make room for the next run of its job."""
    for event in reversed(task.task_events):
        if event.message == KILLED_BY_CRON and event.status is ScheduleStatus.KILLING:
            return event.timestamp
    return None


def _was_cut_off(tasks: Sequence[ScheduledTask], now_ms: int) -> bool:
    """Whether the job's last run was killed for one that never began, although it could by now."""
    killed_ms = max((at for task in tasks if (at := _killed_ms(task)) is not None), default=None)
    if killed_ms is None or any(task.status in ACTIVE_STATES for task in tasks):
        return False
    others = [task for task in tasks if _killed_ms(task) is None]
    if any(task.task_events[0].timestamp >= killed_ms for task in others if task.task_events):
        return False
    return now_ms - max(map(last_change_ms, tasks)) <= TAKEN_UP_WITHIN_MS


def _batches(tables: Tables, jobs: Iterable[JobKey]) -> Iterator[list[JobKey]]:
    """The jobs in groups, none of which creates many more tasks than one write should."""
    batch: list[JobKey] = []
    size = 0
    for job in jobs:
        template = tables.cron_jobs.get(job)
        tasks = template.instance_count if template is not None else 0
        if batch and size + tasks > TASKS_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += tasks
    if batch:
        yield batch
