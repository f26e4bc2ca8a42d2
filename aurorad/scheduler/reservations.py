"""Agents whose offers are kept for somebody, for a while: for a group that others made room for (scheduling sheet,
6.4), and for instances that an update shall not move (section 7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.flags import Flags
from aurorad.rules.preemption import may_return
from aurorad.scheduler.timers import Timers
from aurorad.storage.events import TaskChanged
from aurorad.storage.tables import Tables
from aurorad.vars import Vars

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Promises(Generic[K, V]):
    """What is promised, one value to a key, until it is taken back or its time is over. Statistics: `<name>_cache_...`.

    A new promise to a key replaces the one before. `ended` is told of every promise that ends.
    """

    def __init__(self, name: str, stats: Vars, ended: Callable[[K, V], None]) -> None:
        self._name = name
        self._stats = stats
        self._ended = ended
        self._values: dict[K, V] = {}
        self._keys: dict[V, dict[K, None]] = {}
        self._timers: Timers[K] = Timers()
        stats.gauge(f"{name}_cache_size", lambda: len(self._values))
        stats.declare(*(f"{name}_cache_{kind}removals" for kind in ("", "explicit_", "expiration_")))

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> Collection[tuple[K, V]]:
        return self._values.items()

    def get(self, key: K | None) -> V | None:
        return self._values.get(key) if key is not None else None

    def keys_of(self, value: V) -> Mapping[K, None]:
        """All keys to which this value is promised, oldest first."""
        return self._keys.get(value, {})

    def put(self, key: K, value: V, lifetime_s: float) -> None:
        self._forget(key)
        self._values[key] = value
        self._keys.setdefault(value, {})[key] = None
        self._timers.set(key, lifetime_s)

    def remove(self, key: K) -> None:
        """Take it back, or note that it was kept; nothing happens if there is none."""
        self._end(key, "explicit")

    async def run(self) -> None:
        """Let promises expire."""
        while True:
            for key in await self._timers.due():
                self._end(key, "expiration")

    def _end(self, key: K, why: str) -> None:
        value = self._forget(key)
        if value is not None:
            self._stats.count(f"{self._name}_cache_removals")
            self._stats.count(f"{self._name}_cache_{why}_removals")
            self._ended(key, value)

    def _forget(self, key: K) -> V | None:
        value = self._values.pop(key, None)
        if value is not None:
            self._timers.cancel(key)
            keys = self._keys[value]
            del keys[key]
            if not keys:
                del self._keys[value]
        return value


Instance = tuple[JobKey, int]


class Reservations:
    """Both kinds, as placement sees them.

    `agents` promises each agent to one group, `instances` promises each instance an agent. What an agent offers goes
    to nobody else as long as either lasts; an instance with an agent of its own goes nowhere else.
    """

    def __init__(self, *, tables: Tables, flags: Flags, stats: Vars) -> None:
        self._tables = tables
        self._flags = flags
        self.agents: Promises[str, TaskConfig] = Promises("reservation", stats, self._agent_freed)
        self.instances: Promises[Instance, str] = Promises("update_affinity", stats, self._instance_freed)
        self.freed: Callable[[str], None] = lambda agent_id: None
        """Called when an agent's offers may be used by others again."""
        self.unbound: Callable[[TaskConfig], None] = lambda config: None
        """Called when an instance of this configuration may go anywhere again."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.agents) or bool(self.instances)

    def kept(self) -> set[str]:
        """All agents that are kept for somebody."""
        return {agent_id for agent_id, _ in self.agents.items()} | {agent_id for _, agent_id in self.instances.items()}

    def agents_of_job(self, job: JobKey) -> list[str]:
        """The agents that are kept for groups of this job."""
        return [agent_id for agent_id, config in self.agents.items() if config.job == job]

    def pick(self, agent_id: str, config: TaskConfig, task_ids: Iterable[str]) -> str | None:
        """Which of these waiting tasks of the group `config`, first come first, may have what this agent offers."""
        returning = self.instances.keys_of(agent_id)
        if returning:
            return next((task_id for task_id in task_ids if self._instance(task_id) in returning), None)
        group = self.agents.get(agent_id)
        if group is not None and group != config:
            return None
        return next((task_id for task_id in task_ids if self.instances.get(self._instance(task_id)) is None), None)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.agents.run)
            nursery.start_soon(self.instances.run)

    def keep_place(self, task: ScheduledTask, new: TaskConfig) -> None:
        """An update ends `task`, and `new` will take its place: on the same agent if that suits and is wanted.

        To be called when the end of the task is in the log.
        """
        assigned = task.assigned_task
        if self._flags.enable_update_affinity and assigned.slave_id is not None and may_return(assigned.task, new):
            key = (assigned.task.job, assigned.instance_id)
            self.instances.put(key, assigned.slave_id, self._flags.update_affinity_reservation_hold_time)

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change. A promise ends when whom it was given to has a place, or is no more."""
        before, after = change.before, change.after
        if before is None or before.status is not ScheduleStatus.PENDING:
            return
        if after is not None and after.status is ScheduleStatus.PENDING:
            return
        assigned = before.assigned_task
        if self.instances:
            self.instances.remove((assigned.task.job, assigned.instance_id))
        agent_id = after.assigned_task.slave_id if after is not None else None
        if self.agents and agent_id is not None and self.agents.get(agent_id) == assigned.task:
            self.agents.remove(agent_id)

    def _instance(self, task_id: str) -> Instance | None:
        task = self._tables.task(task_id)
        return (task.assigned_task.task.job, task.assigned_task.instance_id) if task is not None else None

    def _agent_freed(self, agent_id: str, _: TaskConfig) -> None:
        self.freed(agent_id)

    def _instance_freed(self, instance: Instance, agent_id: str) -> None:
        job, instance_id = instance
        for task in self._tables.job_tasks(job, frozenset({ScheduleStatus.PENDING})):
            if task.assigned_task.instance_id == instance_id:
                self.unbound(task.assigned_task.task)
        self.freed(agent_id)
