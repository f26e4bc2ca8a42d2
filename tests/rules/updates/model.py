"""One step of an update decided the plain way: by looking at every instance, each time (updates sheet, section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.api.updates import JobUpdateDetails
from aurorad.rules.updates.evaluation import (
    AUTO_PAUSED,
    BACK,
    FORWARD,
    Kill,
    Outcome,
    Progress,
    is_auto_pause,
)
from aurorad.rules.updates.instances import Step, Verdict, active_one, failures, verdict
from aurorad.rules.updates.plan import Plan


def step(plan: Plan, details: JobUpdateDetails, tasks: Iterable[ScheduledTask], now_ms: int) -> Outcome:
    forward = details.update_events[-1].status is JobUpdateStatus.ROLLING_FORWARD
    return _Evaluation(plan, details, tasks, now_ms, forward).run()


class _Evaluation:
    def __init__(
        self, plan: Plan, details: JobUpdateDetails, tasks: Iterable[ScheduledTask], now_ms: int, forward: bool
    ) -> None:
        self._plan = plan
        self._events = details.update_events
        self._forward = forward
        self._words = FORWARD if forward else BACK
        self._targets = plan.targets(forward)
        self._now_ms = now_ms
        self._progress = Progress.of(self._words, details.instance_events)
        self._touched = {event.instance_id for event in details.instance_events}
        self._tasks = by_instance(tasks)
        self._outcome = Outcome()

    def run(self) -> Outcome:
        self._go_on_with_those_started()
        if self._too_many_failed():
            return self._outcome
        while self._plan.strategy.has_room(len(self._progress.working)):
            idle = [i for i in self._plan.in_order(self._forward) if self._needs_a_turn(i)]
            if not idle and not self._progress.working:
                self._end(self._words.succeeded)
                break
            group = idle[: self._group_size(len(idle))]
            if group and self._pauses_before_a_group():
                self._end(JobUpdateStatus.ROLL_FORWARD_PAUSED, AUTO_PAUSED)
                break
            if not group:
                break
            for instance in group:
                self._begin(instance)
        return self._outcome

    def _begin(self, instance: int) -> None:
        found = self._verdict(instance)
        self._record(instance, self._words.started)
        if found.step is Step.DONE:
            self._record(instance, self._words.done)
        else:
            self._act(instance, found)

    def _record(self, instance: int, action: JobUpdateAction) -> None:
        self._outcome.events.append((instance, action))
        self._progress.note(self._words, instance, action, self._now_ms)

    def _go_on_with_those_started(self) -> None:
        for instance, since_ms in list(self._progress.working.items()):
            found = self._verdict(instance, since_ms)
            if found.step in (Step.DONE, Step.FAILED):
                self._record(instance, self._words.done if found.step is Step.DONE else self._words.failed)
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
        """Not started yet, nor where it shall be already (nothing is written down then, unless the way there began)."""
        is_there = self._verdict(instance).step is Step.DONE and instance not in self._touched
        return not self._progress.had_turn(instance) and not is_there

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
            self._outcome.kills.append(
                Kill(
                    instance,
                    killed.assigned_task.task_id,
                    self._targets.get(instance),
                    self._plan.policy(instance, self._forward),
                )
            )
        elif found.step is Step.ADD:
            self._outcome.adds[instance] = self._targets[instance]
        elif found.until_ms is not None:
            self._outcome.wake_ms = min(found.until_ms, self._outcome.wake_ms or found.until_ms)

    def _end(self, status: JobUpdateStatus, message: str | None = None) -> None:
        """Leave the present status: what is in flight goes on by itself, nothing new is begun."""
        self._outcome = Outcome(self._outcome.events, status, message)


def by_instance(tasks: Iterable[ScheduledTask]) -> Mapping[int, list[ScheduledTask]]:
    found: dict[int, list[ScheduledTask]] = {}
    for task in tasks:
        found.setdefault(task.assigned_task.instance_id, []).append(task)
    return found
