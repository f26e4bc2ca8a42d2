"""Who is on which agent, as far as preemption cares: kept change by change, so that a search need not count."""

from __future__ import annotations

from collections.abc import Iterator

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.rules import matching, preemption
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.matching import Request
from aurorad.rules.preemption import Kind, Victim
from aurorad.rules.resources import REVOCABLE, Types
from aurorad.rules.task_states import TOLD_TO_END
from aurorad.rules.tiers import Tier, Tiers
from aurorad.storage.events import TaskChanged

REACHABLE_STATES = SLAVE_ASSIGNED_STATES - {ScheduleStatus.PARTITIONED}
"""The end of a task whose agent nobody reaches frees nothing that could be used."""

Composition = tuple[tuple[int, bool], ...]
"""How many tasks of which kinds are on an agent, and which of them are ending: agents of equal ones are alike."""


class AgentLoad:
    """The tasks of one agent."""

    def __init__(self, agent_id: str, hostname: str) -> None:
        self.agent_id = agent_id
        self.hostname = hostname
        self.victims: dict[str, Victim] = {}
        self._composition: Composition | None = None

    def put(self, victim: Victim) -> None:
        self.victims[victim.task_id] = victim
        self._composition = None

    def pop(self, task_id: str) -> Victim | None:
        self._composition = None
        return self.victims.pop(task_id, None)

    @property
    def composition(self) -> Composition:
        """Kinds are known by their identity; equal only while none of these tasks leaves."""
        if self._composition is None:
            self._composition = tuple(sorted((id(v.kind), v.is_ending) for v in self.victims.values()))
        return self._composition


_Agents = dict[str, int]  # how many such tasks each agent has


class Victims:
    """Every agent that runs tasks, and indices of those where a group may find victims at all."""

    def __init__(self, executors: ExecutorSettings, tiers: Tiers, revocable_types: Types = REVOCABLE) -> None:
        self._executors = executors
        self._revocable_types = revocable_types
        self._tiers = tiers
        self._loads: dict[str, AgentLoad] = {}
        self._kinds: dict[TaskConfig, tuple[Kind, int]] = {}  # and how many tasks are of it
        self._preemptible: _Agents = {}
        self._ranks: dict[tuple[bool, str], dict[int, _Agents]] = {}  # preemptible and role, priority

    def __len__(self) -> int:
        return len(self._loads)

    def tier_of(self, config: TaskConfig) -> Tier:
        tier = self._tiers.by_name.get(config.tier or self._tiers.default)
        return tier if tier is not None else self._tiers.by_name[self._tiers.default]

    def request(self, config: TaskConfig) -> Request:
        """What tasks of this configuration ask for."""
        return matching.request_of(config, self._executors, self.tier_of(config).revocable)

    def on(self, agent_id: str) -> AgentLoad | None:
        return self._loads.get(agent_id)

    def agents_for(self, job: JobKey, priority: int, tier: Tier) -> dict[str, None]:
        """The agents with at least one task that such a pending task may displace."""
        found = dict.fromkeys(() if tier.preemptible else self._preemptible)
        for other, agents in self._ranks.get((tier.preemptible, job.role), {}).items():
            if other < priority:
                found.update(dict.fromkeys(agents))
        return found

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        before, after = _standing(change.before), _standing(change.after)
        if before is not after:
            if change.before is not None and before is not None:
                self._remove(change.before)
            if change.after is not None and after is not None:
                self._add(change.after, is_ending=after)

    def _add(self, task: ScheduledTask, is_ending: bool) -> None:
        assigned = task.assigned_task
        agent_id = assigned.slave_id or ""
        kind = self._kind(assigned.task)
        load = self._loads.get(agent_id)
        if load is None:
            load = self._loads[agent_id] = AgentLoad(agent_id, assigned.slave_host or "")
        load.put(Victim(assigned.task_id, kind, is_ending))
        for agents in self._indices(kind):
            agents[agent_id] = agents.get(agent_id, 0) + 1

    def _remove(self, task: ScheduledTask) -> None:
        agent_id = task.assigned_task.slave_id or ""
        load = self._loads.get(agent_id)
        victim = load.pop(task.assigned_task.task_id) if load is not None else None
        if load is None or victim is None:
            return
        if not load.victims:
            del self._loads[agent_id]
        for agents in self._indices(victim.kind):
            agents[agent_id] -= 1
            if not agents[agent_id]:
                del agents[agent_id]
        self._forget(victim.kind)

    def _indices(self, kind: Kind) -> Iterator[_Agents]:
        if kind.tier.preemptible:
            yield self._preemptible
        by_priority = self._ranks.setdefault((kind.tier.preemptible, kind.config.job.role), {})
        yield by_priority.setdefault(kind.config.priority, {})

    def _kind(self, config: TaskConfig) -> Kind:
        kind, count = self._kinds.get(config, (None, 0))
        if kind is None:
            kind = preemption.kind_of(self.request(config), self.tier_of(config), self._revocable_types)
        self._kinds[config] = (kind, count + 1)
        return kind

    def _forget(self, kind: Kind) -> None:
        _, count = self._kinds[kind.config]
        if count > 1:
            self._kinds[kind.config] = (kind, count - 1)
            return
        del self._kinds[kind.config]
        rank = (kind.tier.preemptible, kind.config.job.role)
        by_priority = self._ranks[rank]
        if not by_priority[kind.config.priority]:
            del by_priority[kind.config.priority]
        if not by_priority:
            del self._ranks[rank]


def _standing(task: ScheduledTask | None) -> bool | None:
    """Whether a task is ending; None for one that holds nothing on an agent."""
    if task is None or task.status not in REACHABLE_STATES:
        return None
    return task.status in TOLD_TO_END
