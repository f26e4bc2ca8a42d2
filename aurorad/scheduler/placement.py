"""Finds offers for pending tasks (scheduling sheet, 1 to 4).

Groups of pending tasks are asked at once when they appear, and again when an offer arrives that fits or a task of
their job ends; beside that, ever more seldom, in case something was overlooked. Tasks are matched inside the write that
assigns them, so nothing can have changed in between, and are launched after the log has it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from typing import Protocol, TypeGuard

import trio

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskConfig, TaskQuery
from aurorad.engine.base import Engine
from aurorad.flags import Flags
from aurorad.pace import Pace, give_way
from aurorad.rules import matching, resources, throttling
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.matching import Request
from aurorad.scheduler.candidates import Candidates
from aurorad.scheduler.claims import Claim
from aurorad.scheduler.groups import Group, PendingGroup
from aurorad.scheduler.launching import Launcher
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.ordered import HeldOffer
from aurorad.scheduler.permits import Permits
from aurorad.scheduler.shared import SharedCandidates
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.waiting import Waiting
from aurorad.scheduler.writing import LONGEST_WRITE_S, RETRY_S
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_WOKEN = 16
"""Groups that an offer wakes of all that wait for the same."""

_MOST_REQUESTS = 1024
"""Of configurations that may be met again."""

_IN_SERVICE = frozenset({None, MaintenanceMode.NONE, MaintenanceMode.SCHEDULED})


class Reservations(Protocol):
    """Agents that are kept for some tasks."""

    def __bool__(self) -> bool:
        """Whether there are any at all."""

    def pick(self, agent_id: str, config: TaskConfig, task_ids: Iterable[str]) -> str | None:
        """Which of these tasks, all PENDING and of one configuration, may go there; the first of them, if it may."""


class _Write:
    """What one write has done so far."""

    def __init__(self, tx: Transaction, most_attempts: int | None) -> None:
        self.tx = tx
        self.claims: dict[int, Claim] = {}
        self.attempts_left = most_attempts if most_attempts is not None else -1
        self._hears_until = trio.current_time() + LONGEST_WRITE_S / 3
        self._until = trio.current_time() + LONGEST_WRITE_S

    def has_heard_enough(self) -> bool:
        """So that there is time left to place what can be placed."""
        return trio.current_time() >= self._hears_until

    def is_late(self) -> bool:
        return trio.current_time() >= self._until


class Placement:
    """Keeps the groups of pending tasks; they are made anew from the tables at the start and after a refused write."""

    def __init__(
        self,
        *,
        storage: Storage,
        engine: Engine,
        states: StateManager,
        offers: Offers,
        flags: Flags,
        stats: Vars,
        rng: random.Random,
        now_ms: Callable[[], int],
        executors: ExecutorSettings,
        revocable_tiers: frozenset[str],
        reservations: Reservations | None = None,
    ) -> None:
        self._storage = storage
        self._states = states
        self._offers = offers
        self._flags = flags
        self._stats = stats
        self._rng = rng
        self._now_ms = now_ms
        self._executors = executors
        self._revocable_tiers = revocable_tiers
        self._reservations = reservations
        self._launcher = Launcher(
            storage=storage, engine=engine, states=states, offers=offers, executors=executors, stats=stats
        )
        self._permits = Permits(flags.max_schedule_attempts_per_sec)
        self._requests: dict[TaskConfig, Request] = {}
        self._refusals = 0
        self._wake = trio.Event()
        self._retries: Timers[TaskConfig] = Timers()
        self._forget_all()
        offers.arrived = self._offers_arrived
        offers.demand.is_needed = self._needs_offers
        stats.declare(
            "schedule_attempts_fired",
            "schedule_attempts_no_match",
            "schedule_attempts_blocks",
            "veto_evaluated_offers",
            *[f"scheduling_veto_{name}" for name in ("static", "dynamic", "mixed")],
            *[f"scheduling_veto_{type_.value}" for type_ in matching.VetoType],
            *[f"TaskGroupBatchWorker_{what}_processed" for what in ("items", "batches")],
        )
        stats.declare_sliding("scheduled_task_penalty", "ms")
        stats.declare_sliding("TaskGroupBatchWorker_batch_locked", "nanos")
        stats.gauge("TaskGroupBatchWorker_queue_size", lambda: len(self._ready))

    def _forget_all(self) -> None:
        self._groups: dict[TaskConfig, Group] = {}
        self._ready: dict[TaskConfig, None] = {}
        self._waiting = Waiting()
        self._unheard: dict[Candidates, None] = {}
        self._heard_number = 0
        self._shared = SharedCandidates(
            lambda: self._storage.tables, self._offers, self._stats, self._unavailable_before_ms
        )
        self._retries.clear()

    def reason(self, task: ScheduledTask) -> str:
        """Why a PENDING task waits: the vetoes of the nearest fit, joined by commas; empty if nothing is known yet."""
        group = self._groups.get(task.assigned_task.task)
        return ",".join(group.reasons()) if group is not None else ""

    def waiting(self) -> tuple[PendingGroup, ...]:
        """All groups of pending tasks, as they are shown."""
        return tuple(group.shown() for group in self._groups.values() if group.queue)

    def groups(self) -> Collection[Group]:
        """All groups of pending tasks."""
        return self._groups.values()

    def ask_again(self, config: TaskConfig) -> None:
        """Have the tasks of a configuration, if any wait, tried once more."""
        group = self._groups.get(config)
        if group is not None:
            self._make_ready(group)

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        if _is_pending(change.before) and not _is_pending(change.after):
            self._remove(change.before)
        if _is_pending(change.after):
            self._add(change.after)
        if _is_on_agent(change.before) and not _is_on_agent(change.after):
            self._left(change.before)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._place_for_ever)
            nursery.start_soon(self._retry)

    async def _place_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(self._flags.first_schedule_delay)
            await self.place()
            while self._ready:
                await give_way()
                if not self._permits.has_any():
                    self._stats.count("schedule_attempts_blocks")
                await self._permits.wait()
                await self.place()

    async def place(self) -> None:
        """One write that places what it can within its time, and the launches that follow from it."""
        if self._storage.refusals != self._refusals:
            await self._start_over()
        try:
            claims = await self._storage.write(self._place)
        except LogFull:
            await trio.sleep(RETRY_S)
            await self._start_over()
        else:
            await self._launcher.launch(claims)

    async def _retry(self) -> None:
        while True:
            for config in await self._retries.due():
                self.ask_again(config)

    def _add(self, task: ScheduledTask) -> None:
        config = task.assigned_task.task
        group = self._groups.get(config)
        if group is None:
            request = self._request(config)
            group = self._groups[config] = Group(request, self._shared.acquire(request))
            self._make_ready(group)
            self._offers.demand.arose()
        group.queue[task.assigned_task.task_id] = None

    def _request(self, config: TaskConfig) -> Request:
        request = self._requests.get(config)
        if request is None:
            if len(self._requests) >= _MOST_REQUESTS:
                self._requests.clear()
            request = self._requests[config] = matching.request_of(
                config, self._executors, config.tier in self._revocable_tiers
            )
        return request

    def _remove(self, task: ScheduledTask) -> None:
        group = self._groups.get(task.assigned_task.task)
        if group is not None:
            group.queue.pop(task.assigned_task.task_id, None)
            if not group.queue:
                self._drop(group)

    def _drop(self, group: Group) -> None:
        del self._groups[group.config]
        self._ready.pop(group.config, None)
        self._waiting.remove(group)
        self._retries.cancel(group.config)
        self._make_some_ready(group.candidates, 1)  # what it was woken for may be of use to the next
        self._shared.release(group.candidates)

    def _left(self, task: ScheduledTask) -> None:
        """A task is on its agent no more: limits of its job may have room."""
        for candidates in self._shared.of_job(task.assigned_task.task.job):
            assert candidates.census is not None, "a limit needs a census"
            places = candidates.census.left(task.assigned_task.task_id)
            if candidates.fewer_at(places):
                self._make_some_ready(candidates)

    async def _start_over(self) -> None:
        """Writes were undone: what is known of the tasks may not be true."""
        self._refusals = self._storage.refusals
        self._forget_all()
        pace = Pace()
        for task in self._storage.tables.tasks(TaskQuery(statuses=frozenset({ScheduleStatus.PENDING}))):
            self._add(task)
            await pace.breathe()

    def _make_ready(self, group: Group) -> None:
        group.next_round(self._offers.latest_number)
        self._waiting.remove(group)
        self._ready[group.config] = None
        self._wake.set()

    def _make_some_ready(self, candidates: Candidates, count: int = _WOKEN) -> None:
        """Wake some of those who wait for the same; whoever has success wakes the next.

        What is kept for one of them is of no use to the first: then all of them are woken.
        """
        for group in self._waiting.first(candidates, None if self._reservations else count):
            self._make_ready(group)

    def _offers_arrived(self) -> None:
        if self._waiting:  # others will see for themselves
            self._wake.set()

    def _needs_offers(self) -> bool:
        """Whom an agent is kept for will soon be waiting."""
        return bool(self._groups) or bool(self._reservations)

    def _unavailable_before_ms(self) -> int:
        return self._now_ms() + round(self._flags.unavailability_threshold * 1000)

    def _place(self, tx: Transaction) -> list[Claim]:
        """Place what can be placed, a few tasks of each group in turn, until nothing is left or it takes too long."""
        began = trio.current_time()
        write = _Write(tx, self._flags.scheduling_max_batch_size)
        self._hear_of_arrivals(write)
        while self._ready and not write.is_late() and write.attempts_left and self._permits.take():
            write.attempts_left -= 1
            self._stats.count("TaskGroupBatchWorker_items_processed")
            config = next(iter(self._ready))
            del self._ready[config]
            if self._attempt(write, self._groups[config]):
                self._ready[config] = None
        self._stats.count("TaskGroupBatchWorker_batches_processed")
        self._stats.observe("TaskGroupBatchWorker_batch_locked", trio.current_time() - began)
        return list(write.claims.values())

    def _hear_of_arrivals(self, write: _Write) -> None:
        """Wake those who wait for offers like those that arrived."""
        if self._heard_number != self._offers.latest_number:
            self._heard_number = self._offers.latest_number
            self._unheard.update(dict.fromkeys(self._waiting.candidates()))  # behind those whose turn had not come
        while self._unheard:
            candidates = next(iter(self._unheard))
            if write.has_heard_enough() or not candidates.catch_up(write.has_heard_enough):
                self._wake.set()
                return
            del self._unheard[candidates]
            candidates.tell()
            if candidates.take_news():
                self._make_some_ready(candidates)

    def _attempt(self, write: _Write, group: Group) -> bool:
        """Try the first few tasks of a group; whether there is anything left to try."""
        task_ids = self._next_tasks(write.tx, group)
        if not task_ids:
            self._drop(group)
            return False
        self._stats.count("schedule_attempts_fired", len(task_ids))
        waiting = len(group.queue)
        is_caught_up = group.candidates.catch_up(write.is_late)
        is_unfinished = not is_caught_up or self._search(write, group, len(task_ids))
        group.candidates.tell()
        if len(group.queue) < waiting:
            self._make_some_ready(group.candidates, 1)
        if not group.queue:
            self._drop(group)
        return is_unfinished and bool(group.queue)

    def _search(self, write: _Write, group: Group, count: int) -> bool:
        """Place so many tasks of a group, if there are offers for them; whether there is anything left to try."""
        candidates = group.candidates
        while True:
            for held in candidates.walk(group.order, write.is_late):
                if held.mode is not MaintenanceMode.NONE and group.has_placed and held.order[:1] > group.order[:1]:
                    break  # hosts that are out of service soon come when the others have no room
                group.order = held.order
                if held.number <= group.latest_number and self._use(write, group, held):
                    group.penalty_ms = 0
                    count -= 1
                    if not count:
                        return True
            if write.is_late():
                return True
            if not group.next_round(self._offers.latest_number) and not candidates.reopen():
                self._stats.count("schedule_attempts_no_match", count)
                self._wait(group)
                return False

    def _wait(self, group: Group) -> None:
        """Every offer was asked in vain: the next that fits wakes the group, or the end of a penalty."""
        self._waiting.add(group)
        initial_ms = round(self._flags.initial_schedule_penalty * 1000)
        max_ms = round(self._flags.max_schedule_penalty * 1000)
        group.penalty_ms = throttling.next_backoff(group.penalty_ms, initial_ms, max_ms, self._rng)
        self._stats.slide("scheduled_task_penalty", "ms", group.penalty_ms)
        self._retries.set(group.config, group.penalty_ms / 1000)

    def _next_tasks(self, tx: Transaction, group: Group) -> list[str]:
        """The first of the queue that are still PENDING; what no longer is leaves the queue."""
        pending: list[str] = []
        gone: list[str] = []
        for task_id in group.queue:
            if _is_pending(tx.tables.task(task_id)):
                pending.append(task_id)
                if len(pending) == self._flags.max_tasks_per_schedule_attempt:
                    break
            else:
                gone.append(task_id)
        for task_id in gone:
            del group.queue[task_id]
        return pending

    def _use(self, write: _Write, group: Group, held: HeldOffer) -> bool:
        """Place the next task of a group by a candidate, if it still is one."""
        task_id = self._allowed(write.tx, group, held)
        if task_id is None or not group.candidates.still_fits(held):
            return False
        request, offer = group.request, held.offer
        claim = write.claims.get(held.number)
        if claim is not None:
            left = claim.amounts(request.revocable)
            if not resources.suffices(left, request.amounts):
                group.candidates.note(held, matching.shortages(request.amounts, left))
                return False
        else:
            claim = write.claims[held.number] = Claim(held)
        claimed = claim.take(task_id, request, group.candidates.parts, self._rng)
        self._states.assign(write.tx, task_id, offer.hostname, offer.agent_id, claimed.ports)
        del group.queue[task_id]
        group.has_placed = True
        for candidates in self._shared.of_job(group.config.job):
            assert candidates.census is not None, "a limit needs a census"
            candidates.census.came(task_id, held.values)
        return True

    def _allowed(self, tx: Transaction, group: Group, held: HeldOffer) -> str | None:
        """Which task of the group may go to the host of an offer."""
        host = tx.tables.hosts.get(held.offer.hostname)
        if host is not None and host.mode not in _IN_SERVICE:
            return None
        if not self._reservations:
            return next(iter(group.queue))
        pending = (task_id for task_id in group.queue if _is_pending(tx.tables.task(task_id)))
        return self._reservations.pick(held.offer.agent_id, group.config, pending)


def _is_pending(task: ScheduledTask | None) -> TypeGuard[ScheduledTask]:
    return task is not None and task.status is ScheduleStatus.PENDING


def _is_on_agent(task: ScheduledTask | None) -> TypeGuard[ScheduledTask]:
    return task is not None and task.status in SLAVE_ASSIGNED_STATES
