"""Rolling updates, driven: control requests change an update's status, one loop takes its next step (updates sheet).

The updater holds no truth of its own: every step is decided by `rules.updates.evaluation` from the tables, and steps of
all updates that are due are written in one transaction. All it remembers is what to look at next, when, and the time of
the last pulse.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import trio

from aurorad.api import keys
from aurorad.api.enums import JobUpdateAction, JobUpdatePulseStatus, JobUpdateStatus, ScheduleStatus
from aurorad.api.results import Result, StartJobUpdateResult
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.api.text import render
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdate, JobUpdateDetails, JobUpdateEvent, JobUpdateKey
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules.job_diff import by_config
from aurorad.rules.updates import pulses, transitions
from aurorad.rules.updates.evaluation import Course, Kill, Outcome, words_of
from aurorad.rules.updates.history import prunable
from aurorad.rules.updates.instances import may_matter
from aurorad.rules.updates.plan import Plan
from aurorad.rules.updates.transitions import IllegalTransition
from aurorad.scheduler.limits import active_update
from aurorad.scheduler.promised_kills import CHECKING, PASSED, PromisedKills, SlaCheck, Wish
from aurorad.scheduler.rpc.answers import Refused
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import RETRY_S, write_patiently
from aurorad.storage.events import StorageEvent, TaskChanged
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_log = logging.getLogger(__name__)

STEP_SIZE = 100
"""About how many things one update does before others have their turn."""

PRUNED_AT_ONCE = 1000
"""Updates removed in one write, lest it hold the loop."""

LOOK_AGAIN_S = 60.0
"""Who waits for a time looks at the wall clock at least this often: it may have been behind, and be set right."""

LONGEST_WRITE_S = 0.02
"""What is left goes into the next write: nothing may hold the loop for 50 ms."""


class Updater:
    """Requests (`start`, `pause` and so on) run inside a caller's transaction; `run` does the work they ask for."""

    def __init__(
        self,
        storage: Storage,
        states: StateManager,
        now_ms: Callable[[], int],
        stats: Vars,
        flags: Flags,
        *,
        sla: SlaCheck,
        rng: random.Random,
        keep_place: Callable[[ScheduledTask, TaskConfig], None] = lambda *_: None,
    ) -> None:
        """`keep_place` is told of each task killed to be replaced, and by what: its agent may be kept for that."""
        self._storage = storage
        self._states = states
        self._now_ms = now_ms
        self._stats = stats
        self._flags = flags
        self._due: dict[JobUpdateKey, None] = {}
        self._keep_place = keep_place
        self._promised = PromisedKills(
            storage=storage, sla=sla, grant=self._grant, granted=self._has_gone, flags=flags, stats=stats, rng=rng
        )
        self._alarms: Timers[JobUpdateKey] = Timers()
        self._wake = trio.Event()
        self._courses: dict[JobUpdateKey, Course] = {}
        self._refusals = storage.refusals
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
        refuse_while_updating(tx.tables, key.job)
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

    @property
    def objections(self) -> Mapping[str, str]:
        """Why tasks that updates want to end may not go yet, by task id."""
        return self._promised.objections

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take up every rolling update where it stands, and keep them going until cancelled.

        Cancelled at any point it loses nothing: whoever runs next decides from the same tables.
        """
        async with trio.open_nursery() as nursery:
            # From here on nothing goes unheard; what happened before is in the tables.
            nursery.start_soon(self._listen, self._storage.subscribe())
            self._mark_rolling()
            nursery.start_soon(self._prune_for_ever)
            nursery.start_soon(self._promised.run)
            nursery.start_soon(self._heed_alarms)
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
        self._courses.pop(key, None)
        self._stats.count(f"update_transition_{status.name}")
        _log.info("update %s of %s: %s", key.id, keys.canonical(key.job), status.name)
        self._mark(key)

    def _mark(self, key: JobUpdateKey) -> None:
        """Have the loop look at this update. Doing so once too often is harmless."""
        self._due[key] = None
        self._wake.set()

    def _mark_rolling(self) -> None:
        for key, details in self._storage.tables.updates.items():
            if _status(details) in transitions.ROLLING:
                self._mark(key)

    async def _listen(self, changes: trio.MemoryReceiveChannel[Sequence[StorageEvent]]) -> None:
        pace = Pace()
        with changes:
            async for events in changes:
                for event in events:
                    if isinstance(event, TaskChanged):
                        self._heard(event)
                        await pace.breathe()

    def _heard(self, change: TaskChanged) -> None:
        task = change.after or change.before
        assert task is not None, "a task changed from nothing to nothing"
        for details in self._storage.tables.job_updates(task.assigned_task.task.job):
            if _status(details) in transitions.ROLLING:
                key = details.update.summary.key
                if key in self._courses:
                    self._courses[key].note(task.assigned_task.instance_id)
                if may_matter(change.after):
                    self._mark(key)

    async def _heed_alarms(self) -> None:
        while True:
            for key in await self._alarms.due():
                self._mark(key)

    async def _step_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._due:
                await trio.lowlevel.checkpoint()  # a write that changes nothing is none
                try:
                    wishes = await self._storage.write(self._take_steps)
                except LogFull:
                    await trio.sleep(RETRY_S)
                    self._mark_rolling()
                else:
                    for wish in wishes:
                        self._follow_up(wish)

    def _take_steps(self, tx: Transaction) -> list[Wish]:
        """One step of each update that is due, one after the other until it takes too long; whom they killed, or would.

        A kill that keeps a promise is only wished for.
        """
        if self._refusals != self._storage.refusals:  # what courses were told may not be true
            self._refusals = self._storage.refusals
            self._courses.clear()
        until = trio.current_time() + LONGEST_WRITE_S
        wishes: list[Wish] = []
        while self._due and trio.current_time() < until:
            key = next(iter(self._due))
            del self._due[key]
            wishes += self._take_step(tx, key)
        return wishes

    def _take_step(self, tx: Transaction, key: JobUpdateKey) -> list[Wish]:
        """One evaluation with all that it brings about."""
        details = tx.tables.updates.get(key)
        if details is None or _status(details) not in transitions.ROLLING:
            if details is None or _status(details) not in transitions.ACTIVE:
                self._pulses_ms.pop(key, None)
            return []
        if self._pulse_expired(details):
            self._enter(tx, key, transitions.blocked(_status(details)), message=pulses.TIMED_OUT)
            return []
        try:
            course = self._courses.get(key) or self._new_course(tx.tables, details)
        except ValueError as unfit:
            self._enter(tx, key, JobUpdateStatus.ERROR, message=f"Internal scheduler error: {unfit}")
            return []
        self._courses[key] = course
        outcome = course.advance(self._now_ms(), STEP_SIZE)
        self._carry_out(tx, details, outcome)
        if outcome.has_more:
            self._mark(key)
        self._set_alarm(key, outcome.wake_ms, pulses.expiry_ms(details, self._pulses_ms.get(key)))
        return [Wish(key, course.status, kill) for kill in outcome.kills]

    def _new_course(self, tables: Tables, details: JobUpdateDetails) -> Course:
        """Raises `ValueError` for an update that cannot be followed."""
        job = details.update.summary.key.job
        plan = Plan.of(details.update.instructions)
        return Course(plan, details, lambda instance: tables.instance_tasks(job, (instance,)))

    def _set_alarm(self, key: JobUpdateKey, *times_ms: int | None) -> None:
        earliest_ms = min((at_ms for at_ms in times_ms if at_ms is not None), default=None)
        if earliest_ms is None:
            self._alarms.cancel(key)
        else:
            self._alarms.set(key, min(LOOK_AGAIN_S, (earliest_ms - self._now_ms()) / 1000))

    def _carry_out(self, tx: Transaction, details: JobUpdateDetails, outcome: Outcome) -> None:
        key, started = details.update.summary.key, words_of(_status(details)).started
        self._record(tx, key, [(instance, action, None) for instance, action in outcome.events], outcome.after_ms + 1)
        if outcome.status is not None:
            self._enter(tx, key, outcome.status, message=outcome.message)
        new = {instance for instance, action in outcome.events if action is started}
        checked = [
            (kill.instance, started, CHECKING)
            for kill in outcome.kills
            if kill.policy is not None and (kill.instance in new or not _is_checked(details, kill.instance, started))
        ]
        self._record(tx, key, checked)
        for kill in outcome.kills:
            if kill.policy is None:
                self._kill(tx, key, kill)
        for config, instances in by_config(outcome.adds).items():
            self._states.insert_pending(tx, config, instances)

    def _follow_up(self, wish: Wish) -> None:
        """What must not happen before the step is in the log."""
        if wish.kill.policy is None:
            self._has_gone(wish)
        else:
            self._promised.ask(wish)

    def _grant(self, tx: Transaction, wish: Wish) -> None:
        self._record(tx, wish.update, [(wish.kill.instance, words_of(wish.status).started, PASSED)])
        self._kill(tx, wish.update, wish.kill)

    def _kill(self, tx: Transaction, key: JobUpdateKey, kill: Kill) -> None:
        self._states.change_state(tx, kill.task_id, ScheduleStatus.KILLING, f"Killed for job update {key.id}")

    def _has_gone(self, wish: Wish) -> None:
        """Its place may be kept for its successor."""
        task = self._storage.tables.task(wish.kill.task_id)
        if task is not None and wish.kill.replacement is not None:
            self._keep_place(task, wish.kill.replacement)

    def _record(
        self,
        tx: Transaction,
        key: JobUpdateKey,
        events: Sequence[tuple[int, JobUpdateAction, str | None]],
        not_before_ms: int = 0,
    ) -> None:
        before = tx.tables.updates[key].instance_events
        at_ms = max(self._now_ms(), before[-1].timestamp_ms if before else 0, not_before_ms)
        tx.save_job_instance_update_events(
            key, [JobInstanceUpdateEvent(instance, at_ms, action, message) for instance, action, message in events]
        )
        for _, action, _ in events:
            self._stats.count(f"update_instance_transition_{action.name}")

    def _pulse_expired(self, details: JobUpdateDetails) -> bool:
        expiry_ms = pulses.expiry_ms(details, self._pulses_ms.get(details.update.summary.key))
        return expiry_ms is not None and self._now_ms() >= expiry_ms

    async def _prune_for_ever(self) -> None:
        while True:
            await trio.sleep(self._flags.job_update_history_pruning_interval)
            await self._prune()

    async def _prune(self) -> None:
        """One job after the other, for there may be very many updates; what has ended meanwhile stays so."""
        tables, pace = self._storage.tables, Pace()
        created_before_ms = self._now_ms() - round(self._flags.job_update_history_pruning_threshold * 1000)
        ended: list[JobUpdateKey] = []
        for job in tables.updated_jobs():
            ended += prunable(
                (details.update.summary for details in tables.job_updates(job)),
                has_tasks=lambda job: job in tables.job_keys(),
                created_before_ms=created_before_ms,
                per_job=self._flags.job_update_history_per_job_threshold,
            )
            await pace.breathe()
        for start in range(0, len(ended), PRUNED_AT_ONCE):
            some = ended[start : start + PRUNED_AT_ONCE]
            await write_patiently(self._storage, partial(_forget, some))
            self._stats.count("job_updates_pruned", len(some))


def _forget(ended: Sequence[JobUpdateKey], tx: Transaction) -> None:
    tx.remove_job_updates(ended)


def _status(details: JobUpdateDetails) -> JobUpdateStatus:
    return details.update_events[-1].status


def _existing(tx: Transaction, key: JobUpdateKey, text: str = "Update does not exist ") -> JobUpdateDetails:
    details = tx.tables.updates.get(key)
    if details is None:
        raise Refused(text + render(key))
    return details


def refuse_while_updating(tables: Tables, job: JobKey) -> None:
    """Raises `Refused`, with the running update, if the job has one."""
    running = active_update(tables, job)
    if running is not None:
        summary = running.update.summary
        result = Result(start_job_update_result=StartJobUpdateResult(summary.key, update_summary=summary))
        raise Refused(transitions.ACTIVE_UPDATE_EXISTS, result=result)


def _is_checked(details: JobUpdateDetails, instance: int, action: JobUpdateAction) -> bool:
    """Whether it was said already that the instance waits until it may go."""
    return any(
        event.instance_id == instance and event.action is action and event.message == CHECKING
        for event in details.instance_events
    )


def _is_coordinated(details: JobUpdateDetails) -> bool:
    return details.update.instructions.settings.block_if_no_pulses_after_ms > 0
