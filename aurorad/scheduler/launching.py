"""Launches what was placed, after the log has it."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskConfig
from aurorad.engine.base import Engine, TaskInfo
from aurorad.pace import Pace
from aurorad.rules import resources
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.task_info import Template, task_info, template_of
from aurorad.scheduler.claims import Claim
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

REFUSE_S = 0.0
"""What launched tasks leave of an offer is wanted back at once."""

REPLACED_WITHIN_S = 0.5
"""An engine that takes an offer back to make a larger one does so at once."""

LAUNCH_FAILED = "Unknown exception attempting to schedule task."

_MOST_TEMPLATES = 1024


class Launcher:
    """Uses up claimed offers. Tasks that were killed meanwhile are left out; offers that went away fail theirs."""

    def __init__(
        self,
        *,
        storage: Storage,
        engine: Engine,
        states: StateManager,
        offers: Offers,
        executors: ExecutorSettings,
        stats: Vars,
    ) -> None:
        self._storage = storage
        self._engine = engine
        self._states = states
        self._offers = offers
        self._executors = executors
        self._stats = stats
        self._templates: dict[TaskConfig, Template] = {}
        stats.declare("assigner_launch_failures")

    async def launch(self, claims: Sequence[Claim]) -> None:
        pace = Pace()
        gone: list[Claim] = []
        for claim in claims:
            infos = self._infos(claim)
            if not infos:
                self._offers.renew(claim.held.number)  # others left it alone, for it was claimed
            elif self._offers.take(claim.held.number):
                await self._engine.launch(claim.held.offer.id, infos, REFUSE_S)
            else:
                gone.append(claim)
            await pace.breathe()
        if gone:
            async with trio.open_nursery() as nursery:
                for claim in gone:
                    nursery.start_soon(self._launch_elsewhere, claim)

    async def _launch_elsewhere(self, claim: Claim) -> None:
        """The offer went while the log was written: use the one that takes its place, if it has as much."""
        with trio.move_on_after(REPLACED_WITHIN_S):
            held = await self._offers.of_agent(claim.held.offer.agent_id)
            infos = self._infos(claim)
            wanted = [part for info in infos for part in (*info.resources, *info.executor_resources)]
            if not infos:
                return
            if resources.covers(held.offer.resources, wanted) and self._offers.take(held.number):
                with trio.CancelScope(shield=True):  # from the time limit: it was met
                    await self._engine.launch(held.offer.id, infos, REFUSE_S)
                return
        await write_patiently(self._storage, lambda tx: self._fail(tx, claim))

    def _fail(self, tx: Transaction, claim: Claim) -> None:
        for claimed in claim.tasks:
            self._stats.count("assigner_launch_failures")
            self._states.change_state(
                tx, claimed.task_id, ScheduleStatus.LOST, LAUNCH_FAILED, expected=ScheduleStatus.ASSIGNED
            )

    def _infos(self, claim: Claim) -> tuple[TaskInfo, ...]:
        agent_id = claim.held.offer.agent_id
        infos: list[TaskInfo] = []
        for claimed in claim.tasks:
            task = self._storage.tables.task(claimed.task_id)
            if task is not None and task.status is ScheduleStatus.ASSIGNED:
                template = self._template(task)
                infos.append(task_info(template, task.assigned_task, agent_id, claimed.task, claimed.executor))
        return tuple(infos)

    def _template(self, task: ScheduledTask) -> Template:
        config = task.assigned_task.task
        template = self._templates.get(config)
        if template is None:
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            template = self._templates[config] = template_of(config, self._executors)
        return template
