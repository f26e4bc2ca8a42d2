"""A Mesos master with its agents and their tasks, as a state machine: no I/O, no clock, no randomness of its own.

Calls are those of `engine/base.py`, with the time in seconds before their arguments. What there is to tell, `advance`
gives; `next_at` says when it will have something. The same calls at the same times with the same randomness give the
same events. A million tasks fit: a task is one small object, waits in one heap, and is told of in bulk.

What it says and does is what the original's master did when its answers were recorded.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec
from frozendict import frozendict

from aurorad.engine.base import AgentLost, Event, Offer, Offers, Rescind, StatusUpdate, TaskInfo, TaskState
from aurorad.engine.simulated.agents import Agent
from aurorad.engine.simulated.behaviour import Behaviour, Fate, Fortune
from aurorad.engine.simulated.hosts import Amounts, Host, Kind

ENDED = frozenset(
    {
        TaskState.TASK_FINISHED,
        TaskState.TASK_FAILED,
        TaskState.TASK_KILLED,
        TaskState.TASK_ERROR,
        TaskState.TASK_LOST,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
    }
)
AT_ONCE = 500
"""Things told by one `advance`, unless the caller wants more or fewer."""

_ENDS = frozendict(
    {
        Fate.FINISHES: (TaskState.TASK_FINISHED, "Command exited with status 0", None),
        Fate.FAILS: (TaskState.TASK_FAILED, "Command exited with status 1", "REASON_COMMAND_EXECUTOR_FAILED"),
        Fate.FLAPS: (TaskState.TASK_FAILED, "Command exited with status 1", "REASON_COMMAND_EXECUTOR_FAILED"),
        Fate.GETS_LOST: (TaskState.TASK_LOST, "Executor terminated", "REASON_EXECUTOR_TERMINATED"),
        Fate.IS_KILLED: (TaskState.TASK_KILLED, "Instructed to kill task.", None),
    }
)
_NEVER = -math.inf


class UnknownAgent(Exception):
    """There is no agent of this id."""


class Task(msgspec.Struct, eq=False, gc=False):
    """A task on an agent, until its end is acknowledged. Look, do not touch.

    Nothing that a task holds holds the task: the garbage collector need not look at a million of them.
    """

    id: str
    host: Host
    amounts: Amounts
    fate: Fate
    state: TaskState = TaskState.TASK_STAGING
    timer: int = 0
    """The number of its latest timer: older ones no longer count."""
    updates: list[StatusUpdate] | None = None
    """Not acknowledged; only the first is told."""

    @property
    def agent_id(self) -> str:
        return self.host.agent.id


class Cluster:
    """Agents, their tasks, and what the scheduler has yet to hear.

    Nothing is told while no scheduler is connected, but tasks go on. An agent's updates have a uuid and are repeated
    until acknowledged, those of one task in order; what the master says by itself is said once.
    """

    def __init__(
        self, agents: Iterable[Agent] = (), behaviour: Behaviour | None = None, rng: random.Random | None = None
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self._fortune = Fortune(self.behaviour, rng or random.Random(1))  # noqa: S311 - guards nothing
        self._hosts: dict[str, Host] = {}
        self._tasks: dict[str, Task] = {}
        self._offers: dict[str, Host] = {}
        self._replaced: dict[str, Host] = {}  # offers taken back only to be made larger, the last one of each host
        self._connected = False
        self._told: deque[Event] = deque()
        self._to_offer: dict[Host, None] = {}
        self._asked: deque[str] = deque()
        self._unacknowledged: dict[Task, float] = {}  # when the first update was sent, oldest first
        self._heap: list[tuple[float, int, Task | Host]] = []
        self._timers = 0
        self._offers_made = 0
        self._updates_made = 0
        self._amounts: dict[tuple[tuple[Kind, int], ...], Amounts] = {}  # without ports, each kept once
        for agent in agents:
            self.add_agent(0.0, agent)

    # What there is.

    @property
    def tasks(self) -> Mapping[str, Task]:
        """All tasks by id, also those whose end was not acknowledged yet."""
        return MappingProxyType(self._tasks)

    @property
    def agents(self) -> Mapping[str, Host]:
        """All agents by id."""
        return MappingProxyType(self._hosts)

    def running(self) -> Iterator[Task]:
        """The tasks that have not ended, whether or not their agents can be reached."""
        return (task for task in self._tasks.values() if task.state not in ENDED)

    def check_invariants(self) -> None:
        """What agents, tasks, offers and updates say of each other is true."""
        held: dict[str, list[Amounts]] = {agent_id: [] for agent_id in self._hosts}
        for task in self._tasks.values():
            assert self._hosts.get(task.agent_id) is task.host, f"{task.id} is on an agent that is gone"
            assert task.id in task.host.tasks, f"{task.id} is not counted on its agent"
            if task.state in ENDED:
                assert task.updates, f"{task.id} ended, its end is acknowledged, and it is still there"
            else:
                held[task.agent_id].append(task.amounts)
        assert sum(len(host.tasks) for host in self._hosts.values()) == len(self._tasks)
        for agent_id, host in self._hosts.items():
            host.check_invariants(held[agent_id])
            assert host.offer_id is None or self._offers[host.offer_id] is host
            assert host.replaced_id is None or self._replaced[host.replaced_id] is host
        assert sum(host.offer_id is not None for host in self._hosts.values()) == len(self._offers)
        assert all(task.updates and task.host.is_reachable for task in self._unacknowledged)

    # The scheduler's calls.

    def connect(self, now: float) -> None:
        """A scheduler is there: it is offered everything and told everything that was not acknowledged."""
        self._connected = True
        self._unacknowledged = dict.fromkeys(self._unacknowledged, _NEVER)
        self._to_offer.update(dict.fromkeys(self._hosts.values()))

    def disconnect(self, now: float) -> None:
        """Nobody listens any longer: all offers are void, and what was not fetched is lost."""
        self._connected = False
        for host in self._hosts.values():
            host.offer_id = None
            host.replaced_id = None
        self._offers.clear()
        self._replaced.clear()
        self._told.clear()
        self._asked.clear()
        self._to_offer.clear()

    def launch(self, now: float, offer_id: str, tasks: Iterable[TaskInfo], refuse_s: float = 0.0) -> None:
        host = self._withdraw(offer_id) or self._withdraw_replaced(offer_id)
        for info in tasks:
            if host is None:
                message = "Task launched with invalid offers"
                self._master_says(info.task_id, TaskState.TASK_LOST, message, "REASON_INVALID_OFFERS", info.agent_id)
            else:
                self._launch(now, host, info)
        if host is not None:
            self._offer_again(now, host, refuse_s)

    def decline(self, now: float, offer_id: str, refuse_s: float) -> None:
        host = self._withdraw(offer_id)
        if host is not None:
            self._offer_again(now, host, refuse_s)

    def kill(self, now: float, task_id: str) -> None:
        """An unknown task is LOST; one that ended is left to the update that says so; a lost agent hears nothing."""
        task = self._tasks.get(task_id)
        if task is None:
            message = "Attempted to kill an unknown task"
            self._master_says(task_id, TaskState.TASK_LOST, message, "REASON_RECONCILIATION", None)
        elif not task.host.is_reachable:
            self._asked.append(task_id)
        elif task.state not in ENDED and task.fate is not Fate.IS_KILLED:
            task.fate = Fate.IS_KILLED
            task.timer = self._wake(now + self.behaviour.kill_s, task)

    def acknowledge(self, now: float, task_id: str, uuid: bytes) -> None:
        task = self._tasks.get(task_id)
        if task is None or not task.host.is_reachable or not task.updates or task.updates[0].uuid != uuid:
            return
        del task.updates[0]
        self._unacknowledged.pop(task, None)
        if task.updates:
            self._tell_first(now, task)
            return
        task.updates = None
        if task.state in ENDED:
            self._drop(task)

    def reconcile(self, now: float, task_ids: Iterable[str] = ()) -> None:
        """The state of these tasks, or of all; unknown ones are LOST."""
        self._asked.extend(tuple(task_ids) or self._tasks)

    # Time.

    def next_at(self) -> float:
        """When `advance` has something to do: -inf at once, inf never."""
        if self._told or self._asked or (self._connected and self._to_offer):
            return -math.inf
        at = self._heap[0][0] if self._heap else math.inf
        if self._connected and self._unacknowledged:
            at = min(at, next(iter(self._unacknowledged.values())) + self.behaviour.resend_s)
        return at

    def advance(self, now: float, at_most: int = AT_ONCE) -> list[Event]:
        """What there is to tell by now, offers in one event. If it is much, `next_at` says that there is more."""
        for _ in range(at_most):
            if not self._heap or self._heap[0][0] > now:
                break
            when, number, owner = heapq.heappop(self._heap)
            if owner.timer == number:
                self._task_due(when, owner) if isinstance(owner, Task) else self._host_due(owner)
        if not self._connected:
            return []
        self._answer_some(at_most)
        self._repeat_some(now, at_most)
        self._offer_some(at_most)
        return [self._told.popleft() for _ in range(min(at_most, len(self._told)))]

    # What happens to agents and tasks.

    def add_agent(self, now: float, agent: Agent) -> None:
        if agent.id in self._hosts:
            raise ValueError(f"agent {agent.id} is there already")
        host = self._hosts[agent.id] = Host(agent)
        self._to_offer[host] = None

    def remove_agent(self, now: float, agent_id: str) -> None:
        """The agent is gone for good, with its tasks and what it had not told. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        self._take_back(host)
        for task in self._tasks_of(host):
            del self._tasks[task.id]
            self._unacknowledged.pop(task, None)
            task.timer = 0
            if task.state not in ENDED:
                self._master_says(task.id, TaskState.TASK_LOST, "Agent removed", "REASON_SLAVE_REMOVED", agent_id)
        del self._hosts[agent_id]
        self._to_offer.pop(host, None)
        host.timer = 0
        self._say(AgentLost(agent_id))

    def cut_off(self, now: float, agent_id: str) -> None:
        """The agent cannot be reached; its tasks go on. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        if not host.is_reachable:
            return
        self._take_back(host)
        host.is_reachable = False
        message = f"Agent {host.agent.hostname} is unreachable"
        for task in self._tasks_of(host):
            self._unacknowledged.pop(task, None)
            if task.state not in ENDED:
                self._master_says(task.id, TaskState.TASK_UNREACHABLE, message, "REASON_SLAVE_REMOVED", agent_id)
        self._say(AgentLost(agent_id))

    def reach(self, now: float, agent_id: str) -> None:
        """The agent is back; it tells what it could not tell meanwhile. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        if host.is_reachable:
            return
        host.is_reachable = True
        self._to_offer[host] = None
        for task in self._tasks_of(host):
            if task.updates:
                self._tell_first(now, task)
            else:
                message = "Unreachable agent re-registered"
                self._master_says(task.id, task.state, message, "REASON_SLAVE_REREGISTERED", agent_id)

    def announce_unavailability(self, now: float, agent_id: str, start_ms: int | None) -> None:
        """From then on the host will not be there, so offers shall say. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        host.unavailability_start_ms = start_ms
        if host.is_reachable:
            self._take_back(host)
            self._to_offer[host] = None

    def rescind(self, now: float, agent_id: str) -> None:
        """The agent's offer is taken back, and made again. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        if host.offer_id is not None:
            self._take_back(host)
            self._to_offer[host] = None

    def report(
        self,
        now: float,
        task_id: str,
        state: TaskState,
        *,
        message: str | None = None,
        reason: str | None = None,
        agent_id: str | None = None,
        account: bool = True,
    ) -> None:
        """A task comes to be in this state, or with `account` false is only said to be.

        The latter, and what is said of an unknown task, is said once and under `agent_id`.
        """
        task = self._tasks.get(task_id)
        if task is None or task.state in ENDED or not account:
            where = agent_id or (task.agent_id if task is not None else None)
            self._master_says(task_id, state, message, reason, where)
        else:
            if task.fate is not Fate.IS_KILLED:
                task.timer = 0
            self._change(now, task, state, message, reason)
            if state is TaskState.TASK_RUNNING and task.fate is not Fate.IS_KILLED:
                self._await_end(now, task)

    def forget(self, now: float, task_id: str) -> None:
        """The agent loses a task without a word."""
        task = self._tasks[task_id]
        task.timer = 0
        self._unacknowledged.pop(task, None)
        if task.state not in ENDED:
            self._free(now, task)
        self._drop(task)

    def adopt(self, now: float, task_id: str, agent_id: str, amounts: Amounts, source: str) -> bool:
        """Run on a task from before: nothing is told of it. False if the agent has no room for it, or is not there."""
        host = self._hosts.get(agent_id)
        if host is None or task_id in self._tasks or host.lacks(amounts) is not None:
            return False
        task = self._put(host, task_id, amounts, source)
        task.state = TaskState.TASK_RUNNING
        self._await_end(now, task)
        return True

    # The way of a task.

    def _launch(self, now: float, host: Host, info: TaskInfo) -> None:
        amounts = Amounts.of((*info.resources, *info.executor_resources))
        lacking = host.lacks(amounts)
        if info.task_id in self._tasks:
            message, lacking = f"Task has duplicate ID: {info.task_id}", "a new id"
        else:
            message = f"Task uses more {lacking} than available"
        if lacking is not None:
            self._master_says(info.task_id, TaskState.TASK_ERROR, message, "REASON_TASK_INVALID", info.agent_id)
            return
        task = self._put(host, info.task_id, amounts, info.source)
        task.timer = self._wake(now + self.behaviour.starting_s, task)

    def _put(self, host: Host, task_id: str, amounts: Amounts, source: str) -> Task:
        known = self._amounts.setdefault(amounts.scalars, Amounts(amounts.scalars, ()))
        if amounts.ports:
            known = Amounts(known.scalars, amounts.ports)
        task = self._tasks[task_id] = Task(task_id, host, known, self._fortune.fate(source))
        host.take(known)
        host.tasks.add(task_id)
        return task

    def _task_due(self, when: float, task: Task) -> None:
        if task.fate is not Fate.IS_KILLED and task.state is TaskState.TASK_STAGING:
            self._change(when, task, TaskState.TASK_STARTING)
            task.timer = self._wake(when + self.behaviour.starting_s, task)
        elif task.fate is not Fate.IS_KILLED and task.state is TaskState.TASK_STARTING:
            self._change(when, task, TaskState.TASK_RUNNING)
            self._await_end(when, task)
        else:
            self._change(when, task, *_ENDS[task.fate])

    def _await_end(self, when: float, task: Task) -> None:
        life_s = self._fortune.life_s(task.fate)
        task.timer = self._wake(when + life_s, task) if life_s is not None else 0

    def _change(
        self, now: float, task: Task, state: TaskState, message: str | None = None, reason: str | None = None
    ) -> None:
        task.state = state
        if state in ENDED:
            task.timer = 0
            self._free(now, task)
        self._updates_made += 1
        uuid = self._updates_made.to_bytes(16, "big")
        update = StatusUpdate(task.id, state, task.agent_id, message, reason, "SOURCE_EXECUTOR", None, uuid)
        if task.updates is not None:
            task.updates.append(update)
            return
        task.updates = [update]
        if task.host.is_reachable:
            self._tell_first(now, task)

    def _tell_first(self, now: float, task: Task) -> None:
        assert task.updates
        self._unacknowledged.pop(task, None)
        self._unacknowledged[task] = now if self._connected else _NEVER
        self._say(task.updates[0])

    def _free(self, now: float, task: Task) -> None:
        host = task.host
        host.give_back(task.amounts)
        if not host.is_reachable:
            return
        if host.offer_id is None:
            self._to_offer[host] = None
        elif not host.grew:
            host.grew = True
            host.timer = self._wake(now + self.behaviour.merge_s, host)

    # Offers.

    def _host_due(self, host: Host) -> None:
        """A refusal ends, or an offer is to be replaced by a larger one."""
        if host.offer_id is not None and not host.grew:
            return
        replaced_id = host.offer_id
        self._take_back(host)
        if replaced_id is not None and not self.behaviour.strict_offers:
            host.replaced_id = replaced_id
            self._replaced[replaced_id] = host
        if host.is_reachable:
            self._to_offer[host] = None

    def _withdraw(self, offer_id: str) -> Host | None:
        host = self._offers.pop(offer_id, None)
        if host is not None:
            host.offer_id = None
        return host

    def _withdraw_replaced(self, offer_id: str) -> Host | None:
        """Its launch was on the way when the offer was replaced: what it wants is in the new one, too."""
        host = self._replaced.get(offer_id)
        if host is not None:
            self._take_back(host)
        return host

    def _take_back(self, host: Host) -> None:
        if host.replaced_id is not None:
            del self._replaced[host.replaced_id]
            host.replaced_id = None
        if host.offer_id is not None:
            del self._offers[host.offer_id]
            self._say(Rescind(host.offer_id))
            host.offer_id = None

    def _offer_again(self, now: float, host: Host, refuse_s: float) -> None:
        """What became free after the offer was made was not refused."""
        if refuse_s > 0 and not host.grew:
            host.timer = self._wake(now + refuse_s, host)
        else:
            self._to_offer[host] = None

    def _offer_some(self, at_most: int) -> None:
        offers: list[Offer] = []
        while self._to_offer and len(offers) < at_most:
            host = next(iter(self._to_offer))
            del self._to_offer[host]
            if host.offer_id is None and host.is_reachable and host.has_room():
                host.offer_id = f"offer-{self._offers_made}"
                self._offers_made += 1
                host.grew = False
                self._offers[host.offer_id] = host
                offers.append(host.offer(host.offer_id))
        if offers:
            self._say(Offers(tuple(offers)))

    # What is told.

    def _answer_some(self, at_most: int) -> None:
        for _ in range(min(at_most, len(self._asked))):
            task_id = self._asked.popleft()
            task = self._tasks.get(task_id)
            if task is None:
                state, message, agent_id = TaskState.TASK_LOST, "Reconciliation: Task is unknown", None
            elif not task.host.is_reachable:
                state, message, agent_id = (
                    TaskState.TASK_UNREACHABLE,
                    "Reconciliation: Task is unreachable",
                    task.agent_id,
                )
            else:
                state, message, agent_id = task.state, "Reconciliation: Latest task state", task.agent_id
            self._master_says(task_id, state, message, "REASON_RECONCILIATION", agent_id)

    def _repeat_some(self, now: float, at_most: int) -> None:
        for _ in range(at_most):
            task, sent_at = next(iter(self._unacknowledged.items()), (None, 0.0))
            if task is None or sent_at + self.behaviour.resend_s > now:
                return
            self._tell_first(now, task)

    def _master_says(
        self, task_id: str, state: TaskState, message: str | None, reason: str | None, agent_id: str | None
    ) -> None:
        self._say(StatusUpdate(task_id, state, agent_id, message, reason, "SOURCE_MASTER"))

    def _say(self, event: Event) -> None:
        if self._connected:
            self._told.append(event)

    def _wake(self, when: float, owner: Task | Host) -> int:
        self._timers += 1
        heapq.heappush(self._heap, (when, self._timers, owner))
        return self._timers

    def _drop(self, task: Task) -> None:
        del self._tasks[task.id]
        task.host.tasks.remove(task.id)

    def _tasks_of(self, host: Host) -> list[Task]:
        return [self._tasks[task_id] for task_id in sorted(host.tasks)]

    def _host(self, agent_id: str) -> Host:
        host = self._hosts.get(agent_id)
        if host is None:
            raise UnknownAgent(f"there is no agent {agent_id}")
        return host
