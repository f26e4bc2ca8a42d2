"""The daemon: every role it has, in one nursery, started and stopped in order.

Start: the sockets (a taken port is told before anything is touched), the storage, the scheduler's services, the pages.
Stop: the pages, with a grace for open requests; the services; the storage. Tasks go on unless told otherwise.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import random
import signal
import socket
import time
import uuid
from typing import NoReturn

import trio
from quart_trio import QuartTrio

from aurorad.api.calls import GetQuota
from aurorad.api.enums import SLAVE_ASSIGNED_STATES, ScheduleStatus
from aurorad.api.results import GetQuotaResult
from aurorad.api.tasks import TaskQuery
from aurorad.engine.base import Engine
from aurorad.engine.local.engine import LocalEngine
from aurorad.engine.local.home import BadFrameworkId, WorkDirInUse
from aurorad.engine.simulated.agents import BadAgents
from aurorad.engine.simulated.engine import SimulatedEngine
from aurorad.engines import WrongEngine, local_engine, simulated_engine
from aurorad.flags import Flags
from aurorad.garbage import leave_long_lived_alone
from aurorad.log.errors import LogDamaged, LogFull, LogInUse
from aurorad.observer.app import observer_app
from aurorad.observer.service import observer_for
from aurorad.pages.guard import keep_others_out
from aurorad.process_stats import declare_process
from aurorad.rules.tiers import TierError, Tiers
from aurorad.scheduler import webhooks
from aurorad.scheduler.explaining import Explainer
from aurorad.scheduler.limits import admission_limits, configured_tiers
from aurorad.scheduler.rpc import jobs, updates
from aurorad.scheduler.rpc.calls import api_of
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.scheduler.rpc.plans import Plans
from aurorad.scheduler.service import Scheduler
from aurorad.scheduler.updater import Updater
from aurorad.startup import CannotStart, backup_folder, check_work_dir, executor_arguments
from aurorad.storage.backups import Backups
from aurorad.storage.entries import UnreadableLog
from aurorad.storage.following import open_storage
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from aurorad.watchdog import Watchdog
from aurorad.web import server
from aurorad.web.admin import admin_endpoints
from aurorad.web.app import scheduler_app
from aurorad.web.cluster import cluster_endpoints
from aurorad.web.explain import explain_endpoints
from aurorad.web.lifecycle import lifecycle_endpoints
from aurorad.web.pages.blueprint import scheduler_pages
from aurorad.web.pages.jobs import exists as job_exists
from aurorad.web.simulation import simulation_endpoints
from aurorad.web.thrift import thrift_endpoint

_log = logging.getLogger(__name__)

# Until callers say who they are (security sheet).
ANYBODY = "UNSECURE"


_LOOPBACK = "127.0.0.1"


_OUTSIDE_OUR_POWER = (
    LogInUse,
    LogDamaged,
    UnreadableLog,
    TierError,
    webhooks.WebhookError,
    server.PortTaken,
    WorkDirInUse,
    BadFrameworkId,
    BadAgents,
    WrongEngine,
)


def run(flags: Flags) -> None:
    """Serve until SIGTERM or SIGINT. Raises `CannotStart`; any other exception is a defect."""
    stats = Vars()
    arguments = executor_arguments(flags)
    if "scheduler" in flags.role:  # an observer alone keeps nothing
        check_work_dir(flags.work_dir)
    try:
        daemon = _Daemon(flags, stats, configured_tiers(flags), arguments)
        trio.run(daemon.run)
    except _OUTSIDE_OUR_POWER as error:
        raise CannotStart(str(error)) from error
    except BaseExceptionGroup as group:
        outside, defects = group.split(_OUTSIDE_OUR_POWER)
        if outside is None or defects is not None:
            raise
        raise CannotStart("; ".join(map(str, _leaves(outside)))) from group


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# A scheduler's way, as operators see it (vars sheet, section 4); nothing is served before ACTIVE.
_LIFECYCLE = ("IDLE", "PREPARING_STORAGE", "STORAGE_PREPARED", "LEADER_AWAITING_REGISTRATION", "ACTIVE", "DEAD")


class _Daemon:
    def __init__(self, flags: Flags, stats: Vars, tiers: Tiers, executor_arguments: tuple[str, ...]) -> None:
        self._flags = flags
        self._executor_arguments = executor_arguments
        self._stats = stats
        self._tiers = tiers
        self._webhook = webhooks.configured(flags.webhook_config)
        self._stopping = trio.Event()
        self._watchdog = Watchdog(stats)
        self._state = "IDLE"
        for state in _LIFECYCLE:
            stats.gauge(f"scheduler_lifecycle_{state}", functools.partial(self._is_in, state))
        declare_process(stats, now_ms)
        self._hostname = flags.hostname or _name_of(flags.ip)
        self._address = flags.ip or flags.hostname or "127.0.0.1"

    async def run(self) -> None:
        """All roles, until told to stop."""
        flags = self._flags
        schedules = "scheduler" in flags.role
        observes = "observer" in flags.role and flags.engine != "simulated"  # pretended tasks leave nothing to observe
        scheduler = server.listen(self._address, flags.http_port, "http_port") if schedules else None
        observer = server.listen(self._address, flags.observer_port, "observer_port") if observes else None
        control_port = flags.simulated_control_port
        control = server.listen(_LOOPBACK, control_port, "simulated_control_port") if control_port is not None else None
        async with trio.open_nursery() as signals:
            await signals.start(self._heed_signals)
            async with trio.open_nursery() as roles:
                if observer is not None:
                    scheduler_url = f"{self._url(scheduler)}/scheduler" if scheduler is not None else None
                    await roles.start(self._observe, observer, scheduler_url)
                if scheduler is not None:
                    observer_port = observer.getsockname()[1] if observer is not None else flags.observer_port
                    await roles.start(self._schedule, scheduler, control, observer_port)
                trio.lowlevel.add_instrument(self._watchdog)  # before, nobody had to wait for the loop
                kept = f"; everything is kept in {flags.work_dir}" if schedules else ""
                print(f"aurorad: ready{kept}", flush=True)
            signals.cancel_scope.cancel()

    def _is_in(self, state: str) -> int:
        return int(self._state == state)

    async def _heed_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:  # until the very end: a second one must not cut the orderly stop short
                _log.info("%s: %sstopping", signal.Signals(number).name, "already " * self._stopping.is_set())
                self._stopping.set()

    async def _observe(
        self, sock: socket.socket, scheduler_url: str | None, *, task_status: trio.TaskStatus[None]
    ) -> None:
        observer = observer_for(self._flags)
        app = observer_app(observer, self._hostname, now_ms, Vars(), self._stopping, scheduler_url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observer.run)
            async with trio.open_nursery() as pages:
                await self._serve(pages, "observer", app, sock)
                task_status.started()
            nursery.cancel_scope.cancel()

    async def _schedule(
        self,
        sock: socket.socket,
        control: socket.socket | None,
        observer_port: int,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        flags = self._flags
        async with open_storage(
            flags.work_dir,
            stats=self._stats,
            now_ms=now_ms,
            max_entry_bytes=flags.dlog_max_entry_size,
            snapshot_interval_s=flags.dlog_snapshot_interval,
        ) as storage:
            engine = await self._engine(storage.tables)
            scheduler = self._scheduler(storage, engine)
            updater = self._updater(storage, scheduler)
            backups = Backups(storage, backup_folder(flags), flags.backup_interval, self._tiers, now_ms, self._stats)
            api = self._api(storage, scheduler, updater, backups)
            explainer = self._explainer(storage, scheduler, updater)
            plans = self._plans(storage, scheduler, updater, explainer)
            app = self._scheduler_app(storage, scheduler, api, observer_port, explainer, plans)
            async with trio.open_nursery() as services:
                services.start_soon(leave_long_lived_alone)
                await services.start(scheduler.run)
                await services.start(updater.run)
                services.start_soon(backups.run)
                services.start_soon(self._end_if_replaced, storage)
                self._state = "ACTIVE"
                async with trio.open_nursery() as pages:
                    await self._serve(pages, "scheduler", app, sock)
                    if control is not None and isinstance(engine, SimulatedEngine):
                        await self._serve(
                            pages, "control", scheduler_app(Vars(), simulation_endpoints(engine, now_ms)), control
                        )
                    task_status.started()
                    await self._stopping.wait()
                    self._state = "DEAD"
                    if flags.stop_tasks_on_exit and isinstance(engine, LocalEngine):
                        await _stop_tasks(storage, scheduler, engine)
                services.cancel_scope.cancel()

    async def _engine(self, tables: Tables) -> LocalEngine | SimulatedEngine:
        flags = self._flags
        if flags.engine == "simulated":
            return await simulated_engine(flags, tables)
        return local_engine(flags, tables, self._hostname, self._stats, now_ms, self._executor_arguments)

    def _scheduler(self, storage: Storage, engine: Engine) -> Scheduler:
        return Scheduler(
            storage=storage,
            engine=engine,
            flags=dataclasses.replace(self._flags, hold_offers_forever=True),  # nobody else wants these machines
            stats=self._stats,
            now_ms=now_ms,
            rng=random.Random(),  # noqa: S311 - places tasks, guards nothing
            new_uuid=uuid.uuid4,
            hostname=self._hostname,
            tiers=self._tiers,
            webhook=self._webhook,
        )

    def _updater(self, storage: Storage, scheduler: Scheduler) -> Updater:
        rng = random.Random()  # noqa: S311 - spreads retries, guards nothing
        return Updater(
            storage,
            scheduler.states,
            now_ms,
            self._stats,
            self._flags,
            sla=scheduler.sla,
            rng=rng,
            keep_place=scheduler.reservations.keep_place,
        )

    async def _end_if_replaced(self, storage: Storage) -> None:
        await storage.replaced.wait()
        _log.warning("The state was replaced by a backup: stopping, the next start loads it")
        self._stopping.set()

    def _api(self, storage: Storage, scheduler: Scheduler, updater: Updater, backups: Backups) -> Api:
        return api_of(
            storage=storage,
            scheduler=scheduler,
            updater=updater,
            flags=self._flags,
            tiers=self._tiers,
            stats=self._stats,
            new_uuid=uuid.uuid4,
            saved=backups,
        )

    def _explainer(self, storage: Storage, scheduler: Scheduler, updater: Updater) -> Explainer:
        return Explainer(
            tables=storage.tables,
            offers=scheduler.offers,
            agents=scheduler.agents,
            objections=lambda: updater.objections,
            penalty_ms=scheduler.states.remaining_penalty_ms,
            flags=self._flags,
            now_ms=now_ms,
        )

    def _plans(self, storage: Storage, scheduler: Scheduler, updater: Updater, explainer: Explainer) -> Plans:
        flags, stats, tiers = self._flags, self._stats, self._tiers
        limits = admission_limits(flags)
        return Plans(
            storage=storage,
            jobs=jobs.JobCalls(storage, scheduler.states, limits, tiers, stats),
            updates=updates.UpdateCalls(storage, updater, limits, tiers, flags, stats, uuid.uuid4),
            explainer=explainer,
        )

    def _scheduler_app(
        self,
        storage: Storage,
        scheduler: Scheduler,
        api: Api,
        observer_port: int,
        explainer: Explainer,
        plans: Plans,
    ) -> QuartTrio:
        async def quota(role: str) -> GetQuotaResult:
            answer = await api.handle(GetQuota(role), ANYBODY)
            assert answer.result is not None
            assert answer.result.get_quota_result is not None
            return answer.result.get_quota_result

        def observer_url(host: str) -> str | None:
            return f"http://{_in_url(host)}:{observer_port}" if self._flags.engine != "simulated" else None

        pages = scheduler_pages(
            storage.tables,
            scheduler.pending_reason,
            observer_url,
            self._flags.cluster_name,
            now_ms,
            quota,
            scheduler.cron.next_run_ms,
            explainer.job,
            scheduler.maintenance.waits_for,
        )
        tables, offers = storage.tables, scheduler.offers.all
        return scheduler_app(
            self._stats,
            thrift_endpoint(api.handle, lambda: ANYBODY),
            admin_endpoints(self._stats, lambda: storage.refusing),
            cluster_endpoints(tables, offers, scheduler.pending_groups, self._tiers),
            explain_endpoints(explainer.job, plans.plan, lambda job: job_exists(tables, job), lambda: ANYBODY),
            lifecycle_endpoints(self._stopping.set, _abort),
            pages,
        )

    async def _serve(self, nursery: trio.Nursery, name: str, app: QuartTrio, sock: socket.socket) -> None:
        keep_others_out(app, sock.getsockname()[0], self._hostname)

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            grace_s = self._flags.shutdown_grace
            await server.serve(app, sock, stopping=self._stopping, grace_s=grace_s, task_status=task_status)

        await nursery.start(serve)
        print(f"aurorad: {name}: {self._url(sock)}/{name if name == 'scheduler' else ''}", flush=True)

    def _url(self, sock: socket.socket) -> str:
        return f"http://{_in_url(self._hostname)}:{sock.getsockname()[1]}"


def _name_of(ip: str | None) -> str:
    """Where a browser finds who listens on this address."""
    if ip is None:
        return "localhost"
    return socket.gethostname() if ip in ("0.0.0.0", "::") else ip  # noqa: S104 - what the operator wants


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _abort() -> NoReturn:
    """Asked for over HTTP: an end without any order. Tasks go on, and what was answered OK is in the log."""
    logging.getLogger("aurorad").warning("told to abort")
    os._exit(0)


async def _stop_tasks(storage: Storage, scheduler: Scheduler, engine: LocalEngine) -> None:
    """End all tasks; each has a successor waiting for the next start, and none is blamed for having been short."""

    def restart(tx: Transaction) -> None:
        for task in tx.tables.tasks(TaskQuery(statuses=SLAVE_ASSIGNED_STATES)):
            task_id = task.assigned_task.task_id
            scheduler.states.change_state(tx, task_id, ScheduleStatus.RESTARTING, "aurorad is stopping.")

    with trio.CancelScope(shield=True):
        try:
            await storage.write(restart)
        except LogFull as error:  # they end all the same, and the engine tells the next start so
            _log.warning("tasks are stopped without a record of why: %s", error)
        await engine.stop_all_tasks()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]
