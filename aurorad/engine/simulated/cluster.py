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

from aurorad.engine.base import AgentLost, Event, InverseOffer, TaskInfo, TaskState
from aurorad.engine.simulated.agents import Agent
from aurorad.engine.simulated.behaviour import Behaviour, Fate, Fortune
from aurorad.engine.simulated.hosts import Amounts, Host, Kind
from aurorad.engine.simulated.offering import Offering
from aurorad.engine.simulated.outbox import Outbox
from aurorad.engine.simulated.tasks import ENDED, ENDS, Task

AT_ONCE = 200
"""Things told by one `advance`, unless the caller wants more or fewer."""


class UnknownAgent(Exception):
    """There is no agent of this id."""


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
        self._outbox = Outbox(self.behaviour.resend_s)
        self._offering = Offering(self._outbox.say, self.behaviour.strict_offers)
        self._asked: deque[str] = deque()
        self._heap: list[tuple[float, int, Task | Host]] = []
        self._timers = 0
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
        self._offering.check_invariants(self._hosts.values())
        self._outbox.check_invariants()

    # The scheduler's calls.

    def connect(self, now: float) -> None:
        """A scheduler is there: it is offered everything and told everything that was not acknowledged."""
        self._outbox.connect()
        for host in self._hosts.values():
            self._offering.want(host)
            self._say_unavailable(host)

    def disconnect(self, now: float) -> None:
        """Nobody listens any longer: all offers are void, and what was not fetched is lost."""
        self._outbox.disconnect()
        self._offering.void()
        self._asked.clear()

    def launch(self, now: float, offer_id: str, tasks: Iterable[TaskInfo], refuse_s: float = 0.0) -> None:
        host = self._offering.withdraw(offer_id) or self._offering.withdraw_replaced(offer_id)
        for info in tasks:
            if host is None:
                message = "Task launched with invalid offers"
                self._outbox.master_says(
                    info.task_id, TaskState.TASK_LOST, message, "REASON_INVALID_OFFERS", info.agent_id
                )
            else:
                self._launch(now, host, info)
        if host is not None:
            self._offer_again(now, host, refuse_s)

    def decline(self, now: float, offer_id: str, refuse_s: float) -> None:
        host = self._offering.withdraw(offer_id)
        if host is not None:
            self._offer_again(now, host, refuse_s)

    def kill(self, now: float, task_id: str) -> None:
        """An unknown task is LOST; one that ended is left to the update that says so; a lost agent hears nothing."""
        task = self._tasks.get(task_id)
        if task is None:
            message = "Attempted to kill an unknown task"
            self._outbox.master_says(task_id, TaskState.TASK_LOST, message, "REASON_RECONCILIATION", None)
        elif not task.host.is_reachable:
            self._asked.append(task_id)
        elif task.state not in ENDED and task.fate is not Fate.IS_KILLED:
            task.fate = Fate.IS_KILLED
            task.timer = self._wake(now + self.behaviour.kill_s, task)

    def acknowledge(self, now: float, task_id: str, uuid: bytes) -> None:
        task = self._tasks.get(task_id)
        if task is not None and self._outbox.acknowledge(now, task, uuid) and task.state in ENDED:
            self._drop(task)

    def reconcile(self, now: float, task_ids: Iterable[str] = ()) -> None:
        """The state of these tasks, or of all; unknown ones are LOST."""
        self._asked.extend(tuple(task_ids) or self._tasks)

    # Time.

    def next_at(self) -> float:
        """When `advance` has something to do: -inf at once, inf never."""
        if self._outbox.connected and (self._asked or self._offering.has_more):
            return -math.inf
        return min(self._heap[0][0] if self._heap else math.inf, self._outbox.next_at())

    def advance(self, now: float, at_most: int = AT_ONCE) -> list[Event]:
        """What there is to tell by now, offers in one event. If it is much, `next_at` says that there is more."""
        for _ in range(at_most):
            if not self._heap or self._heap[0][0] > now:
                break
            when, number, owner = heapq.heappop(self._heap)
            if owner.timer == number:
                self._task_due(when, owner) if isinstance(owner, Task) else self._host_due(owner)
        if not self._outbox.connected:
            return []
        self._answer_some(at_most)
        self._outbox.repeat(now, at_most)
        self._offering.make(at_most)
        return self._outbox.take(at_most)

    # What happens to agents and tasks.

    def add_agent(self, now: float, agent: Agent) -> None:
        if agent.id in self._hosts:
            raise ValueError(f"agent {agent.id} is there already")
        host = self._hosts[agent.id] = Host(agent)
        self._offering.want(host)

    def remove_agent(self, now: float, agent_id: str) -> None:
        """The agent is gone for good, with its tasks and what it had not told. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        self._offering.take_back(host)
        for task in self._tasks_of(host):
            del self._tasks[task.id]
            self._outbox.keep_quiet(task)
            task.timer = 0
            if task.state not in ENDED:
                self._outbox.master_says(
                    task.id, TaskState.TASK_LOST, "Agent removed", "REASON_SLAVE_REMOVED", agent_id
                )
        del self._hosts[agent_id]
        host.timer = 0
        self._outbox.say(AgentLost(agent_id))

    def cut_off(self, now: float, agent_id: str) -> None:
        """The agent cannot be reached; its tasks go on. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        if not host.is_reachable:
            return
        self._offering.take_back(host)
        host.is_reachable = False
        message = f"Agent {host.agent.hostname} is unreachable"
        for task in self._tasks_of(host):
            self._outbox.keep_quiet(task)
            if task.state not in ENDED:
                self._outbox.master_says(task.id, TaskState.TASK_UNREACHABLE, message, "REASON_SLAVE_REMOVED", agent_id)
        self._outbox.say(AgentLost(agent_id))

    def reach(self, now: float, agent_id: str) -> None:
        """The agent is back; it tells what it could not tell meanwhile. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        if host.is_reachable:
            return
        host.is_reachable = True
        self._offering.want(host)
        for task in self._tasks_of(host):
            if task.updates:
                self._outbox.tell_first(now, task)
            else:
                message = "Unreachable agent re-registered"
                self._outbox.master_says(task.id, task.state, message, "REASON_SLAVE_REREGISTERED", agent_id)

    def announce_unavailability(self, now: float, agent_id: str, start_ms: int | None) -> None:
        """From then on the host will not be there, or None: it will. Offers say so, too. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        host.unavailability_start_ms = start_ms
        self._say_unavailable(host)
        if host.is_reachable:
            self._offering.take_back(host)
            self._offering.want(host)

    def rescind(self, now: float, agent_id: str) -> None:
        """The agent's offer is taken back, and made again. Raises `UnknownAgent`."""
        host = self._host(agent_id)
        if host.offer_id is not None:
            self._offering.take_back(host)
            self._offering.want(host)

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
            self._outbox.master_says(task_id, state, message, reason, where)
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
        self._outbox.keep_quiet(task)
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
        wrong = self._invalid(host, info, amounts)
        if wrong is not None:
            self._outbox.master_says(info.task_id, TaskState.TASK_ERROR, wrong, "REASON_TASK_INVALID", info.agent_id)
            return
        task = self._put(host, info.task_id, amounts, info.source)
        task.timer = self._wake(now + self.behaviour.starting_s, task)

    def _invalid(self, host: Host, info: TaskInfo, amounts: Amounts) -> str | None:
        if info.task_id in self._tasks:
            return f"Task has duplicate ID: {info.task_id}"
        lacking = host.lacks(amounts)
        return f"Task uses more {lacking} than available" if lacking is not None else None

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
            self._change(when, task, *ENDS[task.fate])

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
        self._outbox.agent_says(now, task, message, reason)

    def _free(self, now: float, task: Task) -> None:
        host = task.host
        host.give_back(task.amounts)
        if not host.is_reachable:
            return
        if host.offer_id is None:
            self._offering.want(host)
        elif not host.grew:
            host.grew = True
            host.timer = self._wake(now + self.behaviour.merge_s, host)

    # Offers.

    def _host_due(self, host: Host) -> None:
        """A refusal ends, or an offer is to be replaced by a larger one."""
        if host.offer_id is not None and not host.grew:
            return
        if host.is_reachable:
            self._offering.replace(host)

    def _offer_again(self, now: float, host: Host, refuse_s: float) -> None:
        """What became free after the offer was made was not refused."""
        if refuse_s > 0 and not host.grew:
            host.timer = self._wake(now + refuse_s, host)
        else:
            self._offering.want(host)

    def _answer_some(self, at_most: int) -> None:
        """Of the tasks about whom was asked."""
        for _ in range(min(at_most, len(self._asked))):
            task_id = self._asked.popleft()
            task = self._tasks.get(task_id)
            agent_id = task.agent_id if task is not None else None
            if task is None:
                state, message = TaskState.TASK_LOST, "Reconciliation: Task is unknown"
            elif not task.host.is_reachable:
                state, message = TaskState.TASK_UNREACHABLE, "Reconciliation: Task is unreachable"
            else:
                state, message = task.state, "Reconciliation: Latest task state"
            self._outbox.master_says(task_id, state, message, "REASON_RECONCILIATION", agent_id)

    def _say_unavailable(self, host: Host) -> None:
        if host.unavailability_start_ms is not None:
            id_ = f"inverse-{host.agent.id}"
            self._outbox.say(InverseOffer(id_, host.agent.hostname, host.unavailability_start_ms))

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
