"""Finds offers for pending tasks and launches them (scheduling sheet, 1 to 4).

Groups of pending tasks are asked at once when they appear, and again when an offer arrives or a task of their job
ends; beside that, ever more seldom, in case something was overlooked. Tasks are matched inside the write that assigns
them, so nothing can have changed in between, and are launched after the log has it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Iterable
from typing import TypeGuard

import trio

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig, TaskQuery
from aurorad.engine.base import Engine, Offer, Resource, TaskInfo
from aurorad.flags import Flags
from aurorad.rules import matching, resources, throttling
from aurorad.rules.matching import Census, Host, Verdict
from aurorad.rules.resources import Bag
from aurorad.rules.task_info import task_info
from aurorad.scheduler.groups import Group, PendingGroup, Search
from aurorad.scheduler.offers import HeldOffer, Offers
from aurorad.scheduler.reservations import Reservations
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import RETRY_S, write_patiently
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

LONGEST_WRITE_S = 0.02
"""What is left goes into the next write, after others had their turn: nothing may hold the loop for 50 ms."""

REFUSE_S = 0.0
"""What launched tasks leave of an offer is wanted back at once."""

REPLACED_WITHIN_S = 0.5
"""An engine that takes an offer back to make a larger one does so at once."""

LAUNCH_FAILED = "Unknown exception attempting to schedule task."


class _Claim:
    """What one write takes from one offer."""

    def __init__(self, held: HeldOffer) -> None:
        self.held = held
        self.left = held.offer.resources
        self.tasks: list[TaskInfo] = []


class _Write:
    """What one write has done so far."""

    def __init__(self, tx: Transaction, unavailable_before_ms: int) -> None:
        self.tx = tx
        self.unavailable_before_ms = unavailable_before_ms
        self.claims: dict[int, _Claim] = {}
        self._until = trio.current_time() + LONGEST_WRITE_S
        self._censuses: dict[JobKey, dict[tuple[str, str], int]] = {}

    @property
    def is_long(self) -> bool:
        return trio.current_time() >= self._until

    def left_of(self, held: HeldOffer) -> tuple[Resource, ...]:
        claim = self.claims.get(held.number)
        return claim.left if claim is not None else held.offer.resources

    def available(self, held: HeldOffer, revocable: bool) -> Bag:
        if held.number in self.claims:
            return resources.bag_of_offer(self.left_of(held), revocable)
        return held.revocable_bag if revocable else held.bag

    def census(self, job: JobKey) -> Census:
        """Where the tasks of a job are, counted when first asked for and kept up to date."""
        census = self._censuses.get(job)
        if census is None:
            hosts = self.tx.tables.hosts
            tasks = self.tx.tables.job_tasks(job, SLAVE_ASSIGNED_STATES)
            places = [hosts.get(task.assigned_task.slave_host or "") for task in tasks]
            census = matching.census_of(host.attributes for host in places if host is not None)
            self._censuses[job] = census
        return census

    def claim(self, held: HeldOffer, info: TaskInfo, job: JobKey, left: tuple[Resource, ...]) -> None:
        claim = self.claims.setdefault(held.number, _Claim(held))
        claim.left = left
        claim.tasks.append(info)
        if job in self._censuses:
            matching.count_in(self._censuses[job], held.values)


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
        revocable_tiers: frozenset[str],
        reservations: Reservations,
    ) -> None:
        self._storage = storage
        self._engine = engine
        self._states = states
        self._offers = offers
        self._flags = flags
        self._stats = stats
        self._rng = rng
        self._now_ms = now_ms
        self._revocable_tiers = revocable_tiers
        self._reservations = reservations
        self._groups: dict[TaskConfig, Group] = {}
        self._by_job: dict[JobKey, dict[TaskConfig, None]] = {}
        self._ready: dict[TaskConfig, None] = {}
        self._wake = trio.Event()
        self._retries: Timers[TaskConfig] = Timers()
        offers.arrived = self._offers_arrived
        stats.declare(
            "schedule_attempts_fired",
            "schedule_attempts_no_match",
            "assigner_launch_failures",
            "veto_evaluated_offers",
            *[f"scheduling_veto_{name}" for name in ("static", "dynamic", "mixed")],
            *[f"scheduling_veto_{type_.value}" for type_ in matching.VetoType],
        )

    def reason(self, task: ScheduledTask) -> str:
        """Why a PENDING task waits: the vetoes of the nearest fit, joined by commas; empty if nothing is known yet."""
        group = self._groups.get(task.assigned_task.task)
        return ",".join(group.reasons()) if group is not None else ""

    def groups(self) -> Collection[Group]:
        """Every group, with its tasks first come first."""
        return self._groups.values()

    def waiting(self) -> tuple[PendingGroup, ...]:
        """All groups of pending tasks."""
        return tuple(group.shown() for group in self._groups.values() if group.queue)

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        if _is_pending(change.before) and not _is_pending(change.after):
            self._remove(change.before)
        if _is_pending(change.after):
            self._add(change.after)
        if _is_on_agent(change.before) and not _is_on_agent(change.after):
            for config in self._by_job.get(change.before.assigned_task.task.job, ()):
                if self._groups[config].depends_on_job:
                    self._ask_all(config)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._place_for_ever)
            nursery.start_soon(self._retry)

    async def _place_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(self._flags.first_schedule_delay)
            while self._ready:
                await trio.lowlevel.checkpoint()  # a write that changes nothing is none
                try:
                    claims = await self._storage.write(self._place)
                except LogFull:
                    await trio.sleep(RETRY_S)
                    self._start_over()
                else:
                    await self._launch_all(claims)

    async def _retry(self) -> None:
        while True:
            for config in await self._retries.due():
                self._ask_all(config)

    def _add(self, task: ScheduledTask) -> None:
        config = task.assigned_task.task
        group = self._groups.get(config)
        if group is None:
            group = Group(
                matching.request_of(
                    config,
                    self._flags.thermos_executor_cpu,
                    self._flags.thermos_executor_ram / (1 << 20),
                    config.tier in self._revocable_tiers,
                )
            )
            self._groups[config] = group
            self._by_job.setdefault(config.job, {})[config] = None
            self._make_ready(config)
        group.queue[task.assigned_task.task_id] = None

    def _remove(self, task: ScheduledTask) -> None:
        group = self._groups.get(task.assigned_task.task)
        if group is not None:
            group.queue.pop(task.assigned_task.task_id, None)
            if not group.queue:
                self._drop(group)

    def _drop(self, group: Group) -> None:
        config = group.config
        del self._groups[config]
        configs = self._by_job[config.job]
        del configs[config]
        if not configs:
            del self._by_job[config.job]
        self._ready.pop(config, None)
        self._retries.cancel(config)

    def _start_over(self) -> None:
        """Nothing of the last write has happened."""
        for group in list(self._groups.values()):
            self._drop(group)
        for task in self._storage.tables.tasks(TaskQuery(statuses=frozenset({ScheduleStatus.PENDING}))):
            self._add(task)

    def _make_ready(self, config: TaskConfig) -> None:
        self._ready[config] = None
        self._wake.set()

    def _ask_all(self, config: TaskConfig) -> None:
        group = self._groups.get(config)
        if group is not None:
            group.wants_all = True
            self._make_ready(config)

    def _offers_arrived(self) -> None:
        for config in self._groups:
            self._make_ready(config)

    def _place(self, tx: Transaction) -> list[_Claim]:
        """Place what can be placed, a few tasks of each group in turn, until nothing is left or it takes too long."""
        write = _Write(tx, self._now_ms() + round(self._flags.unavailability_threshold * 1000))
        while self._ready and not write.is_long:
            config = next(iter(self._ready))
            del self._ready[config]
            if self._place_some(write, self._groups[config]):
                self._ready[config] = None
        return list(write.claims.values())

    def _place_some(self, write: _Write, group: Group) -> bool:
        """Try the first few tasks of a group; whether there is anything left to try."""
        pending = self._next_tasks(write.tx, group)
        if not pending:
            self._drop(group)
            return False
        self._stats.count("schedule_attempts_fired", len(pending))
        search = group.begin(self._offers)
        while pending:
            if write.is_long:
                return True
            held = search.next()
            if held is None:
                self._stats.count("schedule_attempts_no_match", len(pending))
                return self._wait(group, search)
            agent_id = held.offer.agent_id
            if self._reservations and self._reservations.pick(agent_id, group.config, group.queue) is None:
                continue
            if self._offers.holds(held.number) and not self._judge(write, group, held):
                self._assign(write, group, held, pending.pop(0))
                search.again(held)
        group.penalty_ms = 0
        return True

    def _wait(self, group: Group, search: Search) -> bool:
        """Every offer was asked in vain: try all of them again later. True if there are others by now."""
        group.finish()
        if search.asked_all or not group.penalty_ms:
            initial_ms = round(self._flags.initial_schedule_penalty * 1000)
            max_ms = round(self._flags.max_schedule_penalty * 1000)
            group.penalty_ms = throttling.next_backoff(group.penalty_ms, initial_ms, max_ms, self._rng)
            self._stats.count("scheduled_task_penalty_ms_total", group.penalty_ms)
            self._stats.count("scheduled_task_penalty_events")
            self._retries.set(group.config, group.penalty_ms / 1000)
        return group.wants_all or self._offers.latest_number > search.latest_number

    def _next_tasks(self, tx: Transaction, group: Group) -> list[ScheduledTask]:
        """The first of the queue that are still PENDING; what no longer is leaves the queue."""
        pending: list[ScheduledTask] = []
        gone: list[str] = []
        for task_id in group.queue:
            task = tx.tables.task(task_id)
            if task is None or task.status is not ScheduleStatus.PENDING:
                gone.append(task_id)
            else:
                pending.append(task)
                if len(pending) == self._flags.max_tasks_per_schedule_attempt:
                    break
        for task_id in gone:
            del group.queue[task_id]
        return pending

    def _judge(self, write: _Write, group: Group, held: HeldOffer) -> Verdict:
        """Why the offer cannot take one more task of the group; noted there, too."""
        request = group.request
        stored = write.tx.tables.hosts.get(held.offer.hostname)
        mode = (stored.mode if stored is not None else None) or MaintenanceMode.NONE
        verdict = matching.judge(
            request,
            write.available(held, request.revocable),
            Host(held.values, mode, held.offer.unavailability_start_ms),
            write.census(group.config.job) if request.limits else {},
            write.unavailable_before_ms,
        )
        self._stats.count("veto_evaluated_offers")
        if verdict:
            group.note(held, verdict, lasting=held.number not in write.claims)
            self._stats.count(f"scheduling_veto_{'static' if matching.is_static(verdict) else 'dynamic'}")
            for veto in verdict:
                self._stats.count(f"scheduling_veto_{veto.type.value}")
        return verdict

    def _assign(self, write: _Write, group: Group, held: HeldOffer, task: ScheduledTask) -> None:
        request, offer, left = group.request, held.offer, write.left_of(held)
        ports = resources.pick_ports(left, request.ports, self._rng)
        own, left = resources.take(left, request.task, ports.values(), request.revocable)
        overhead, left = resources.take(left, request.allocated_overhead, (), request.revocable)
        assigned = self._states.assign(
            write.tx, task.assigned_task.task_id, offer.hostname, offer.agent_id, ports
        ).assigned_task
        write.claim(held, task_info(assigned, offer.agent_id, own, overhead), assigned.task.job, left)

    async def _launch_all(self, claims: list[_Claim]) -> None:
        """Tasks that were killed before they could be launched are left out; offers that went away fail theirs."""
        for claim in claims:
            infos = self._still_assigned(claim.tasks)
            if not infos:
                self._offers.renew(claim.held.number)  # others left it alone, for it was claimed
                continue
            offer = await self._take(claim.held, infos)
            if offer is not None:
                await self._engine.launch(offer.id, self._still_assigned(infos), REFUSE_S)
            else:
                await write_patiently(self._storage, functools.partial(self._fail, infos))

    async def _take(self, claimed: HeldOffer, infos: tuple[TaskInfo, ...]) -> Offer | None:
        """The claimed offer, or if it went while the log was written, the one that took its place and has as much."""
        if self._offers.take(claimed.number):
            return claimed.offer
        wanted = [part for info in infos for part in (*info.resources, *info.executor_resources)]
        with trio.move_on_after(REPLACED_WITHIN_S):
            held = await self._offers.of_agent(claimed.offer.agent_id)
            if resources.covers(held.offer.resources, wanted) and self._offers.take(held.number):
                return held.offer
        return None

    def _still_assigned(self, infos: Iterable[TaskInfo]) -> tuple[TaskInfo, ...]:
        tasks = [(info, self._storage.tables.task(info.task_id)) for info in infos]
        return tuple(info for info, task in tasks if task is not None and task.status is ScheduleStatus.ASSIGNED)

    def _fail(self, infos: tuple[TaskInfo, ...], tx: Transaction) -> None:
        for info in infos:
            self._stats.count("assigner_launch_failures")
            self._states.change_state(
                tx, info.task_id, ScheduleStatus.LOST, LAUNCH_FAILED, expected=ScheduleStatus.ASSIGNED
            )


def _is_pending(task: ScheduledTask | None) -> TypeGuard[ScheduledTask]:
    return task is not None and task.status is ScheduleStatus.PENDING


def _is_on_agent(task: ScheduledTask | None) -> TypeGuard[ScheduledTask]:
    return task is not None and task.status in SLAVE_ASSIGNED_STATES
