"""Makes room for tasks that waited too long, by ending others that matter less (scheduling sheet, section 6).

At regular times slots are searched: agents where the end of some tasks would let in one that waits. Those found are
used at once: each is looked at again, and its victims told to end, inside one write; then the agent is reserved for
the group, until its victims are gone and its offer has come.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple, Protocol

import trio

from aurorad.api import keys
from aurorad.api.enums import SLAVE_ASSIGNED_STATES, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import matching, preemption
from aurorad.rules.matching import Request
from aurorad.rules.preemption import Victim
from aurorad.rules.task_states import last_change_ms
from aurorad.rules.tiers import Tier
from aurorad.scheduler.agents_view import AgentsView
from aurorad.scheduler.reservations import Reservations
from aurorad.scheduler.slots import SlotSearch, Wanted
from aurorad.scheduler.state import StateManager
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_PENDING = frozenset({ScheduleStatus.PENDING})
_SEARCHES = ("attempts", "successful", "failed")
_KINDS = ("prod", "non_prod")

MOST_SLOTS = 1000
"""Searched for one group in one run: a large job shall not turn over a whole cluster in a minute."""

AT_ONCE = 50
"""Slots used in one write, lest it hold the loop."""


class WaitingGroup(Protocol):
    """What is asked of placement's groups: who waits, first come first."""

    @property
    def request(self) -> Request: ...

    @property
    def queue(self) -> Collection[str]: ...


class Slot(NamedTuple):
    """One agent for one task of a group, as it was found."""

    wanted: Wanted
    agent_id: str

    @property
    def config(self) -> TaskConfig:
        return self.wanted.request.config


class Preemptor:
    """It keeps nothing but whose end it waits for; after a restart, those who are ending make room for anybody."""

    def __init__(
        self,
        *,
        storage: Storage,
        states: StateManager,
        reservations: Reservations,
        view: AgentsView,
        groups: Callable[[], Collection[WaitingGroup]],
        flags: Flags,
        stats: Vars,
        now_ms: Callable[[], int],
    ) -> None:
        self._storage = storage
        self._states = states
        self._reservations = reservations
        self._view = view
        self._groups = groups
        self._flags = flags
        self._stats = stats
        self._now_ms = now_ms
        self._awaited: dict[str, set[str]] = {}  # by agent that is reserved: whose end its reservation waits for
        stats.declare(
            *(f"preemptor_slot_search_{what}_for_{kind}" for what in _SEARCHES for kind in _KINDS),
            *(f"preemptor_slot_validation_{what}" for what in ("successful", "failed")),
            *(f"preemptor_tasks_preempted_{kind}" for kind in _KINDS),
            *(f"preemptor_{what}" for what in ("missing_attributes", "task_processor_runs", "unmatched_tasks")),
        )

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        self._view.victims.changed(change)
        before = change.before
        if before is None:
            return
        if before.status is ScheduleStatus.PENDING and self._reservations.agents:
            self._left_pending(before.assigned_task.task)
        elif self._awaited and _is_on_agent(before) and not _is_on_agent(change.after):
            self._ended(before.assigned_task.slave_id or "", before.assigned_task.task_id)

    async def run(self) -> None:
        """Search and preempt until cancelled."""
        if not self._flags.enable_preemptor:
            return
        await trio.sleep(self._flags.preemption_slot_search_initial_delay)
        while True:
            began = trio.current_time()
            await self.use(await self.search())
            self._stats.observe("pending_task_processor_run", trio.current_time() - began)
            await trio.sleep_until(began + self._flags.preemption_slot_search_interval)

    async def search(self) -> list[Slot]:
        """The slots there are, at most one on an agent, for all who waited long enough."""
        self._stats.count("preemptor_task_processor_runs")
        if not self._view.victims:
            return []
        await self._view.refresh()
        search = SlotSearch(self._view)
        found = await search.find(await self._waiting(), self._flags.preemption_reservation_max_batch_size)
        self._stats.count("preemptor_missing_attributes", search.missing_attributes)
        for wanted, agents in found:
            self._count_search(wanted, len(agents))
        return [Slot(wanted, agent_id) for wanted, agents in found for agent_id in agents]

    async def use(self, slots: list[Slot]) -> None:
        """Have the victims of those that are still slots end, and keep their agents for who waits."""
        for start in range(0, len(slots), AT_ONCE):
            await self._use_some(slots[start : start + AT_ONCE])

    async def _waiting(self) -> list[Wanted]:
        """The groups whose tasks waited long enough, without as many tasks as agents are reserved for them."""
        most = min(len(self._view.victims), MOST_SLOTS)
        pace = Pace()
        waiting = []
        for group in list(self._groups()):
            promised = len(self._reservations.agents.keys_of(group.request.config))
            count = 0
            for _ in self._long_pending(self._storage.tables, group.queue):
                count += 1
                if count - promised >= most:
                    break
            if count > promised:
                tier = self._view.victims.tier_of(group.request.config)
                waiting.append(Wanted(group.request, tier, count - promised))
            await pace.breathe()
        return waiting

    def _long_pending(self, tables: Tables, queue: Collection[str]) -> Iterator[str]:
        """Those at the head of a queue that waited long enough."""
        latest_ms = self._now_ms() - round(self._flags.preemption_delay * 1000)
        for task_id in queue:
            task = tables.task(task_id)
            if task is None or task.status is not ScheduleStatus.PENDING:
                continue
            if last_change_ms(task) > latest_ms:
                break
            yield task_id

    async def _use_some(self, slots: list[Slot]) -> None:
        try:
            used = await self._storage.write(partial(self._use, slots))
        except LogFull:  # nothing has happened, and the next run finds them again
            return
        for slot in slots:
            victims = used.get(slot.agent_id)
            self._count_use(slot, victims)
            if victims is not None:
                self._reserve(slot, victims)

    def _use(self, slots: list[Slot], tx: Transaction) -> dict[str, tuple[Victim, ...]]:
        """Have the victims of each slot that is still one end; who they are, by agent."""
        beneficiaries = self._beneficiaries(tx.tables, {slot.config for slot in slots})
        censuses: dict[JobKey, dict[tuple[str, str], int]] = {}
        used: dict[str, tuple[Victim, ...]] = {}
        for slot in slots:
            job = slot.config.job
            if slot.wanted.request.limits and job not in censuses:
                censuses[job] = self._view.census(job)
            victims = self._validated(slot, censuses.get(job, {}))
            task_id = next(beneficiaries[slot.config], None) if victims else None
            if task_id is None:
                continue
            for victim in victims:
                if not victim.is_ending:
                    message = f"Preempting in favor of {task_id}"
                    self._states.change_state(tx, victim.task_id, ScheduleStatus.PREEMPTING, message)
            used[slot.agent_id] = victims
        return used

    def _beneficiaries(self, tables: Tables, configs: set[TaskConfig]) -> dict[TaskConfig, Iterator[str]]:
        """Who of each group has no agent reserved yet, taking them as reserved for the first ones."""
        queues = {group.request.config: group.queue for group in self._groups()}
        left: dict[TaskConfig, Iterator[str]] = {}
        for config in configs:
            promised = len(self._reservations.agents.keys_of(config))
            left[config] = itertools.islice(self._long_pending(tables, queues.get(config, ())), promised, None)
        return left

    def _validated(self, slot: Slot, census: dict[tuple[str, str], int]) -> tuple[Victim, ...]:
        """The victims as they are now; empty if there is nothing to be won here any more. Counts the task in."""
        request, load = slot.wanted.request, self._view.victims.on(slot.agent_id)
        if load is None or self._reservations.agents.get(slot.agent_id) is not None:
            return ()
        host = self._view.host(load)
        if host is None or not self._view.is_up_to_date(load) or not self._view.admits(request, host, census):
            return ()
        active, room = load.victims.values(), self._view.room(slot.agent_id)
        victims = preemption.choose_victims(request, slot.wanted.tier, active, room)
        if victims:
            matching.count_in(census, host.values)
        return victims

    def _reserve(self, slot: Slot, victims: tuple[Victim, ...]) -> None:
        """Keep the agent for the group while its victims are ending."""
        self._awaited[slot.agent_id] = {victim.task_id for victim in victims}
        self._reservations.agents.put(slot.agent_id, slot.config, self._flags.preemption_slot_hold_time)

    def _ended(self, agent_id: str, task_id: str) -> None:
        """When the last of the victims is gone, the offer may take its time, and the task its retries."""
        awaited = self._awaited.get(agent_id)
        if awaited is None:
            return
        awaited.discard(task_id)
        config = self._reservations.agents.get(agent_id)
        if config is None or not awaited:
            del self._awaited[agent_id]
        if config is not None and not awaited:
            self._reservations.agents.put(agent_id, config, self._flags.offer_reservation_duration)

    def _left_pending(self, config: TaskConfig) -> None:
        """Give back the latest agents that are reserved for a group, if it has fewer tasks than those."""
        reserved = list(self._reservations.agents.keys_of(config))
        if reserved:
            tasks = self._storage.tables.job_tasks(config.job, _PENDING)
            waiting = sum(task.assigned_task.task == config for task in tasks)
            for agent_id in reserved[waiting:]:
                self._reservations.agents.remove(agent_id)

    def _count_search(self, wanted: Wanted, found: int) -> None:
        """A search is an attempt for each slot that was found, and one for not finding enough."""
        failed = int(found < wanted.tasks)
        kind, job = _kind(wanted.tier), keys.canonical(wanted.request.config.job)
        for whom in (kind, job):
            prefix = "preemptor" if whom is kind else "preemption"  # as the original spells them
            self._stats.count(f"{prefix}_slot_search_attempts_for_{whom}", found + failed)
            self._stats.count(f"preemptor_slot_search_successful_for_{whom}", found)
            self._stats.count(f"preemptor_slot_search_failed_for_{whom}", failed)
        self._stats.count("preemptor_unmatched_tasks", failed)

    def _count_use(self, slot: Slot, victims: tuple[Victim, ...] | None) -> None:
        result = "failed" if victims is None else "successful"
        job = keys.canonical(slot.config.job)
        self._stats.count(f"preemptor_slot_validation_{result}")
        self._stats.count(f"preemptor_slot_validation_{result}_for_{job}")
        if victims is not None:
            self._stats.count(f"preemptor_task_preemptor_{job}")
        for victim in victims or ():
            if not victim.is_ending:
                self._stats.count(f"preemptor_tasks_preempted_{_kind(victim.kind.tier)}")
                self._stats.count(f"preemptor_tasks_preempted_{keys.canonical(victim.kind.config.job)}")


def _is_on_agent(task: ScheduledTask | None) -> bool:
    return task is not None and task.status in SLAVE_ASSIGNED_STATES


def _kind(tier: Tier) -> str:
    return "non_prod" if tier.preemptible else "prod"
