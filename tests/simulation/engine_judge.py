"""What must hold whenever the engine is called, and on the hosts: the log first, offers once, one live task an instance."""

from __future__ import annotations

import math
from collections import Counter

import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.engine.base import Offer, Offers, StatusUpdate, TaskInfo, TaskState
from tests.simulation import legal
from tests.simulation.amounts import Amounts
from tests.simulation.cluster import Cluster, reachable
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
HEARD_AFTER_S = 30.0
"""Events wait for their turn behind a write, and that for a disk that is slow or full."""
_WELL = frozenset({ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING, ScheduleStatus.RUNNING})


class EngineJudge:
    def __init__(self, trace: Trace, ledger: Ledger, cluster: Cluster) -> None:
        self._trace = trace
        self._ledger = ledger
        self._cluster = cluster
        self._offers: dict[str, Offer] = {}
        self._used: set[str] = set()
        self._void: dict[str, float] = {}
        """Offers of connections that ended, and when that was."""
        self._launched: set[str] = set()
        self.kills: dict[str, list[float]] = {}
        """When the engine was told to end each task."""

    def offered(self, event: Offers) -> None:
        self._offers.update((offer.id, offer) for offer in event.offers)

    def offers_void(self) -> None:
        """A connection ended, and its offers with it; the scheduler will hear of it."""
        self._void.update(dict.fromkeys(self._offers, trio.current_time()))
        self._offers.clear()

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
        self.kills.setdefault(task_id, []).append(trio.current_time())
        task = self._ledger.tasks.get(task_id)
        if task is not None and task.status in _WELL:
            self._trace.violated("log before kill", f"{task_id} is {task.status.name}")

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
        offer = self._offers.pop(offer_id, None)
        since_s = self._void.pop(offer_id, -math.inf)
        if offer is None and trio.current_time() - since_s > HEARD_AFTER_S:
            why = "a second time" if offer_id in self._used else "although it was never made"
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
