"""What a call would do, without doing it: the very checks of the call, and the rules of placing on hosts as they are.

Only calls that bring new tasks are planned: createJob and startJobUpdate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
import trio

from aurorad.api import keys
from aurorad.api.calls import Call, CreateJob, StartJobUpdate
from aurorad.api.enums import ACTIVE_STATES, ResponseCode
from aurorad.api.tasks import JobKey, TaskConfig
from aurorad.pace import Pace
from aurorad.rules import resources
from aurorad.rules.explain import Explanation, hosts
from aurorad.rules.matching import Request
from aurorad.rules.resources import Amounts, Types
from aurorad.rules.updates import requests
from aurorad.rules.updates.plan import Plan as UpdatePlan
from aurorad.rules.updates.waiting import ranges
from aurorad.scheduler.explaining import Explainer
from aurorad.scheduler.rpc.answers import Refused
from aurorad.scheduler.rpc.jobs import JobCalls
from aurorad.scheduler.rpc.updates import UpdateCalls
from aurorad.scheduler.updater import refuse_while_updating
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction


class Fit(msgspec.Struct, frozen=True, rename="camel"):
    """`fitting` of `instances` find a place now, on `hosts` hosts; `explanation` is for those that would wait."""

    instances: int
    fitting: int
    hosts: int
    explanation: Explanation | None = None


class Plan(msgspec.Struct, frozen=True, rename="camel"):
    """`code` is what the call would answer; `changes` are instances, as ``0-2, 5``, by what becomes of them."""

    method: str
    job: str
    code: str
    sentences: tuple[str, ...]
    changes: Mapping[str, str] = {}
    fit: Fit | None = None


class _Move(NamedTuple):
    """An instance that gets a new task, or ends; `ends` is the host of its present one and its configuration."""

    instance: int
    begins: bool
    ends: tuple[str, TaskConfig] | None = None


class Plans:
    """Plans calls; nothing it does can be seen from outside."""

    def __init__(self, *, storage: Storage, jobs: JobCalls, updates: UpdateCalls, explainer: Explainer) -> None:
        self._storage = storage
        self._jobs = jobs
        self._updates = updates
        self._explainer = explainer

    async def plan(self, call: Call, user: str) -> Plan:
        """Raises `ValueError` for a call of another kind."""
        try:
            match call:
                case CreateJob():
                    return await self._create(call)
                case StartJobUpdate():
                    return await self._update(call, user)
        except Refused as refusal:
            text = str(refusal) or "The job key is not valid, or part of the request is missing."
            return Plan(call.method(), "", refusal.code.name, (text,))
        raise ValueError(f"{call.method()} cannot be planned: createJob or startJobUpdate was expected")

    async def _create(self, call: CreateJob) -> Plan:
        job = self._jobs.admitted(call)
        rehearsal = Transaction(self._storage.tables)
        try:
            self._jobs.create(rehearsal, job)
        finally:
            rehearsal.revert()
        config, count = job.task_config, job.instance_count
        moves = [_Move(instance, begins=True) for instance in range(count)]
        fit, sentences = await self._fit(config, moves)
        return Plan(
            call.method(),
            keys.canonical(config.job),
            ResponseCode.OK.name,
            (f"{keys.canonical(config.job)} would be created with {_instances(count)}.", *sentences),
            {"add": ranges(range(count))},
            fit,
        )

    async def _update(self, call: StartJobUpdate, user: str) -> Plan:
        order, tables = self._updates.admitted(call), self._storage.tables
        path = keys.canonical(order.config.job)
        changes = self._updates.changes(tables, order)
        update = self._updates.proposed(tables, order, changes, user)
        await trio.lowlevel.checkpoint()  # each of these parts takes its time for a large job
        both = changes.replaced.keys() & changes.replacements.keys()
        told = {
            "add": changes.replacements.keys() - both,
            "remove": changes.replaced.keys() - both,
            "update": both,
            "unchanged": changes.unchanged.keys(),
        }
        await trio.lowlevel.checkpoint()
        named = {what: ranges(instances) for what, instances in told.items() if instances}
        if update is None:
            return Plan(call.method(), path, ResponseCode.OK.name, (requests.UNCHANGED,), named)
        refuse_while_updating(tables, order.config.job)
        plan = UpdatePlan.of(update.instructions)
        places = self._places(order.config.job)
        await trio.lowlevel.checkpoint()
        moves = [_Move(i, i in plan.desired, places.get(i) if i in plan.initial else None) for i in plan.order]
        fit, sentences = await self._fit(order.config, moves)
        summary = "; ".join(f"{what} {instances}" for what, instances in named.items())
        return Plan(
            call.method(), path, ResponseCode.OK.name, (f"{path} would be updated: {summary}.", *sentences), named, fit
        )

    def _places(self, job: JobKey) -> dict[int, tuple[str, TaskConfig]]:
        """Where the instances of a job are, as far as they have an agent."""
        active = (task.assigned_task for task in self._storage.tables.job_tasks(job, ACTIVE_STATES))
        return {task.instance_id: (task.slave_host, task.task) for task in active if task.slave_host is not None}

    async def _fit(self, config: TaskConfig, moves: Iterable[_Move]) -> tuple[Fit, tuple[str, ...]]:
        """Whether all of `moves`, one after the other, find a place."""
        request, pace = self._explainer.request(config), Pace()
        trial = await self._explainer.trial(request)
        wanted, waiting, used = 0, 0, set()
        for move in moves:
            if move.ends is not None:
                host, old = move.ends
                trial.free(host, _freed(self._explainer.request(old), request, self._explainer.revocable_types))
            if move.begins:
                wanted += 1
                found = trial.place()
                if found is None:
                    waiting += 1
                else:
                    used.add(found)
            await pace.breathe()
        fitting = wanted - waiting
        if not wanted:
            return Fit(0, 0, 0), ()
        if not waiting:
            every = "It fits" if wanted == 1 else f"All {wanted} fit"
            return Fit(wanted, wanted, len(used)), (f"{every} now, on {hosts(len(used))}.",)
        explanation = (await self._explainer.survey(request, trial)).explanation()
        some = f"{fitting} of {wanted} fit now, on {hosts(len(used))}; " if fitting else ""
        would = f"{some}{waiting if some else _instances(waiting)} would have to wait."
        displaced = await self._explainer.displaced(request)
        return (
            Fit(wanted, fitting, len(used), explanation),
            (would, *explanation.sentences, *displaced),
        )


def _freed(old: Request, new: Request, types: Types) -> Amounts:
    """What the end of an `old` task leaves that a `new` one can use."""
    return old.allocated if old.revocable is new.revocable else resources.without(old.allocated, types)


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"
