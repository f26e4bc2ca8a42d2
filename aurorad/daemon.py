"""The daemon: every role it has, in one nursery, started and stopped in order.

Start: the sockets (a taken port is told before anything is touched), then the roles. Stop: each role in its own order
(`scheduler_role.py` has the scheduler's). Tasks go on unless told otherwise.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import trio
from quart import Blueprint
from quart_trio import QuartTrio

from aurorad.engine.local.home import BadFrameworkId, WorkDirInUse
from aurorad.engine.mesos.engine import FrameworkFailed, FrameworkRemoved
from aurorad.engine.mesos.framework import BadCredential
from aurorad.engine.simulated.agents import BadAgents
from aurorad.engine.simulated.engine import SimulatedEngine
from aurorad.engines import WrongEngine
from aurorad.ensemble import ensemble
from aurorad.flags import Flags, changed
from aurorad.front import Front, follower_app, in_url
from aurorad.leader.face import Defeated, ZooKeeperRefused
from aurorad.leading import Reign, Surroundings
from aurorad.lifecycle import Ending, Lifecycle, StartAgain
from aurorad.log.errors import LogDamaged, LogFailed, LogInUse, LogLost, NotElected
from aurorad.notify import Notifier, status
from aurorad.observer.app import observer_app
from aurorad.observer.service import has_what_to_observe, observer_for
from aurorad.pages.guard import keep_others_out
from aurorad.process_stats import declare_process
from aurorad.rules.executors import ExecutorError
from aurorad.rules.tiers import TierError
from aurorad.scheduler import webhooks
from aurorad.scheduler.limits import configured_executors, configured_tiers
from aurorad.scheduler.service import EngineGone
from aurorad.scheduler_role import Followed, SchedulerRole
from aurorad.series import Series
from aurorad.startup import CannotStart, InUse, backup_folder, check_open_files, check_work_dir, executor_arguments
from aurorad.storage.entries import UnreadableLog
from aurorad.storage.following import Settings
from aurorad.storage.storage import OutcomeUnknown, Storage, StorageNotReady
from aurorad.streams import tell
from aurorad.vars import Vars
from aurorad.watchdog import Watchdog
from aurorad.web import server
from aurorad.web.app import scheduler_app
from aurorad.web.kerberos import NoKerberos
from aurorad.web.leader import leader_endpoints
from aurorad.web.lifecycle import lifecycle_endpoints
from aurorad.web.security import Security, warnings
from aurorad.web.simulation import simulation_endpoints
from aurorad.web.tls import BadCertificate
from aurorad.web.users import BadUsers

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"

_IN_USE = (LogInUse, WorkDirInUse, server.PortTaken)
_OUTSIDE_OUR_POWER = (
    *_IN_USE,
    CannotStart,
    LogDamaged,
    UnreadableLog,
    TierError,
    ExecutorError,
    BadCredential,
    FrameworkRemoved,
    webhooks.WebhookError,
    BadFrameworkId,
    BadAgents,
    WrongEngine,
    ZooKeeperRefused,
    BadUsers,
    NoKerberos,
    BadCertificate,
)
_NO_MORE_LEADER = (LogLost, NotElected, Defeated, EngineGone, FrameworkFailed, LogFailed)
_FOLLOWING_FROM_THAT = (StorageNotReady, OutcomeUnknown)
"""What services say whose storage is gone."""


def run(flags: Flags, notifier: Notifier | None = None) -> None:
    """Serve until SIGTERM or SIGINT, and let `notifier` tell of it.

    Raises `CannotStart` (`InUse` among them) and `StartAgain`; any other exception is a defect.
    """
    try:
        daemon = _Daemon(flags, Vars(), notifier or Notifier())
    except _OUTSIDE_OUR_POWER as error:
        raise CannotStart(str(error)) from error
    try:
        trio.run(daemon.run)
    except _IN_USE as error:
        raise InUse(str(error)) from error
    except _OUTSIDE_OUR_POWER as error:
        raise CannotStart(str(error)) from error
    except BaseExceptionGroup as group:
        _judge(group, daemon.ending)
    if daemon.ending.why is not None:
        raise StartAgain(daemon.ending.why)


def _judge(group: BaseExceptionGroup[BaseException], ending: Ending) -> None:
    """Nothing, if it was told to end, and all that happened is that it does not lead any more."""
    outside, rest = group.split(_OUTSIDE_OUR_POWER)
    ended, rest = rest.split(_NO_MORE_LEADER) if rest is not None else (None, None)
    defects = rest.split(_FOLLOWING_FROM_THAT)[1] if rest is not None else None
    if defects is not None:
        raise group
    if outside is not None:
        of_others = outside.split(_IN_USE)[1] is None
        raise (InUse if of_others else CannotStart)(_texts(outside)) from group
    if not ending.begun.is_set():
        if ended is None:
            raise group
        raise StartAgain(_texts(ended)) from group
    _log.warning("while it ended: %s", _texts(ended or group))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class _Daemon:
    def __init__(self, flags: Flags, stats: Vars, notifier: Notifier) -> None:
        """Raises `CannotStart`, and what else of its own is wrong outside."""
        self._flags = flags
        self._notifier = notifier
        self._is_ready = False
        self._doing: Callable[[], str] = lambda: "starts" if "scheduler" in flags.role else "observes"
        check_open_files()
        self._executor_arguments = executor_arguments(flags)
        self._executors = configured_executors(flags)
        if "scheduler" in flags.role:  # an observer alone keeps nothing
            check_work_dir(flags.work_dir, flags.native_log_file_path, flags.backup_dir)
        self._stats = stats
        self._tiers = configured_tiers(flags)
        self._webhook = webhooks.configured(flags.webhook_config)
        self._security = Security(flags, stats)
        self._told: set[str] = set()
        self.ending = Ending()
        interval_s, retention_s = flags.stat_sampling_interval, flags.stat_retention_period
        self._series = Series(stats, now_ms, interval_s=interval_s, retention_s=retention_s)
        self._watchdog = Watchdog(stats)
        self._lifecycle = Lifecycle(stats)
        declare_process(stats, now_ms, ["aurorad", *changed(flags)])
        self._hostname = flags.hostname or _name_of(flags.ip)
        self._address = flags.ip or flags.hostname or _LOOPBACK

    async def run(self) -> None:
        """All roles, until told to stop."""
        flags = self._flags
        schedules = "scheduler" in flags.role
        observes = "observer" in flags.role and (not schedules or has_what_to_observe(flags))
        scheduler = server.listen(self._address, flags.http_port, "http_port") if schedules else None
        observer = server.listen(self._address, flags.observer_port, "observer_port") if observes else None
        control_port = flags.simulated_control_port
        control = server.listen(_LOOPBACK, control_port, "simulated_control_port") if control_port is not None else None
        async with trio.open_nursery() as signals:
            await signals.start(self._heed_signals, signals)
            signals.start_soon(self._security.run)
            signals.start_soon(self._tell_of_end)
            signals.start_soon(self._notifier.run, lambda: self._doing())
            self._warn(scheduler or observer)
            if schedules:
                signals.start_soon(self._series.run)
            async with trio.open_nursery() as roles:
                if observer is not None:
                    scheduler_url = f"{self._url(scheduler)}/scheduler" if scheduler is not None else None
                    await roles.start(self._observe, observer, scheduler_url)
                if scheduler is not None:
                    observer_port = observer.getsockname()[1] if observer is not None else flags.observer_port
                    await roles.start(self._schedule, scheduler, control, observer_port)
                trio.lowlevel.add_instrument(self._watchdog)  # before, nobody had to wait for the loop
                kept = f"; everything is kept in {flags.work_dir}" if schedules else ""
                if not self.ending.begun.is_set():
                    self._is_ready = True
                    self._notifier.tell("READY=1", status(self._doing()))
                    tell(f"aurorad: ready{kept}")
            signals.cancel_scope.cancel()

    def _warn(self, sock: socket.socket | None) -> None:
        loopback = sock is None or ipaddress.ip_address(sock.getsockname()[0]).is_loopback
        for warning in warnings(self._flags, loopback=loopback, root=os.geteuid() == 0):
            _log.warning("%s", warning)

    async def _heed_signals(self, reloading: trio.Nursery, *, task_status: trio.TaskStatus[None]) -> None:
        reloads = not os.isatty(0)  # else it is the terminal that goes away
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:  # until the very end: a second one must not cut the orderly stop short
                if number == signal.SIGHUP and reloads:
                    reloading.start_soon(self._reload)
                else:
                    self.ending.told(signal.Signals(number).name)

    async def _reload(self) -> None:
        """Look at once at what is followed all the time: whoever told us to wants to see the outcome."""
        if self._is_ready:
            self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        await self._security.read_again()
        _log.info("SIGHUP: users, roles and certificates were read again; flags take a restart")
        if self._is_ready:
            self._notifier.tell("READY=1")

    async def _tell_of_end(self) -> None:
        await self.ending.begun.wait()
        self._notifier.tell("STOPPING=1")

    async def _observe(
        self, sock: socket.socket, scheduler_url: str | None, *, task_status: trio.TaskStatus[None]
    ) -> None:
        observer, stopping = observer_for(self._flags), self.ending.begun
        app = observer_app(observer, self._hostname, now_ms, Vars(), stopping, scheduler_url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observer.run)
            async with trio.open_nursery() as pages:
                await pages.start(self._serve, "observer", app, sock, stopping)
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
        flags, stats, port = self._flags, self._stats, sock.getsockname()[1]
        given = self._surroundings(observer_port, self._url(sock))
        stats.gauge("framework_registered", lambda: 0)  # until it leads
        settings = Settings(now_ms, flags.dlog_max_entry_size, flags.dlog_snapshot_interval)
        async with trio.open_nursery() as servers, ensemble(flags, settings, stats, self._hostname, port) as others:

            def besides() -> tuple[Blueprint, ...]:
                return self._ends(), leader_endpoints(others.leadership)

            def follower(state: Followed) -> QuartTrio:
                return follower_app(given, state.tables, others.leadership, lambda: role.unfit, *besides())

            def leader(reign: Reign) -> QuartTrio:
                return reign.app(*besides())

            front = Front(servers, sock, partial(self._serve, "scheduler"), follower=follower, leader=leader)
            role = SchedulerRole(
                lifecycle=self._lifecycle,
                ending=self.ending,
                leadership=others.leadership,
                follow=others.follow,
                begin_reign=partial(self._begin_reign, given=given, servers=servers, control=control),
                front=front,
                stats=stats,
                alone=others.is_alone,
                election_attempts=flags.native_log_election_retries,
                max_registration_delay_s=flags.max_registration_delay,
                max_leading_duration_s=math.inf if others.is_alone else flags.max_leading_duration,
            )
            self._doing = role.doing
            await role.run(task_status=task_status)

    def _surroundings(self, observer_port: int, url: str) -> Surroundings:
        def observer_url(host: str) -> str | None:
            scheme = self._flags.http_scheme
            return f"{scheme}://{in_url(host)}:{observer_port}" if self._flags.engine != "simulated" else None

        return Surroundings(
            flags=self._flags,
            stats=self._stats,
            tiers=self._tiers,
            executors=self._executors,
            webhook=self._webhook,
            executor_arguments=self._executor_arguments,
            hostname=self._hostname,
            url=url,
            now_ms=now_ms,
            observer_url=observer_url,
            backup_folder=backup_folder(self._flags),
            series=self._series,
            stopping=self.ending.begun,
        )

    async def _begin_reign(
        self, storage: Storage, *, given: Surroundings, servers: trio.Nursery, control: socket.socket | None
    ) -> Reign:
        reign = await Reign.begin(storage, given)
        if control is not None and isinstance(reign.engine, SimulatedEngine):
            app = scheduler_app(Vars(), simulation_endpoints(reign.engine, now_ms))
            await servers.start(self._serve, "control", app, control, self.ending.begun)
        return reign

    def _ends(self) -> Blueprint:
        return lifecycle_endpoints(partial(self.ending.told, "/quitquitquit"), _abort)

    async def _serve(
        self,
        name: str,
        app: QuartTrio,
        sock: socket.socket,
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        keep_others_out(app, sock.getsockname()[0], self._hostname, self._flags.enable_cors_for)
        self._security.gate.guard(app)
        async with trio.open_nursery() as nursery:
            grace_s = self._flags.shutdown_grace
            tls = self._security.tls
            context = None if tls is None else (lambda: tls.context)
            await nursery.start(partial(server.serve, app, sock, stopping=stopping, grace_s=grace_s, tls=context))
            if name not in self._told:
                tell(f"aurorad: {name}: {self._url(sock)}/{name if name == 'scheduler' else ''}")
                self._told.add(name)
            task_status.started()

    def _url(self, sock: socket.socket) -> str:
        return f"{self._flags.http_scheme}://{in_url(self._hostname)}:{sock.getsockname()[1]}"


def _name_of(ip: str | None) -> str:
    """Where a browser finds who listens on this address."""
    if ip is None:
        return "localhost"
    return socket.gethostname() if ip in ("0.0.0.0", "::") else ip  # noqa: S104 - what the operator wants


def _abort() -> NoReturn:
    """Asked for over HTTP: an end without any order. Tasks go on, and what was answered OK is in the log."""
    logging.getLogger("aurorad").warning("told to abort")
    logging.shutdown()  # what was logged is written, if it can be
    os._exit(0)


def _texts(group: BaseExceptionGroup[BaseException]) -> str:
    return "; ".join(dict.fromkeys(map(str, _leaves(group))))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]
