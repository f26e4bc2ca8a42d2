"""All that only a leader has: the engine, the services over it, the calls, and the application that serves them."""

from __future__ import annotations

import dataclasses
import logging
import random
import uuid
from collections.abc import Callable
from typing import NamedTuple

import trio
from quart import Blueprint
from quart_trio import QuartTrio

from aurorad.api.calls import GetQuota
from aurorad.api.enums import SLAVE_ASSIGNED_STATES, ScheduleStatus
from aurorad.api.results import GetQuotaResult
from aurorad.api.tasks import TaskQuery
from aurorad.engine.base import Engine
from aurorad.engine.local.engine import LocalEngine
from aurorad.engines import local_engine, mesos_engine, simulated_engine
from aurorad.flags import Flags
from aurorad.garbage import leave_alone_what_there_is, making_what_stays
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.permissions import ANYBODY
from aurorad.rules.tiers import Tiers
from aurorad.scheduler.explaining import Explainer
from aurorad.scheduler.limits import admission_limits
from aurorad.scheduler.rpc import jobs, updates
from aurorad.scheduler.rpc.authorized import Authorized
from aurorad.scheduler.rpc.calls import api_of
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.scheduler.rpc.plans import Plans
from aurorad.scheduler.service import Scheduler
from aurorad.scheduler.updater import Updater
from aurorad.scheduler.webhooks import Webhook
from aurorad.series import Series
from aurorad.storage.backup_folder import BackupFolder
from aurorad.storage.backups import Backups
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from aurorad.web.access import present_caller
from aurorad.web.admin import admin_endpoints
from aurorad.web.apibeta import apibeta_endpoint
from aurorad.web.apiclient import api_client
from aurorad.web.app import scheduler_app
from aurorad.web.cluster import cluster_endpoints
from aurorad.web.diagnostics import diagnostic_endpoints
from aurorad.web.dumps import dump_endpoints
from aurorad.web.events import event_endpoints
from aurorad.web.explain import explain_endpoints
from aurorad.web.graphs import graph_endpoints
from aurorad.web.mname import mname_endpoints
from aurorad.web.pages.blueprint import scheduler_look, scheduler_pages
from aurorad.web.pages.jobs import exists as job_exists
from aurorad.web.sandboxes import sandbox_endpoint
from aurorad.web.thrift import thrift_endpoint
from aurorad.web.utilization import utilization_endpoints
from aurorad.web.v1.blueprint import json_api
from aurorad.web.v1.route import World

_log = logging.getLogger(__name__)


class Surroundings(NamedTuple):
    """What a reign is given, whichever storage it is over."""

    flags: Flags
    stats: Vars
    tiers: Tiers
    executors: ExecutorSettings
    webhook: Webhook | None
    executor_arguments: tuple[str, ...]
    hostname: str
    url: str
    """Where a browser finds this scheduler."""
    now_ms: Callable[[], int]
    observer_url: Callable[[str], str | None]
    """Where a browser finds the observer of a host, if there is one."""
    backup_folder: BackupFolder
    series: Series
    stopping: trio.Event
    """Set when this process is told to end, or leads no more."""


class Reign:
    """The services over one storage. Made by `begin`; `run` runs once."""

    def __init__(self, storage: Storage, engine: Engine, given: Surroundings) -> None:
        flags, stats, now_ms = given.flags, given.stats, given.now_ms
        self.engine = engine
        self._storage = storage
        self._given = given
        self._scheduler = Scheduler(
            storage=storage,
            engine=engine,
            flags=flags if flags.engine == "mesos" else dataclasses.replace(flags, hold_offers_forever=True),
            stats=stats,
            now_ms=now_ms,
            rng=random.Random(),  # noqa: S311 - places tasks, guards nothing
            new_uuid=uuid.uuid4,
            hostname=given.hostname,
            executors=given.executors,
            tiers=given.tiers,
            webhook=given.webhook,
        )
        self._backups = Backups(storage, given.backup_folder, flags.backup_interval, given.tiers, now_ms, stats)
        self._updater = Updater(
            storage,
            self._scheduler.states,
            now_ms,
            stats,
            flags,
            sla=self._scheduler.sla,
            rng=random.Random(),  # noqa: S311 - spreads retries, guards nothing
            keep_place=self._scheduler.reservations.keep_place,
        )

    @classmethod
    async def begin(cls, storage: Storage, given: Surroundings) -> Reign:
        """Raises `BadAgents`, `BadCredential` and `WrongEngine`."""
        flags, tables, hostname, stats = given.flags, storage.tables, given.hostname, given.stats
        if flags.engine == "simulated":
            with making_what_stays():
                return cls(storage, await simulated_engine(flags, tables, given.executors), given)
        if flags.engine == "mesos":
            return cls(storage, mesos_engine(flags, tables, given.executors, hostname, given.url, stats), given)
        engine = local_engine(flags, tables, hostname, stats, given.now_ms, given.executor_arguments)
        return cls(storage, engine, given)

    @property
    def registered(self) -> trio.Event:
        """Set when the engine knows us."""
        return self._scheduler.registered

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Schedule until cancelled; started when calls can be answered. Tasks go on without us."""
        async with trio.open_nursery() as services:
            with making_what_stays():
                await services.start(self._scheduler.run)
                await services.start(self._updater.run)
                leave_alone_what_there_is()
            services.start_soon(self._backups.run)
            task_status.started()

    async def wind_up(self) -> None:
        """With ``-stop_tasks_on_exit``: end all tasks.

        Each has a successor waiting for the next start, and none is blamed for having been short.
        """
        engine = self.engine
        if not self._given.flags.stop_tasks_on_exit or not isinstance(engine, LocalEngine):
            return

        def restart(tx: Transaction) -> None:
            for task in tx.tables.tasks(TaskQuery(statuses=SLAVE_ASSIGNED_STATES)):
                task_id = task.assigned_task.task_id
                self._scheduler.states.change_state(tx, task_id, ScheduleStatus.RESTARTING, "aurorad is stopping.")

        with trio.CancelScope(shield=True):
            try:
                if not self._storage.sealed:  # else another state is the truth, which knows nothing of this
                    await self._storage.write(restart)
            except LogFull as error:  # they end all the same, and the engine tells the next start so
                _log.warning("tasks are stopped without a record of why: %s", error)
            await engine.stop_all_tasks()

    def app(self, *others: Blueprint) -> QuartTrio:
        """What a leader serves; `others` are served besides."""
        given, storage, scheduler = self._given, self._storage, self._scheduler
        tables, api, explainer = storage.tables, self._api(), self._explainer()
        plans = self._plans(explainer)

        async def quota(role: str) -> GetQuotaResult:
            answer = await api.handle(GetQuota(role), ANYBODY.name)
            assert answer.result is not None
            assert answer.result.get_quota_result is not None
            return answer.result.get_quota_result

        look = scheduler_look(given.flags.cluster_name, given.now_ms)
        pages = scheduler_pages(
            look,
            tables,
            scheduler.pending_reason,
            given.observer_url,
            quota,
            scheduler.cron.next_run_ms,
            explainer.job,
            scheduler.maintenance.waits_for,
        )
        door = self._door(api)
        world = World(tables, given.now_ms, explainer.job, plans.plan)
        return scheduler_app(
            given.stats,
            thrift_endpoint(door.handle, present_caller),
            apibeta_endpoint(door.handle, present_caller),
            json_api(door.handle, present_caller, world),
            admin_endpoints(given.stats, lambda: storage.refusing),
            cluster_endpoints(tables, scheduler.offers.all, scheduler.pending_groups, given.tiers),
            explain_endpoints(explainer.job, plans.plan, lambda job: job_exists(tables, job), present_caller),
            api_client(look),
            diagnostic_endpoints(look),
            dump_endpoints(tables, look),
            event_endpoints(scheduler.feed, given.stopping),
            graph_endpoints(given.series, look),
            mname_endpoints(tables),
            utilization_endpoints(tables, look),
            sandbox_endpoint(self.engine.folder if isinstance(self.engine, LocalEngine) else None),
            pages,
            *others,
        )

    def _api(self) -> Api:
        given = self._given
        return api_of(
            storage=self._storage,
            scheduler=self._scheduler,
            updater=self._updater,
            flags=given.flags,
            tiers=given.tiers,
            stats=given.stats,
            new_uuid=uuid.uuid4,
            saved=self._backups,
        )

    def _door(self, api: Api) -> Authorized:
        flags = self._given.flags
        return Authorized(
            api.handle, self._given.stats, secured=flags.secured, anonymous_reads=flags.http_anonymous_reads
        )

    def _explainer(self) -> Explainer:
        scheduler, updater = self._scheduler, self._updater
        return Explainer(
            tables=self._storage.tables,
            offers=scheduler.offers,
            agents=scheduler.agents,
            objections=lambda: updater.objections,
            penalty_ms=scheduler.states.remaining_penalty_ms,
            flags=self._given.flags,
            now_ms=self._given.now_ms,
        )

    def _plans(self, explainer: Explainer) -> Plans:
        given = self._given
        flags, stats, tiers = given.flags, given.stats, given.tiers
        limits, storage = admission_limits(flags, given.executors), self._storage
        return Plans(
            storage=storage,
            jobs=jobs.JobCalls(storage, self._scheduler.states, limits, tiers, stats),
            updates=updates.UpdateCalls(storage, self._updater, limits, tiers, flags, stats, uuid.uuid4),
            explainer=explainer,
        )
