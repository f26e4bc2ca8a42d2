"""Gathers what `rules.explain` needs: why a job's tasks wait, and what would become of tasks that do not exist yet.

Nothing here changes anything. What is told was true in the course of the answer, in pieces that let others run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import trio

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_STATES, SLAVE_ASSIGNED_STATES, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import explain, matching, preemption
from aurorad.rules.explain import Explanation, Survey
from aurorad.rules.matching import Host, Request
from aurorad.rules.task_states import last_change_ms
from aurorad.rules.trial import Place, Trial
from aurorad.rules.updates import waiting
from aurorad.scheduler.agents_view import AgentsView
from aurorad.scheduler.limits import active_update, revocable_types
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.slots import SlotSearch, Wanted
from aurorad.storage.tables import Tables

_VICTIMS_TOLD = 5

REMEMBERED_S = 2.0
"""How old what hosts say may be: pages are looked at by many, and 10,000 hosts take 0.1 s to ask."""

MOST_GROUPS = 20
"""Of a job's waiting tasks, by configuration and state: a page need not hold more."""


class Waiting(msgspec.Struct, frozen=True, rename="camel"):
    """Instances that wait for the same; `hosts` is what hosts say to those that wait for one."""

    instances: str
    status: str
    since_ms: int
    sentences: tuple[str, ...]
    hosts: Explanation | None = None


class JobExplanation(msgspec.Struct, frozen=True, rename="camel"):
    """`instances` counts them by state; `update` says what the update that is under way waits for."""

    job: str
    instances: Mapping[str, int]
    sentences: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    update: tuple[str, ...] = ()


class _Answer(NamedTuple):
    at_s: float
    hosts: Explanation
    displaced: tuple[str, ...]


class Explainer:
    """`objections` tell why tasks that an update wants to end may not go yet."""

    def __init__(
        self,
        *,
        tables: Tables,
        offers: Offers,
        agents: AgentsView,
        objections: Callable[[], Mapping[str, str]],
        penalty_ms: Callable[[Tables, ScheduledTask], int],
        flags: Flags,
        now_ms: Callable[[], int],
    ) -> None:
        self._tables = tables
        self._offers = offers
        self._agents = agents
        self._objections = objections
        self._penalty_ms = penalty_ms
        self._flags = flags
        self._now_ms = now_ms
        self.revocable_types = revocable_types(flags)
        self._recent: dict[TaskConfig, _Answer] = {}

    async def job(self, job: JobKey, instances: frozenset[int] = frozenset()) -> JobExplanation:
        """Why instances of a job wait: those named, or all of them."""
        active = [
            task
            for task in self._tables.job_tasks(job, ACTIVE_STATES)
            if not instances or task.assigned_task.instance_id in instances
        ]
        counts: dict[str, int] = {}
        groups: dict[tuple[TaskConfig, ScheduleStatus], list[ScheduledTask]] = {}
        for task in active:
            counts[task.status.name] = counts.get(task.status.name, 0) + 1
            if task.status in (ScheduleStatus.PENDING, ScheduleStatus.THROTTLED):
                groups.setdefault((task.assigned_task.task, task.status), []).append(task)
        found = [await self._group(tasks) for tasks in list(groups.values())[:MOST_GROUPS]]
        return JobExplanation(
            job=keys.canonical(job),
            instances=counts,
            sentences=_summary(active, groups.values()),
            waiting=tuple(found),
            update=self.update(job),
        )

    def update(self, job: JobKey) -> tuple[str, ...]:
        """What the job's update waits for; nothing if there is none."""
        details = active_update(self._tables, job)
        if details is None:
            return ()
        return (
            f"Update {details.update.summary.key.id} is {details.update_events[-1].status.name}.",
            *waiting.waits_for(
                details, lambda i: self._tables.instance_tasks(job, (i,)), self._objections(), self._now_ms()
            ),
        )

    async def survey(self, request: Request, after: Trial | None = None) -> Survey:
        """What every host says that offers something, or offers nothing for what it runs: now, or after a trial."""
        census = self._census(request) if after is None else after.census
        survey = Survey(request, census, self._unavailable_before_ms())
        pace = Pace()
        for place in self._places(request) if after is None else after.left():
            survey.see(place.name, place.host, place.available)
            await pace.breathe()
        return survey

    async def trial(self, request: Request) -> Trial:
        """Of placing such tasks on the hosts as they are now."""
        await self._offers.at_hand()
        places, pace = [], Pace()
        for place in self._places(request):
            places.append(place)
            await pace.breathe()
        return Trial(request, places, self._census(request), self._unavailable_before_ms())

    def _census(self, request: Request) -> dict[tuple[str, str], int]:
        return self._agents.census(request.config.job) if request.limits else {}

    def _places(self, request: Request) -> Iterator[Place]:
        """Each host with what it has for such a request."""
        offered = set()
        for held in self._offers.ordered():
            offered.add(held.offer.hostname)
            host = Host(held.values, held.mode, held.offer.unavailability_start_ms)
            yield Place(held.offer.hostname, host, held.revocable_bag if request.revocable else held.bag)
        for row in list(self._tables.hosts.values()):
            if row.host not in offered and self._runs_anything(row.host):
                mode = row.mode or MaintenanceMode.NONE
                yield Place(row.host, Host(matching.values_of(row.attributes), mode), {})

    def request(self, config: TaskConfig) -> Request:
        return self._agents.victims.request(config)

    async def displaced(self, request: Request) -> tuple[str, ...]:
        """Sentences on whom preemption would end for one more task; none if it is turned off."""
        if not self._flags.enable_preemptor:
            return ()
        await self._agents.refresh()
        tier = self._agents.victims.tier_of(request.config)
        found = await SlotSearch(self._agents).find([Wanted(request, tier, 1)], 1)
        load = self._agents.victims.on(found[0][1][0]) if found[0][1] else None
        if load is None:
            return ("No other task may be displaced for it.",)
        room = self._agents.room(load.agent_id)
        victims = preemption.choose_victims(request, tier, load.victims.values(), room)
        names = [self._name(victim.task_id) for victim in victims]
        more = [f"{len(names) - _VICTIMS_TOLD} more"] if len(names) > _VICTIMS_TOLD else []
        delay_s = self._flags.preemption_delay
        return (
            f"After waiting for {delay_s:g} s it may displace {explain.and_([*names[:_VICTIMS_TOLD], *more])} "
            f"on {load.hostname}.",
        )

    async def _group(self, tasks: Sequence[ScheduledTask]) -> Waiting:
        first = tasks[0]
        numbers = [task.assigned_task.instance_id for task in tasks]
        since_ms = min(map(last_change_ms, tasks))
        if first.status is ScheduleStatus.THROTTLED:
            wait_s = round(min(self._penalty_ms(self._tables, task) for task in tasks) / 1000)
            words = f"Ended too soon, again and again: the next attempt comes in {wait_s} s."
            return Waiting(waiting.ranges(numbers), first.status.name, since_ms, (words,))
        hosts, displaced = await self._remembered(first.assigned_task.task)
        return Waiting(waiting.ranges(numbers), first.status.name, since_ms, (*hosts.sentences, *displaced), hosts)

    async def _remembered(self, config: TaskConfig) -> tuple[Explanation, tuple[str, ...]]:
        """What hosts say to such a task, and whom it may displace; not asked anew at each look at a page."""
        now = trio.current_time()
        self._recent = {known: answer for known, answer in self._recent.items() if answer.at_s > now - REMEMBERED_S}
        answer = self._recent.get(config)
        if answer is None:
            request = self.request(config)
            hosts = (await self.survey(request)).explanation()
            displaced = await self.displaced(request) if not hosts.fitting else ()
            answer = self._recent[config] = _Answer(now, hosts, displaced)
        return answer.hosts, answer.displaced

    def _runs_anything(self, host: str) -> bool:
        return any(task.status in SLAVE_ASSIGNED_STATES for task in self._tables.host_tasks(host))

    def _name(self, task_id: str) -> str:
        task = self._tables.task(task_id)
        if task is None:
            return task_id
        assigned = task.assigned_task
        return f"{keys.canonical(assigned.task.job)}/{assigned.instance_id}"

    def _unavailable_before_ms(self) -> int:
        return self._now_ms() + round(self._flags.unavailability_threshold * 1000)


def _summary(active: Sequence[ScheduledTask], waiting_tasks: Iterable[Sequence[ScheduledTask]]) -> tuple[str, ...]:
    count = sum(map(len, waiting_tasks))
    if not active:
        return ("No instance is active.",)
    if not count:
        return (f"Nothing waits for a host: {len(active)} active.",)
    return (f"{count} of {len(active)} active instances wait.",)
