"""Rolling updates, driven: control requests change an update's status, one loop takes its next step (updates sheet).

The updater holds no truth of its own: every step is decided by `rules.updates.evaluation` from the tables and written
in one transaction. All it remembers is what to look at next, when, and the time of the last pulse.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

import trio

from aurorad.api import keys
from aurorad.api.enums import JobUpdateAction, JobUpdatePulseStatus, JobUpdateStatus, ScheduleStatus
from aurorad.api.results import Result, StartJobUpdateResult
from aurorad.api.text import render
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdate, JobUpdateDetails, JobUpdateEvent, JobUpdateKey
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules.job_diff import by_config
from aurorad.rules.updates import pulses, transitions
from aurorad.rules.updates.evaluation import Outcome, evaluate
from aurorad.rules.updates.history import prunable
from aurorad.rules.updates.instances import may_matter
from aurorad.rules.updates.plan import Plan
from aurorad.rules.updates.transitions import IllegalTransition
from aurorad.scheduler.limits import active_update
from aurorad.scheduler.rpc.answers import Refused
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import StorageEvent, TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_log = logging.getLogger(__name__)


class Updater:
    """Requests (`start`, `pause` and so on) run inside a caller's transaction; `run` does the work they ask for."""

    def __init__(
        self, storage: Storage, states: StateManager, now_ms: Callable[[], int], stats: Vars, flags: Flags
    ) -> None:
        self._storage = storage
        self._states = states
        self._now_ms = now_ms
        self._stats = stats
        self._flags = flags
        self._due: dict[JobUpdateKey, None] = {}
        self._alarms: dict[JobUpdateKey, float] = {}
        self._wake = trio.Event()
        self._plans: dict[JobUpdateKey, Plan] = {}
        self._pulses_ms: dict[JobUpdateKey, int] = {}
        stats.declare(
            *(f"update_transition_{status.name}" for status in JobUpdateStatus),
            *(f"update_instance_transition_{action.name}" for action in JobUpdateAction),
            "job_updates_pruned",
        )

    def start(self, tx: Transaction, update: JobUpdate, user: str, message: str | None) -> None:
        """Store a new update and set it going.

        Raises `Refused`: with the running update if the job has one already, or for what is not there yet.
        """
        key = update.summary.key
        running = active_update(tx.tables, key.job)
        if running is not None:
            raise Refused(
                transitions.ACTIVE_UPDATE_EXISTS,
                result=Result(
                    start_job_update_result=StartJobUpdateResult(
                        running.update.summary.key, update_summary=running.update.summary
                    )
                ),
            )
        if update.instructions.settings.sla_aware:
            raise Refused("Updates with slaAware are not supported yet.")
        tx.save_job_update(update)
        first = JobUpdateStatus.ROLLING_FORWARD
        if update.instructions.settings.block_if_no_pulses_after_ms > 0:
            first = transitions.blocked(first)
        self._enter(tx, key, first, user, message)

    def pause(self, tx: Transaction, key: JobUpdateKey, user: str, message: str | None) -> bool:
        """Whether anything changed: not if it is paused already.

        Raises `Refused`, like `resume`, `abort` and `rollback`, for an unknown update or one that cannot go there.
        """
        status = _status(_existing(tx, key))
        return self._request(tx, key, status, transitions.paused(status), user, message)

    def resume(self, tx: Transaction, key: JobUpdateKey, user: str, message: str | None) -> bool:
        details = _existing(tx, key, "Update does not exist: ")
        status = _status(details)
        return self._request(tx, key, status, transitions.resumed(status, self._pulse_expired(details)), user, message)

    def abort(self, tx: Transaction, key: JobUpdateKey, user: str, message: str | None) -> bool:
        return self._request(tx, key, _status(_existing(tx, key)), JobUpdateStatus.ABORTED, user, message)

    def rollback(self, tx: Transaction, key: JobUpdateKey, user: str, message: str | None) -> bool:
        return self._request(tx, key, _status(_existing(tx, key)), JobUpdateStatus.ROLLING_BACK, user, message)

    def pulse(self, tx: Transaction, key: JobUpdateKey) -> JobUpdatePulseStatus:
        """Note a sign of life from outside; an update that waited for it rolls on."""
        details = tx.tables.updates.get(key)
        if details is None or _status(details) not in transitions.ACTIVE or not _is_coordinated(details):
            return JobUpdatePulseStatus.FINISHED
        self._pulses_ms[key] = self._now_ms()
        rolling = transitions.unblocked(_status(details))
        if rolling is not None:
            self._enter(tx, key, rolling)
        return JobUpdatePulseStatus.OK

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take up every rolling update where it stands, and keep them going until cancelled.

        Cancelled at any point it loses nothing: whoever runs next decides from the same tables.
        """
        async with trio.open_nursery() as nursery:
            # From here on nothing goes unheard; what happened before is in the tables.
            nursery.start_soon(self._listen, self._storage.subscribe())
            for key, details in self._storage.tables.updates.items():
                if _status(details) in transitions.ROLLING:
                    self._mark(key)
            nursery.start_soon(self._prune_for_ever)
            task_status.started()
            await self._step_for_ever()

    def _request(
        self,
        tx: Transaction,
        key: JobUpdateKey,
        current: JobUpdateStatus,
        target: JobUpdateStatus | None,
        user: str,
        message: str | None,
    ) -> bool:
        try:
            entered = transitions.step(current, target)
        except IllegalTransition as wrong:
            raise Refused(str(wrong)) from None
        if entered is not None:
            self._enter(tx, key, entered, user, message)
        return entered is not None

    def _enter(
        self,
        tx: Transaction,
        key: JobUpdateKey,
        status: JobUpdateStatus,
        user: str | None = None,
        message: str | None = None,
    ) -> None:
        """Record the new status; the loop acts on it."""
        events = tx.tables.updates[key].update_events
        # Events are sorted by time: a clock that was set back must not put the new status before the old one.
        at_ms = max(self._now_ms(), events[-1].timestamp_ms if events else 0)
        tx.save_job_update_event(key, JobUpdateEvent(status, at_ms, user, message))
        self._stats.count(f"update_transition_{status.name}")
        _log.info("update %s of %s: %s", key.id, keys.canonical(key.job), status.name)
        self._mark(key)

    def _mark(self, key: JobUpdateKey) -> None:
        """Have the loop look at this update. Doing so once too often is harmless."""
        self._due[key] = None
        self._wake.set()

    async def _listen(self, changes: trio.MemoryReceiveChannel[Sequence[StorageEvent]]) -> None:
        pace = Pace()
        with changes:
            async for events in changes:
                for event in events:
                    if isinstance(event, TaskChanged) and may_matter(event.after):
                        self._heard(event)
                        await pace.breathe()

    def _heard(self, event: TaskChanged) -> None:
        task = event.after or event.before
        assert task is not None, "a task changed from nothing to nothing"
        running = active_update(self._storage.tables, task.assigned_task.task.job)
        if running is not None and _status(running) in transitions.ROLLING:
            self._mark(running.update.summary.key)

    async def _step_for_ever(self) -> None:
        while True:
            with trio.move_on_at(min(self._alarms.values(), default=math.inf)):
                await self._wake.wait()
            self._wake = trio.Event()
            now = trio.current_time()
            rung = [key for key, at in self._alarms.items() if at <= now]
            due, self._due = self._due, {}
            for key in {**due, **dict.fromkeys(rung)}:
                self._alarms.pop(key, None)
                await self._step(key)

    async def _step(self, key: JobUpdateKey) -> None:
        wake_ms = await write_patiently(self._storage, partial(self._take_step, key=key))
        if wake_ms is not None:
            self._alarms[key] = trio.current_time() + max(0, wake_ms - self._now_ms()) / 1000

    def _take_step(self, tx: Transaction, key: JobUpdateKey) -> int | None:
        """One evaluation with all that it brings about; when to look again (wall clock, ms), if at a certain time."""
        details = tx.tables.updates.get(key)
        if details is None or _status(details) not in transitions.ROLLING:
            self._forget_if_ended(key, details)
            return None
        if self._pulse_expired(details):
            self._enter(tx, key, transitions.blocked(_status(details)), message=pulses.TIMED_OUT)
            return None
        try:
            plan = self._plans.get(key) or Plan.of(details.update.instructions)
        except ValueError as unfit:
            self._enter(tx, key, JobUpdateStatus.ERROR, message=f"Internal scheduler error: {unfit}")
            return None
        self._plans[key] = plan
        outcome = evaluate(plan, details, tx.tables.job_tasks(key.job), self._now_ms())
        self._carry_out(tx, key, outcome)
        expiry_ms = pulses.expiry_ms(details, self._pulses_ms.get(key))
        return min((at for at in (outcome.wake_ms, expiry_ms) if at is not None), default=None)

    def _carry_out(self, tx: Transaction, key: JobUpdateKey, outcome: Outcome) -> None:
        for instance, action in outcome.events:
            self._record(tx, key, instance, action)
        if outcome.status is not None:
            self._enter(tx, key, outcome.status, message=outcome.message)
        for task_id in outcome.kills:
            self._states.change_state(tx, task_id, ScheduleStatus.KILLING, f"Killed for job update {key.id}")
        for config, instances in by_config(outcome.adds).items():
            self._states.insert_pending(tx, config, instances)

    def _record(self, tx: Transaction, key: JobUpdateKey, instance: int, action: JobUpdateAction) -> None:
        events = tx.tables.updates[key].instance_events
        at_ms = max(self._now_ms(), events[-1].timestamp_ms if events else 0)
        tx.save_job_instance_update_event(key, JobInstanceUpdateEvent(instance, at_ms, action))
        self._stats.count(f"update_instance_transition_{action.name}")

    def _forget_if_ended(self, key: JobUpdateKey, details: JobUpdateDetails | None) -> None:
        if details is None or _status(details) not in transitions.ACTIVE:
            self._plans.pop(key, None)
            self._pulses_ms.pop(key, None)

    def _pulse_expired(self, details: JobUpdateDetails) -> bool:
        expiry_ms = pulses.expiry_ms(details, self._pulses_ms.get(details.update.summary.key))
        return expiry_ms is not None and self._now_ms() >= expiry_ms

    async def _prune_for_ever(self) -> None:
        while True:
            await trio.sleep(self._flags.job_update_history_pruning_interval)
            pruned = await write_patiently(self._storage, self._prune)
            self._stats.count("job_updates_pruned", pruned)

    def _prune(self, tx: Transaction) -> int:
        ended = prunable(
            (details.update.summary for details in tx.tables.updates.values()),
            has_tasks=lambda job: bool(tx.tables.job_tasks(job)),
            created_before_ms=self._now_ms() - round(self._flags.job_update_history_pruning_threshold * 1000),
            per_job=self._flags.job_update_history_per_job_threshold,
        )
        tx.remove_job_updates(ended)
        return len(ended)


def _status(details: JobUpdateDetails) -> JobUpdateStatus:
    return details.update_events[-1].status


def _existing(tx: Transaction, key: JobUpdateKey, text: str = "Update does not exist ") -> JobUpdateDetails:
    details = tx.tables.updates.get(key)
    if details is None:
        raise Refused(text + render(key))
    return details


def _is_coordinated(details: JobUpdateDetails) -> bool:
    return details.update.instructions.settings.block_if_no_pulses_after_ms > 0
