"""What an update does next, from what is stored about it and its tasks alone (updates sheet, section 6).

There is no updater to lose: whose turn it was, who is done and who failed is read off the instance events, failures
off the ended tasks. So a pause, a restart or a new leader changes nothing, and an evaluation may be repeated freely.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus
from aurorad.api.tasks import ScheduledTask, TaskConfig
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdateDetails, JobUpdateEvent
from aurorad.rules.updates.instances import Step, Verdict, active_one, failures, verdict
from aurorad.rules.updates.plan import Plan

AUTO_PAUSED: Final = "Update auto paused"


class _Words(NamedTuple):
    """What things are called on the way there, or on the way back."""

    started: JobUpdateAction
    done: JobUpdateAction
    failed: JobUpdateAction
    succeeded: JobUpdateStatus


_FORWARD: Final = _Words(
    JobUpdateAction.INSTANCE_UPDATING,
    JobUpdateAction.INSTANCE_UPDATED,
    JobUpdateAction.INSTANCE_UPDATE_FAILED,
    JobUpdateStatus.ROLLED_FORWARD,
)
_BACK: Final = _Words(
    JobUpdateAction.INSTANCE_ROLLING_BACK,
    JobUpdateAction.INSTANCE_ROLLED_BACK,
    JobUpdateAction.INSTANCE_ROLLBACK_FAILED,
    JobUpdateStatus.ROLLED_BACK,
)


@dataclasses.dataclass
class Outcome:
    """What to write down and do, in this order, in one transaction."""

    events: list[tuple[int, JobUpdateAction]] = dataclasses.field(default_factory=list)
    status: JobUpdateStatus | None = None
    """The status to enter; nothing is killed or added then."""
    message: str | None = None
    kills: list[str] = dataclasses.field(default_factory=list)
    adds: dict[int, TaskConfig] = dataclasses.field(default_factory=dict)
    wake_ms: int | None = None
    """Wall-clock time at which to evaluate again even if nothing happens before."""


def evaluate(plan: Plan, details: JobUpdateDetails, tasks: Iterable[ScheduledTask], now_ms: int) -> Outcome:
    """The next step of an update that is rolling, given all `tasks` of its job, ended ones too."""
    status = details.update_events[-1].status
    if status is JobUpdateStatus.ROLLING_FORWARD:
        return _Evaluation(plan, details, tasks, now_ms, forward=True).run()
    if status is JobUpdateStatus.ROLLING_BACK:
        return _Evaluation(plan, details, tasks, now_ms, forward=False).run()
    raise AssertionError(f"an update in {status.name} was evaluated: {details.update.summary.key}")


class _Evaluation:
    def __init__(
        self, plan: Plan, details: JobUpdateDetails, tasks: Iterable[ScheduledTask], now_ms: int, forward: bool
    ) -> None:
        self._plan = plan
        self._events = details.update_events
        self._forward = forward
        self._words = _FORWARD if forward else _BACK
        self._targets = plan.targets(forward)
        self._now_ms = now_ms
        self._progress = _Progress.of(self._words, details.instance_events)
        self._tasks = _by_instance(tasks)
        self._outcome = Outcome()

    def run(self) -> Outcome:
        self._go_on_with_those_started()
        if self._too_many_failed() or not self._plan.strategy.has_room(len(self._progress.working)):
            return self._outcome
        idle = [i for i in self._plan.in_order(self._forward) if self._needs_a_turn(i)]
        if not idle and not self._progress.working:
            self._end(self._words.succeeded)
            return self._outcome
        group = idle[: self._group_size(len(idle))]
        if group and self._pauses_before_a_group():
            self._end(JobUpdateStatus.ROLL_FORWARD_PAUSED, AUTO_PAUSED)
            return self._outcome
        for instance in group:
            self._outcome.events.append((instance, self._words.started))
            self._act(instance, self._verdict(instance))
        return self._outcome

    def _go_on_with_those_started(self) -> None:
        for instance, since_ms in list(self._progress.working.items()):
            found = self._verdict(instance, since_ms)
            if found.step in (Step.DONE, Step.FAILED):
                action = self._words.done if found.step is Step.DONE else self._words.failed
                self._outcome.events.append((instance, action))
                self._progress.note(self._words, instance, action, self._now_ms)
            else:
                self._act(instance, found)

    def _too_many_failed(self) -> bool:
        settings = self._plan.settings
        if len(self._progress.failed) <= settings.max_failed_instances:
            return False
        back = self._forward and settings.rollback_on_failure
        latest = list(self._progress.failed)[-1]
        self._end(
            JobUpdateStatus.ROLLING_BACK if back else JobUpdateStatus.FAILED,
            f"Latest failure: instance {latest} exited.",
        )
        return True

    def _needs_a_turn(self, instance: int) -> bool:
        """Not started yet, nor where it shall be already (nothing is written down about such an instance)."""
        return not self._progress.had_turn(instance) and self._verdict(instance).step is not Step.DONE

    def _group_size(self, idle: int) -> int:
        return self._plan.strategy.group_size(
            idle=idle,
            active=len(self._progress.working),
            started=self._progress.started,
            forward=self._forward,
        )

    def _pauses_before_a_group(self) -> bool:
        """Whether fewer pauses were made than groups: every group but the first waits for someone to resume."""
        if not self._forward or not self._plan.strategy.autopause:
            return False
        pauses = sum(is_auto_pause(event) for event in self._events)
        return pauses < self._plan.strategy.groups_started(self._progress.started)

    def _verdict(self, instance: int, since_ms: int | None = None) -> Verdict:
        """`since_ms`: when the instance had its turn, if it had."""
        target = self._targets.get(instance)
        tasks = self._tasks.get(instance, ())
        failed = failures(target, tasks, since_ms) if since_ms is not None else 0
        return verdict(target, active_one(tasks), failed, self._plan.settings, self._now_ms)

    def _act(self, instance: int, found: Verdict) -> None:
        if found.step is Step.KILL:
            killed = active_one(self._tasks[instance])
            assert killed is not None, f"instance {instance} has nothing to kill"
            self._outcome.kills.append(killed.assigned_task.task_id)
        elif found.step is Step.ADD:
            self._outcome.adds[instance] = self._targets[instance]
        elif found.until_ms is not None:
            self._outcome.wake_ms = min(found.until_ms, self._outcome.wake_ms or found.until_ms)

    def _end(self, status: JobUpdateStatus, message: str | None = None) -> None:
        """Leave the present status: what is in flight goes on by itself, nothing new is begun."""
        self._outcome = Outcome(self._outcome.events, status, message)


@dataclasses.dataclass
class _Progress:
    """Who had a turn on this way, and what became of it; `working` says since when."""

    working: dict[int, int] = dataclasses.field(default_factory=dict)
    done: set[int] = dataclasses.field(default_factory=set)
    failed: dict[int, None] = dataclasses.field(default_factory=dict)

    @staticmethod
    def of(words: _Words, events: Sequence[JobInstanceUpdateEvent]) -> _Progress:
        progress = _Progress()
        for event in events:
            progress.note(words, event.instance_id, event.action, event.timestamp_ms)
        return progress

    def note(self, words: _Words, instance: int, action: JobUpdateAction, at_ms: int) -> None:
        if action is words.started:
            if not self.had_turn(instance):
                self.working[instance] = at_ms
        elif action is words.done:
            self.working.pop(instance, None)
            self.done.add(instance)
        elif action is words.failed:
            self.working.pop(instance, None)
            self.failed[instance] = None

    def had_turn(self, instance: int) -> bool:
        return instance in self.working or instance in self.done or instance in self.failed

    @property
    def started(self) -> int:
        return len(self.working) + len(self.done) + len(self.failed)


def is_auto_pause(event: JobUpdateEvent) -> bool:
    """Whether the update paused itself; a person's pause carries the person's name."""
    return event.status is JobUpdateStatus.ROLL_FORWARD_PAUSED and event.user is None and event.message == AUTO_PAUSED


def _by_instance(tasks: Iterable[ScheduledTask]) -> Mapping[int, list[ScheduledTask]]:
    found: dict[int, list[ScheduledTask]] = {}
    for task in tasks:
        found.setdefault(task.assigned_task.instance_id, []).append(task)
    return found
