"""An engine of pretended agents: what is launched starts, runs, and ends when it is told to.

It keeps accounts of its own and refuses to be oversubscribed, so every test on it is a test of placement too. Agents
and tasks live on while no scheduler is connected, if `live` runs.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import trio

from aurorad.api.tasks import Attribute
from aurorad.engine.base import (
    Disconnected,
    Event,
    Offer,
    Offers,
    Registered,
    Rescind,
    Resource,
    StatusUpdate,
    TaskInfo,
    TaskState,
)

ENDED = frozenset({TaskState.TASK_FINISHED, TaskState.TASK_FAILED, TaskState.TASK_KILLED, TaskState.TASK_LOST})


@dataclasses.dataclass(frozen=True)
class Agent:
    name: str
    cpus: float = 64
    mem: float = 262144
    disk: float = 1000000
    ports: tuple[int, int] = (31000, 32000)
    attributes: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass
class Amount:
    """Scalars in thousandths, so that sums are exact, and ports."""

    scalars: dict[str, int]
    ports: frozenset[int]

    @staticmethod
    def of(resources: tuple[Resource, ...]) -> Amount:
        scalars: dict[str, int] = {}
        ports: set[int] = set()
        for resource in resources:
            if resource.scalar is not None:
                scalars[resource.name] = scalars.get(resource.name, 0) + round(resource.scalar * 1000)
            for first, last in resource.ranges:
                assert ports.isdisjoint(range(first, last + 1)), "a port twice"
                ports.update(range(first, last + 1))
        return Amount(scalars, frozenset(ports))

    def minus(self, other: Amount) -> Amount:
        rest = {name: amount - other.scalars.get(name, 0) for name, amount in self.scalars.items()}
        assert other.scalars.keys() <= self.scalars.keys(), "a resource that the agent has not"
        assert all(amount >= 0 for amount in rest.values()), f"oversubscribed: {rest}"
        assert other.ports <= self.ports, "a port that is taken"
        return Amount(rest, self.ports - other.ports)

    def resources(self) -> tuple[Resource, ...]:
        scalars = [Resource(name, amount / 1000) for name, amount in self.scalars.items() if amount]
        ports = tuple((port, port) for port in sorted(self.ports))
        spans: list[tuple[int, int]] = []
        for first, last in ports:
            if spans and spans[-1][1] == first - 1:
                spans[-1] = (spans[-1][0], last)
            else:
                spans.append((first, last))
        return (*scalars, Resource("ports", ranges=tuple(spans))) if spans else tuple(scalars)


@dataclasses.dataclass
class Running:
    info: TaskInfo
    state: TaskState = TaskState.TASK_STAGING


class PretendEngine:
    """What is free is offered at once, unless it was refused for a while."""

    def __init__(self, *agents: Agent) -> None:
        self.agents = {f"agent-of-{agent.name}": agent for agent in agents}
        self.tasks: dict[str, Running] = {}
        self.launches: list[tuple[TaskInfo, ...]] = []
        self.killed: list[str] = []
        self.declined: list[tuple[str, float]] = []
        self.reconciled: list[tuple[str, ...]] = []
        self.unacknowledged: dict[bytes, StatusUpdate] = {}
        self.deaf = False
        """Calls to launch and to kill are lost on the way."""
        self.start_delay_s = 0.15
        self.kill_delay_s = 0.15
        self.is_suppressed = False
        self.revivals = 0
        self.offers: dict[str, tuple[str, Amount]] = {}
        self._freed = trio.Event()
        self._refused_until: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._events: trio.MemorySendChannel[Event] | None = None
        self._nursery: trio.Nursery | None = None

    async def live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The agents, apart from any scheduler."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None:
        self._events = events
        self.is_suppressed = False
        try:
            await events.send(Registered(framework_id or "framework-1"))
            for update in list(self.unacknowledged.values()):
                await events.send(update)
            while True:
                self._freed = trio.Event()
                self._offer_what_is_free()
                refused = [until for until in self._refused_until.values() if until > trio.current_time()]
                with trio.move_on_at(min(refused, default=math.inf)):
                    await self._freed.wait()
        finally:
            self._events = None
            self.offers.clear()

    def add(self, agent: Agent) -> None:
        self.agents[f"agent-of-{agent.name}"] = agent
        self._freed.set()

    def _offer_what_is_free(self) -> None:
        if self.is_suppressed:
            return
        offers = []
        for agent_id, agent in self.agents.items():
            free = self.free(agent_id)
            if trio.current_time() < self._refused_until.get(agent_id, 0) or not free.scalars.get("cpus"):
                continue
            offer_id = f"offer-{next(self._numbers)}"
            self.offers[offer_id] = (agent_id, free)
            offers.append(Offer(offer_id, agent_id, agent.name, free.resources(), attributes_of(agent)))
        if offers:
            self.tell(Offers(tuple(offers)))

    def free(self, agent_id: str) -> Amount:
        """What is neither used nor offered. Fails if that is less than nothing."""
        agent = self.agents[agent_id]
        free = Amount.of(
            (
                Resource("cpus", agent.cpus),
                Resource("mem", agent.mem),
                Resource("disk", agent.disk),
                Resource("ports", ranges=(agent.ports,)),
            )
        )
        for running in self.tasks.values():
            if running.info.agent_id == agent_id and running.state not in ENDED:
                free = free.minus(Amount.of((*running.info.resources, *running.info.executor_resources)))
        for offering_agent, amount in self.offers.values():
            if offering_agent == agent_id:
                free = free.minus(amount)
        return free

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        await trio.lowlevel.checkpoint()
        self.launches.append(tasks)
        if self.deaf:
            self.offers.pop(offer_id, None)
            self._freed.set()
            return
        agent_id, left = self.offers.pop(offer_id, (None, None))
        for task in tasks:
            assert task.task_id not in self.tasks, "launched twice"
            if agent_id is None or left is None:
                self._tell(task.task_id, TaskState.TASK_LOST, "Task launched with invalid offers")
                continue
            left = left.minus(Amount.of((*task.resources, *task.executor_resources)))
            self.tasks[task.task_id] = Running(task)
            assert self._nursery is not None, "the agents must live"
            self._nursery.start_soon(self._begin, task.task_id)
        if agent_id is not None:
            self._refused_until[agent_id] = trio.current_time() + refuse_s
            self._freed.set()

    async def decline(self, offer_id: str, refuse_s: float) -> None:
        await trio.lowlevel.checkpoint()
        self.declined.append((offer_id, refuse_s))
        agent_id, _ = self.offers.pop(offer_id, (None, None))
        if agent_id is not None:
            self._refused_until[agent_id] = trio.current_time() + refuse_s
            self._freed.set()

    async def suppress(self) -> None:
        await trio.lowlevel.checkpoint()
        self.is_suppressed = not self.deaf

    async def revive(self) -> None:
        await trio.lowlevel.checkpoint()
        self.revivals += 1
        if not self.deaf:
            self.is_suppressed = False
            self._refused_until.clear()
            self._freed.set()

    async def kill(self, task_id: str) -> None:
        await trio.lowlevel.checkpoint()
        self.killed.append(task_id)
        if self.deaf:
            return
        if task_id not in self.tasks or self.tasks[task_id].state in ENDED:
            self._tell(task_id, TaskState.TASK_LOST, "Attempted to kill an unknown task", "REASON_RECONCILIATION")
            return
        assert self._nursery is not None, "the agents must live"
        self._nursery.start_soon(self._end_later, task_id)

    async def acknowledge(self, update: StatusUpdate) -> None:
        await trio.lowlevel.checkpoint()
        assert update.uuid is not None
        self.unacknowledged.pop(update.uuid, None)

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        await trio.lowlevel.checkpoint()
        self.reconciled.append(task_ids)
        for task_id in task_ids or tuple(self.tasks):
            if task_id in self.tasks:
                state = self.tasks[task_id].state
                self.tell(StatusUpdate(task_id, state, reason="REASON_RECONCILIATION"))
            else:
                message = "Reconciliation: Task is unknown"
                self.tell(StatusUpdate(task_id, TaskState.TASK_LOST, None, message, "REASON_RECONCILIATION"))

    # What tests do to it.

    def status(self, task_id: str, state: TaskState, message: str | None = None, reason: str | None = None) -> None:
        """A task comes to be in this state."""
        if task_id in self.tasks:
            self.tasks[task_id].state = state
            self._freed.set()
        self._tell(task_id, state, message, reason)

    def forget(self, task_id: str) -> None:
        """The agent lost the task without a word."""
        del self.tasks[task_id]
        self._freed.set()

    def rescind_all(self, refuse_s: float = 0) -> None:
        """Every offer is taken back, and made again after a while."""
        for offer_id, (agent_id, _) in list(self.offers.items()):
            del self.offers[offer_id]
            self._refused_until[agent_id] = trio.current_time() + refuse_s
            self.tell(Rescind(offer_id))
        self._freed.set()

    def disconnect(self) -> None:
        """The connection breaks and comes back."""
        self.offers.clear()
        self.tell(Disconnected())
        self.tell(Registered("framework-1"))
        self._freed.set()

    def live_tasks(self) -> dict[str, TaskInfo]:
        return {task_id: task.info for task_id, task in self.tasks.items() if task.state not in ENDED}

    async def _begin(self, task_id: str) -> None:
        for state in (TaskState.TASK_STARTING, TaskState.TASK_RUNNING):
            await trio.sleep(self.start_delay_s)
            if task_id in self.tasks and self.tasks[task_id].state not in ENDED:
                self.status(task_id, state)

    async def _end_later(self, task_id: str) -> None:
        await trio.sleep(self.kill_delay_s)
        if task_id in self.tasks and self.tasks[task_id].state not in ENDED:
            self.status(task_id, TaskState.TASK_KILLED, "Instructed to kill task.")

    def _tell(self, task_id: str, state: TaskState, message: str | None = None, reason: str | None = None) -> None:
        uuid = next(self._numbers).to_bytes(16, "big")
        update = StatusUpdate(task_id, state, None, message, reason, uuid=uuid)
        self.unacknowledged[uuid] = update
        self.tell(update)

    def tell(self, event: Event) -> None:
        """Something happened; a scheduler hears of it if there is one."""
        if self._events is not None:
            try:
                self._events.send_nowait(event)
            except trio.BrokenResourceError:
                self._events = None  # the scheduler is going away


def attributes_of(agent: Agent) -> frozenset[Attribute]:
    values: dict[str, set[str]] = {"host": {agent.name}}
    for name, value in agent.attributes:
        values.setdefault(name, set()).add(value)
    return frozenset(Attribute(name, frozenset(members)) for name, members in values.items())
