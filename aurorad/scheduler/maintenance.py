"""Hosts in maintenance, and how they are drained (scheduling sheet, section 8).

    NONE -> SCHEDULED: used last -> DRAINING: its tasks are taken down -> DRAINED: nothing runs there -> NONE

What is asked for is in the tables: the mode of each host and, while it is drained, a request that says which policy
holds for tasks without one of their own, and when patience ends. So whoever runs next goes on with every drain.
"""

from __future__ import annotations

import functools
import itertools
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import trio

from aurorad.api import keys
from aurorad.api.enums import SLAVE_ASSIGNED_STATES, MaintenanceMode, ScheduleStatus
from aurorad.api.results import HostStatus
from aurorad.api.tasks import (
    HostMaintenanceRequest,
    PercentageSlaPolicy,
    ScheduledTask,
    SlaPolicy,
)
from aurorad.flags import Flags
from aurorad.pace import Pace, gently
from aurorad.rules.task_states import TOLD_TO_END
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.sla import Refusals, SlaKills
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import HostChanged, TaskChanged
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Value, Vars

DRAINING_TEXT = "Draining machine for maintenance."
NO_PROMISE = SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(0.0, 0))

FIRST_LOOK_S = 1.0
"""A drain begins so much after it was asked for: scripts ask host by host, and one round does for all."""

AT_ONCE = 300
"""Hosts or tasks changed in one write, lest it hold the loop."""

_BITE_S = 0.01  # of the loop, for judging tasks in one write

_log = logging.getLogger(__name__)

_Change = Callable[[Transaction, str], MaintenanceMode]
"""Does something about the request of a host that is known; the mode it shall be in."""


class _Drain(msgspec.Struct, gc=False):
    """What the last look at a host's tasks found out."""

    objections: dict[str, str] = {}
    countdowns_ms: dict[str, int] = {}


class Maintenance:
    """Requests are methods that return when the log has them; `run` drains."""

    def __init__(
        self,
        *,
        storage: Storage,
        states: StateManager,
        offers: Offers,
        sla: SlaKills,
        flags: Flags,
        stats: Vars,
        rng: random.Random,
        now_ms: Callable[[], int],
    ) -> None:
        self._storage = storage
        self._states = states
        self._offers = offers
        self._sla = sla
        self._interval_s = flags.host_maintenance_polling_interval
        self._stats = stats
        self._rng = rng
        self._now_ms = now_ms
        self._drains: dict[str, _Drain] = {}
        self._emptied: dict[str, None] = {}
        self._asking: set[str] = set()
        self._refused: Refusals = {}  # in this round
        self._next_look = 0.0
        self._wake = trio.Event()
        stats.declare("missing_maintenance_request")
        stats.family(self._countdowns)

    async def schedule(self, hosts: Iterable[str]) -> frozenset[HostStatus]:
        """Have these hosts used last. What is said here and below is the state of those hosts that are known.

        Raises `LogFull`, as do the others: then some of many hosts may have been changed.
        """
        return await self._change(hosts, _call_off(MaintenanceMode.SCHEDULED))

    async def drain(self, hosts: Iterable[str]) -> frozenset[HostStatus]:
        """Take down whatever runs there, whatever was promised. If cancelled, `run` does the rest."""
        statuses = await self._change(hosts, functools.partial(self._request, NO_PROMISE, 0, True))
        draining = sorted(status.host for status in statuses if status.mode is MaintenanceMode.DRAINING)
        await self._take_down(list(itertools.chain(*await gently(self._wanted, draining))))
        return statuses

    async def drain_patiently(
        self, hosts: Iterable[str], default_policy: SlaPolicy | None, timeout_s: int
    ) -> frozenset[HostStatus]:
        """Take down what runs there as promises allow, and after `timeout_s` seconds what is left."""
        return await self._change(hosts, functools.partial(self._request, default_policy, timeout_s, False))

    async def end(self, hosts: Iterable[str]) -> frozenset[HostStatus]:
        return await self._change(hosts, _call_off(MaintenanceMode.NONE))

    def statuses(self, hosts: Iterable[str]) -> frozenset[HostStatus]:
        return _statuses(self._storage.tables, hosts)

    def waits_for(self, host: str) -> Mapping[str, str]:
        """Why each task that is left on a host is still there, by task id, in a few words."""
        drain = self._drains.get(host) or _Drain()
        tables = self._storage.tables
        return {
            task.assigned_task.task_id: f"is {task.status.name}"
            if task.status in TOLD_TO_END
            else drain.objections.get(task.assigned_task.task_id, "is about to be drained")
            for task in on_host(tables, host)
        }

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        if change.before is None or change.before.status not in SLAVE_ASSIGNED_STATES:
            return
        host = change.before.assigned_task.slave_host
        if host in self._drains and not on_host(self._storage.tables, host):
            self._emptied[host] = None
            self._wake.set()

    def host_changed(self, change: HostChanged) -> None:
        """Heard of every change of a host."""
        name, mode = change.after.host, change.after.mode
        if change.before is None or change.before.mode == mode:
            return
        _log.info("host %s: maintenance mode is %s", name, (mode or MaintenanceMode.NONE).name)
        self._offers.host_changed(name)
        if mode is MaintenanceMode.DRAINING:
            self._drains.setdefault(name, _Drain())
            self._look_by(trio.current_time() + FIRST_LOOK_S)
        else:
            self._drains.pop(name, None)

    async def run(self) -> None:
        """Drain until cancelled; whoever runs next goes on."""
        pace = Pace()
        for attributes in list(self._storage.tables.hosts.values()):
            if attributes.mode is MaintenanceMode.DRAINING:
                self._drains.setdefault(attributes.host, _Drain())
            await pace.breathe()
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_at(self._next_look):
                    await self._wake.wait()
                self._wake = trio.Event()
                emptied, self._emptied = self._emptied, {}
                for host in emptied:
                    await write_patiently(self._storage, functools.partial(_finish, host))
                if trio.current_time() >= self._next_look:
                    await self._look(nursery)

    async def _look(self, nursery: trio.Nursery) -> None:
        """One round over all hosts that are being drained."""
        started = trio.current_time()
        self._next_look = started + self._interval_s
        self._refused = {}
        for host in list(self._drains):
            await trio.lowlevel.checkpoint()
            if not on_host(self._storage.tables, host):
                await write_patiently(self._storage, functools.partial(_finish, host))
            elif host in self._drains:  # nobody called it off while others were looked at
                await self._look_at(host, nursery)
        self._stats.observe("runOneIteration", trio.current_time() - started)

    async def _look_at(self, host: str, nursery: trio.Nursery) -> None:
        request = self._storage.tables.maintenance.get(host)
        wanted = self._wanted(host)
        drain = self._drains[host] = _Drain(objections=self._still_asked(host, wanted))
        if request is None:
            self._stats.count("missing_maintenance_request")
            self._note({task.assigned_task.task_id: "nobody's request to drain it is known" for task in wanted})
            return
        remaining_ms = self._remaining_ms(request)
        drain.countdowns_ms = {_name(task): remaining_ms for task in wanted}
        if remaining_ms > 0:
            self._look_by(trio.current_time() + remaining_ms / 1000)
            for task in wanted:
                if _coordinated(task, request):
                    self._start_asking(drain, task, request, nursery)
            wanted = [task for task in wanted if not _coordinated(task, request)]
        await self._take_down(wanted)

    def _still_asked(self, host: str, wanted: Iterable[ScheduledTask]) -> dict[str, str]:
        """What is known of tasks whose coordinators are being asked, or were at the last look."""
        known = self._drains[host].objections
        ids = [task.assigned_task.task_id for task in wanted]
        return {task_id: known[task_id] for task_id in ids if task_id in known}

    def _start_asking(
        self, drain: _Drain, task: ScheduledTask, request: HostMaintenanceRequest, nursery: trio.Nursery
    ) -> None:
        task_id = task.assigned_task.task_id
        if task_id not in self._asking:
            self._asking.add(task_id)
            drain.objections.setdefault(task_id, "its SLA coordinator is being asked")
            nursery.start_soon(self._ask, task_id, _policy(task, request), self._remaining_ms(request))

    async def _ask(self, task_id: str, policy: SlaPolicy | None, remaining_ms: int) -> None:
        objection = await self._sla.attempt(
            task_id,
            policy,
            lambda tx: self._drain_task(tx, task_id),
            parameters={"forceMaintenanceCountdownMs": str(remaining_ms)},
        )
        self._asking.discard(task_id)
        if objection is not None:
            self._note({task_id: objection})

    async def _take_down(self, wanted: Sequence[ScheduledTask]) -> None:
        """Drain as many of these as may go, some at a time."""
        while wanted:
            work = functools.partial(self._take_down_some, wanted[:AT_ONCE])
            done, objections = await write_patiently(self._storage, work)
            self._note(objections)
            wanted = wanted[done:]
            await trio.lowlevel.checkpoint()  # which a write that changed nothing may not be

    def _take_down_some(self, wanted: Sequence[ScheduledTask], tx: Transaction) -> tuple[int, dict[str, str]]:
        """How many of them were judged within a bite, and why some of these may not go."""
        until = trio.current_time() + _BITE_S
        objections: dict[str, str] = {}
        for done, known in enumerate(wanted, 1):
            task = tx.tables.task(known.assigned_task.task_id)
            if task is not None and task.status in SLAVE_ASSIGNED_STATES:
                objection = self._objection(tx.tables, task)
                if objection is None:
                    self._drain_task(tx, task.assigned_task.task_id)
                else:
                    objections[task.assigned_task.task_id] = objection
            if trio.current_time() >= until:
                return done, objections
        return len(wanted), objections

    def _objection(self, tables: Tables, task: ScheduledTask) -> str | None:
        request = tables.maintenance.get(task.assigned_task.slave_host or "")
        if request is not None and self._remaining_ms(request) <= 0:
            return None
        if request is None or _coordinated(task, request):
            return "how its host is to be drained has just been changed"
        return self._sla.objection(tables, task, _policy(task, request), self._refused)

    def _drain_task(self, tx: Transaction, task_id: str) -> None:
        """Unless the drain was called off meanwhile, or the task ends anyhow."""
        task = tx.tables.task(task_id)
        if task is not None and task.status not in TOLD_TO_END:
            host = tx.tables.hosts.get(task.assigned_task.slave_host or "")
            if host is not None and host.mode is MaintenanceMode.DRAINING:
                self._states.change_state(tx, task_id, ScheduleStatus.DRAINING, DRAINING_TEXT)

    def _remaining_ms(self, request: HostMaintenanceRequest) -> int:
        """How long patience lasts; a request without any never has some, whatever becomes of the clock."""
        timeout_ms = request.timeout_secs * 1000
        return min(timeout_ms, request.created_timestamp_ms + timeout_ms - self._now_ms())

    def _wanted(self, host: str) -> list[ScheduledTask]:
        """The tasks on a host that nobody has told to end yet, in random order."""
        tasks = [task for task in on_host(self._storage.tables, host) if task.status not in TOLD_TO_END]
        self._rng.shuffle(tasks)
        return tasks

    def _request(
        self, policy: SlaPolicy | None, timeout_s: int, idle_is_drained: bool, tx: Transaction, host: str
    ) -> MaintenanceMode:
        if idle_is_drained and not on_host(tx.tables, host):
            return MaintenanceMode.DRAINED
        tx.save_host_maintenance_request(HostMaintenanceRequest(host, policy, timeout_s, self._now_ms()))
        return MaintenanceMode.DRAINING

    async def _change(self, hosts: Iterable[str], change: _Change) -> frozenset[HostStatus]:
        names = sorted(hosts)
        statuses: set[HostStatus] = set()
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            try:
                statuses |= await self._storage.write(functools.partial(_change_some, some, change))
            except LogFull:
                for name in some:  # placement may have judged them by modes that were undone
                    self._offers.host_changed(name)
                raise
        self._look_by(trio.current_time() + FIRST_LOOK_S)
        return frozenset(statuses)

    def _look_by(self, at: float) -> None:
        if at < self._next_look:
            self._next_look = at
            self._wake.set()

    def _note(self, objections: Mapping[str, str]) -> None:
        """Remember and, where they are new, tell why tasks are still there."""
        for task_id, objection in objections.items():
            task = self._storage.tables.task(task_id)
            host = task.assigned_task.slave_host if task is not None else None
            drain = self._drains.get(host or "")
            if drain is not None and drain.objections.get(task_id) != objection:
                drain.objections[task_id] = objection
                _log.info("host %s is not drained yet: %s cannot go: %s", host, task_id, objection)

    def _countdowns(self) -> Mapping[str, Value]:
        return {
            f"maintenance_countdown_ms_{name}": remaining_ms
            for drain in self._drains.values()
            for name, remaining_ms in drain.countdowns_ms.items()
        }


def on_host(tables: Tables, host: str) -> list[ScheduledTask]:
    """The tasks that have a place on a host."""
    return [task for task in tables.host_tasks(host) if task.status in SLAVE_ASSIGNED_STATES]


def _statuses(tables: Tables, hosts: Iterable[str]) -> frozenset[HostStatus]:
    known = (tables.hosts[name] for name in hosts if name in tables.hosts)
    return frozenset(HostStatus(host.host, host.mode or MaintenanceMode.NONE) for host in known)


def _change_some(hosts: Iterable[str], change: _Change, tx: Transaction) -> frozenset[HostStatus]:
    for name in hosts:
        host = tx.tables.hosts.get(name)
        if host is not None:
            tx.save_host_attributes(msgspec.structs.replace(host, mode=change(tx, name)))
    return _statuses(tx.tables, hosts)


def _call_off(mode: MaintenanceMode) -> _Change:
    def change(tx: Transaction, host: str) -> MaintenanceMode:
        if host in tx.tables.maintenance:
            tx.remove_host_maintenance_request(host)
        return mode

    return change


def _finish(host: str, tx: Transaction) -> None:
    attributes = tx.tables.hosts.get(host)
    if attributes is not None and attributes.mode is MaintenanceMode.DRAINING and not on_host(tx.tables, host):
        _change_some([host], _call_off(MaintenanceMode.DRAINED), tx)


def _policy(task: ScheduledTask, request: HostMaintenanceRequest) -> SlaPolicy | None:
    return task.assigned_task.task.sla_policy or request.default_sla_policy


def _coordinated(task: ScheduledTask, request: HostMaintenanceRequest) -> bool:
    policy = _policy(task, request)
    return policy is not None and policy.coordinator_sla_policy is not None


def _name(task: ScheduledTask) -> str:
    return f"{keys.canonical(task.assigned_task.task.job)}/{task.assigned_task.instance_id}"
