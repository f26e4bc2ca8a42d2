"""The master of the pretended hosts: who has what, who is offered what, who is out of reach. Everything is at once.

It does what Mesos' master does for one framework (scheduling sheet, 2, 4 and 9 to 12), without a network: `network.py`
is that, and loses, delays and repeats what goes to and fro.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import trio

from aurorad.engine.base import (
    AgentLost,
    Event,
    Offer,
    Offers,
    Rescind,
    Resource,
    StatusUpdate,
    TaskInfo,
    TaskState,
)
from tests.simulation.amounts import Amounts, ports_as_ranges
from tests.simulation.hosts import ENDED, Fate, Host
from tests.simulation.timeline import Timeline
from tests.simulation.trace import Trace

OFFER_TIMEOUT_S = 90.0
ALLOCATE_S = 0.3


class Session(Protocol):
    """The scheduler that is connected."""

    number: int
    """The later it came to be, the higher."""

    def tell(self, event: Event) -> None: ...

    def replaced(self) -> None:
        """A later one is connected: this one is no more listened to."""


class Watch(Protocol):
    """Who judges what reaches the hosts."""

    def arrived(self, host: Host, info: TaskInfo) -> None: ...


@dataclasses.dataclass
class _Known:
    """What the master knows of a task."""

    info: TaskInfo
    agent: _Agent
    state: TaskState = TaskState.TASK_STAGING


@dataclasses.dataclass
class _Agent:
    """A host under one agent id; it gets another one when it has lost everything."""

    id: str
    host: Host
    filtered_until_s: float = 0.0
    tasks: dict[str, _Known] = dataclasses.field(default_factory=dict)
    offers: dict[str, Amounts] = dataclasses.field(default_factory=dict)


class Cluster:
    def __init__(
        self,
        timeline: Timeline,
        rng: random.Random,
        trace: Trace,
        *,
        partition_aware: bool,
        agent_timeout_s: float,
        fate: Callable[[TaskInfo], Fate],
        delay: Callable[[], float],
        is_lost: Callable[[], bool],
    ) -> None:
        self.hosts: list[Host] = []
        self.watch: Watch | None = None
        self._timeline = timeline
        self._rng = rng
        self._trace = trace
        self._aware = partition_aware
        self._agent_timeout_s = agent_timeout_s
        self._fate = fate
        self._delay = delay
        self._is_lost = is_lost
        self._numbers = itertools.count(1)
        self._session: Session | None = None
        self._newest = 0
        self._is_suppressed = False
        self._agents: dict[str, _Agent] = {}
        self._gone: dict[str, str] = {}  # tasks of agents that were given up, and of which
        self._allocating: set[str] = set()

    # The scheduler's calls.

    def connect(self, session: Session) -> bool:
        """Whether it is taken: not if a later one was, for this is one framework."""
        if session.number < self._newest:
            return False
        self._newest = session.number
        replaced, self._session = self._session, session
        if replaced is not None and replaced is not session:
            self._forget_offers()
            replaced.replaced()
        self.revive()
        return True

    def disconnect(self, session: Session) -> None:
        """Offers are void; tasks go on."""
        if self._session is session:
            self._session = None
            self._forget_offers()

    def _forget_offers(self) -> None:
        for agent in self._agents.values():
            agent.offers.clear()
            agent.filtered_until_s = 0.0

    def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        agent = self._agent_of(offer_id)
        if agent is None:
            for info in tasks:
                self._report(info.task_id, TaskState.TASK_LOST, None, "REASON_INVALID_OFFERS")
            return
        del agent.offers[offer_id]
        for info in tasks:
            agent.tasks[info.task_id] = _Known(info, agent)
            self._to_host(agent, partial(self._start, info=info))
        self._filter(agent, refuse_s)

    def decline(self, offer_id: str, refuse_s: float) -> None:
        agent = self._agent_of(offer_id)
        if agent is not None:
            del agent.offers[offer_id]
            self._filter(agent, refuse_s)

    def suppress(self) -> None:
        self._is_suppressed = True

    def revive(self) -> None:
        """Offers again, also of what was declined."""
        self._is_suppressed = False
        for agent in self._agents.values():
            agent.filtered_until_s = 0.0
            self._offer_soon(agent.id)

    def kill(self, task_id: str) -> None:
        known = self._known(task_id)
        if known is None:
            self._answer_for_unknown(task_id)
        else:
            self._to_host(known.agent, lambda host: host.kill(task_id))

    def acknowledge(self, update: StatusUpdate) -> None:
        known = self._known(update.task_id)
        if known is not None:
            self._to_host(known.agent, lambda host: self._acknowledged(host, update))

    def reconcile(self, task_ids: tuple[str, ...]) -> None:
        if not task_ids:
            task_ids = tuple(task_id for agent in self._agents.values() for task_id in agent.tasks)
        for task_id in task_ids:
            known = self._known(task_id)
            if known is not None:
                self._report(task_id, known.state, known.agent.id, "REASON_RECONCILIATION")
            else:
                self._answer_for_unknown(task_id)

    # What befalls hosts.

    def add(self, host: Host) -> None:
        host.agent_id = f"agent-{next(self._numbers)}"
        host.is_up = True
        host.connect()
        self._agents[host.agent_id] = _Agent(host.agent_id, host)
        self._trace(host.name, f"is there as {host.agent_id}")
        self._offer_soon(host.agent_id)
        if host not in self.hosts:
            self.hosts.append(host)

    def cut(self, host: Host) -> None:
        """The master cannot reach it any more, and after a while gives it up."""
        self._trace(host.name, "is cut off")
        host.is_linked = False
        agent_id = host.agent_id

        def give_up() -> None:
            if not host.is_linked or host.agent_id != agent_id:
                self._remove(agent_id)

        self._timeline.after(self._agent_timeout_s, give_up)

    def crash(self, host: Host) -> None:
        self.cut(host)
        host.crash()
        self._trace(host.name, "crashes")

    def back(self, host: Host) -> None:
        """A host that was cut off or crashed is there again."""
        if not host.is_up:
            self.add(host)
            return
        if host.is_linked:
            return
        self._trace(host.name, "is back")
        host.connect()
        agent = self._agents.get(host.agent_id)
        if agent is not None:
            for task_id, known in list(agent.tasks.items()):
                if task_id not in host.tasks and known.state not in ENDED:
                    del agent.tasks[task_id]  # what was sent to it while it could not hear
                    self._report(task_id, TaskState.TASK_LOST, host.agent_id, "REASON_RECONCILIATION")
        else:
            self._return(host)
        host.resend()
        self._offer_soon(host.agent_id)

    def rescind_one(self) -> None:
        offers = [(agent, offer_id) for agent in self._agents.values() for offer_id in agent.offers]
        if offers:
            self._rescind(*self._rng.choice(offers))

    def _return(self, host: Host) -> None:
        agent = self._agents[host.agent_id] = _Agent(host.agent_id, host)
        if not self._aware:
            host.end_all()
        for task in host.tasks.values():
            agent.tasks[task.info.task_id] = _Known(task.info, agent, task.state)
            if task.is_live:
                self._report(task.info.task_id, task.state, host.agent_id, "REASON_SLAVE_REREGISTERED")
        for task_id in [task_id for task_id, agent_id in self._gone.items() if agent_id == host.agent_id]:
            del self._gone[task_id]

    def _remove(self, agent_id: str) -> None:
        agent = self._agents.get(agent_id)
        if agent is None:
            return
        self._trace(agent.host.name, f"is given up: {agent_id}")
        for offer_id in list(agent.offers):
            self._rescind(agent, offer_id)
        del self._agents[agent_id]
        self._tell(AgentLost(agent_id))
        for task_id, known in agent.tasks.items():
            if known.state not in ENDED:
                self._gone[task_id] = agent_id
                self._report(task_id, self._gone_state, agent_id, "REASON_SLAVE_REMOVED")

    @property
    def _gone_state(self) -> TaskState:
        return TaskState.TASK_UNREACHABLE if self._aware else TaskState.TASK_LOST

    # What hosts say.

    def hear(self, host: Host, update: StatusUpdate) -> None:
        """An update of a host, on its way to the scheduler."""
        if host.is_linked and not self._is_lost():
            self._timeline.after(self._delay(), lambda: self._heard(host, update))

    def _heard(self, host: Host, update: StatusUpdate) -> None:
        agent = self._agents.get(update.agent_id or "")
        if agent is None or not host.is_linked:
            return
        known = agent.tasks.get(update.task_id)
        if known is not None and known.state not in ENDED:
            known.state = update.state
            if update.state in ENDED:
                self._offer_soon(agent.id)
        self._tell(update)

    def _acknowledged(self, host: Host, update: StatusUpdate) -> None:
        host.acknowledge(update.task_id, update.uuid)
        agent = self._agents.get(host.agent_id)
        if agent is not None and update.task_id not in host.tasks:
            agent.tasks.pop(update.task_id, None)

    def _start(self, host: Host, info: TaskInfo) -> None:
        if self.watch is not None:
            self.watch.arrived(host, info)
        host.launch(info, self._fate(info))

    def _to_host(self, agent: _Agent, then: Callable[[Host], None]) -> None:
        """In order, as over one connection; what a cut finds under way is lost."""
        link = agent.host.link

        def arrive() -> None:
            if agent.host.link == link and agent.host.is_linked and agent.host.agent_id == agent.id:
                then(agent.host)

        self._timeline.after(0.002, arrive)

    # Offers.

    def _offer_soon(self, agent_id: str, delay_s: float = ALLOCATE_S) -> None:
        if agent_id not in self._allocating:
            self._allocating.add(agent_id)
            self._timeline.after(delay_s, lambda: self._offer(agent_id))

    def _offer(self, agent_id: str) -> None:
        self._allocating.discard(agent_id)
        agent = self._agents.get(agent_id)
        if agent is None or self._session is None or self._is_suppressed:
            return
        wait_s = agent.filtered_until_s - trio.current_time()
        if wait_s > 0:
            self._offer_soon(agent_id, wait_s)
            return
        free = self.free(agent)
        if free.cpus < 0.01 or free.mem < 1:
            return
        offer_id = f"offer-{next(self._numbers)}"
        agent.offers[offer_id] = free
        self._timeline.after(OFFER_TIMEOUT_S, lambda: self._rescind(agent, offer_id))
        host = agent.host
        self._tell(Offers((Offer(offer_id, agent_id, host.name, ports_as_ranges(free), host.attributes),)))

    def free(self, agent: _Agent) -> Amounts:
        """What is neither used nor offered."""
        taken = [Amounts.of(known.info) for known in agent.tasks.values() if known.state not in ENDED]
        return Amounts.of_resources(agent.host.resources).minus([*taken, *agent.offers.values()])

    def _rescind(self, agent: _Agent, offer_id: str) -> None:
        if agent.offers.pop(offer_id, None) is not None:
            self._tell(Rescind(offer_id))
            self._offer_soon(agent.id, 2.0)

    def _filter(self, agent: _Agent, refuse_s: float) -> None:
        agent.filtered_until_s = max(agent.filtered_until_s, trio.current_time() + refuse_s)
        self._offer_soon(agent.id)

    def _agent_of(self, offer_id: str) -> _Agent | None:
        return next((agent for agent in self._agents.values() if offer_id in agent.offers), None)

    # Words to the scheduler.

    def _known(self, task_id: str) -> _Known | None:
        return next((agent.tasks[task_id] for agent in self._agents.values() if task_id in agent.tasks), None)

    def _answer_for_unknown(self, task_id: str) -> None:
        agent_id = self._gone.get(task_id)
        if agent_id is not None:
            self._report(task_id, self._gone_state, agent_id, "REASON_RECONCILIATION")
        else:
            self._report(task_id, TaskState.TASK_LOST, None, "REASON_RECONCILIATION")

    def _report(self, task_id: str, state: TaskState, agent_id: str | None, reason: str) -> None:
        self._tell(StatusUpdate(task_id, state, agent_id, reason=reason, source="SOURCE_MASTER"))

    def _tell(self, event: Event) -> None:
        if self._session is not None:
            self._session.tell(event)


def reachable(hosts: Iterable[Host]) -> list[Host]:
    return [host for host in hosts if host.is_up and host.is_linked]


def machine(cpus: float, ram_mb: int, disk_mb: int, ports: int) -> tuple[Resource, ...]:
    return (
        Resource("cpus", scalar=cpus),
        Resource("mem", scalar=ram_mb),
        Resource("disk", scalar=disk_mb),
        Resource("ports", ranges=((31000, 31000 + ports - 1),)),
    )
