"""What must hold whenever the engine is called, and on the hosts: the log comes first, an offer is used once, an
instance has one live task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.engine.base import Offer, Offers, StatusUpdate, TaskInfo, TaskState
from tests.simulation import legal
from tests.simulation.amounts import Amounts
from tests.simulation.cluster import Cluster, Session, reachable
from tests.simulation.hosts import Host
from tests.simulation.ledger import Ledger
from tests.simulation.trace import Trace

_MEANT = {
    TaskState.TASK_STAGING: ScheduleStatus.STARTING,
    TaskState.TASK_STARTING: ScheduleStatus.STARTING,
    TaskState.TASK_RUNNING: ScheduleStatus.RUNNING,
    TaskState.TASK_FINISHED: ScheduleStatus.FINISHED,
    TaskState.TASK_FAILED: ScheduleStatus.FAILED,
    TaskState.TASK_KILLED: ScheduleStatus.KILLED,
}
LEAST_KILLS = 3
"""The first at once, then after one to two intervals, then after two to four of them."""
_WELL = frozenset({ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING, ScheduleStatus.RUNNING})


class EngineJudge:
    def __init__(self, trace: Trace, ledger: Ledger, cluster: Cluster) -> None:
        self._trace = trace
        self._ledger = ledger
        self._cluster = cluster
        self._offers: dict[str, tuple[Session, Offer]] = {}
        self._used: set[str] = set()
        self._void: dict[str, Callable[[], bool]] = {}
        """Offers of connections that ended, and whether the scheduler has heard of that."""
        self._launched: set[str] = set()
        self._kills: dict[str, list[float]] = {}
        self.awake_s = math.inf
        """Since when there is a scheduler."""

    def offered(self, event: Offers, to: Session) -> None:
        self._offers.update((offer.id, (to, offer)) for offer in event.offers)

    def offers_void(self, of: Session, heard: Callable[[], bool] = lambda: True) -> None:
        """A connection ended, and its offers with it; `heard` tells whether the scheduler knows."""
        for offer_id in [offer_id for offer_id, (to, _) in self._offers.items() if to is of]:
            self._void[offer_id] = heard
            del self._offers[offer_id]

    def launching(self, offer_id: str, tasks: tuple[TaskInfo, ...]) -> None:
        offer = self._use(offer_id, "launches")
        if offer is not None:
            self._fits(offer, tasks)
        for info in tasks:
            if info.task_id in self._launched:
                self._trace.violated("launched once", info.task_id)
            self._launched.add(info.task_id)
            task = self._ledger.tasks.get(info.task_id)
            if task is None or task.assigned_task.slave_id != info.agent_id:
                self._trace.violated("log before launch", info.task_id)

    def declining(self, offer_id: str) -> None:
        self._use(offer_id, "declines")

    def killing(self, task_id: str) -> None:
        self._kills.setdefault(task_id, []).append(trio.current_time())
        task = self._ledger.tasks.get(task_id)
        if task is not None and task.status in _WELL:
            self._trace.violated("log before kill", f"{task_id} is {task.status.name}")

    def gave_up(self, task: ScheduledTask, after_s: float) -> None:
        """The scheduler believes that a task that was to be killed will not end: it must have tried again and again."""
        now = trio.current_time()
        task_id = task.assigned_task.task_id
        path = [event.status for event in task.task_events[-3:]]
        timed_out = path[:1] and path[0] in _WELL and path[1:] == [ScheduleStatus.KILLING, ScheduleStatus.LOST]
        if timed_out and task.task_events[-1].message == "Task timed out" and self.awake_s < now - after_s:
            tries = [at for at in self._kills.get(task_id, ()) if at > now - after_s - 1]
            if len(tries) < LEAST_KILLS:
                self._trace.violated("kills are repeated", f"{task_id}: {len(tries)} in {after_s} s")

    def acknowledging(self, update: StatusUpdate) -> None:
        """What the update says is in the log, unless the log holds what forbids it."""
        task = self._ledger.tasks.get(update.task_id)
        meant = _MEANT.get(update.state)
        if task is None or meant is None or any(event.status is meant for event in task.task_events):
            return
        if legal.can_follow(task.status, meant):
            self._trace.violated("log before acknowledge", f"{update.task_id} {meant.name}, it is {task.status.name}")

    def arrived(self, host: Host, info: TaskInfo) -> None:
        """A task is about to start on a host."""
        present = host.live()
        if any(task.info.task_id == info.task_id for task in present):
            self._trace.violated("launched once", f"{info.task_id} on {host.name}")
        taken = [Amounts.of(task.info) for task in present] + [Amounts.of(info)]
        if Amounts.of_resources(host.resources).minus(taken).overdrawn():
            self._trace.violated("no host oversubscribed", f"{info.task_id} on {host.name}")
        ports = Counter(port for amounts in taken for port in amounts.ports)
        if ports and max(ports.values()) > 1:
            self._trace.violated("no host oversubscribed", f"a port of {info.task_id} on {host.name} is taken")
        for other_host in reachable(self._cluster.hosts):
            for task in other_host.live():
                if task.info.source == info.source:
                    self._twice(info, task.info.task_id)

    def _twice(self, info: TaskInfo, other_id: str) -> None:
        """A live task besides is only one that was given up: it was lost to sight, or did not end in time."""
        other = self._ledger.tasks.get(other_id)
        if other is not None and other.status is not ScheduleStatus.LOST:
            self._trace.violated("one live task an instance", f"{info.task_id} beside {other_id} {other.status.name}")

    def _use(self, offer_id: str, what: str) -> Offer | None:
        _, offer = self._offers.pop(offer_id, (None, None))
        heard = self._void.pop(offer_id, lambda: True)
        if offer is None and heard():
            why = "a second time" if offer_id in self._used else "although its connection ended"
            self._trace.violated("an offer once", f"{what} {offer_id} {why}")
        self._used.add(offer_id)
        return offer

    def _fits(self, offer: Offer, tasks: tuple[TaskInfo, ...]) -> None:
        taken = [Amounts.of(info) for info in tasks]
        ports = [port for amounts in taken for port in amounts.ports]
        had = Amounts.of_resources(offer.resources)
        if had.minus(taken).overdrawn() or len(ports) > len(set(ports)) or not had.ports.issuperset(ports):
            self._trace.violated("no host oversubscribed", f"more than {offer.id} is launched on it")
        if any(info.agent_id != offer.agent_id for info in tasks):
            self._trace.violated("no host oversubscribed", f"{offer.id} is of another agent than its tasks")
