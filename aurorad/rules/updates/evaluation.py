"""What an update does next, from what is stored about it and its tasks alone (updates sheet, section 6).

There is nothing to lose: whose turn it was, who is done and who failed is read off the instance events, failures off
the ended tasks. A `Course` only spares looking at every instance again at each step: made anew at any moment, after a
pause, a restart or under a new leader, it decides the same.
"""

from __future__ import annotations

import bisect
import dataclasses
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus
from aurorad.api.tasks import ScheduledTask, SlaPolicy, TaskConfig
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdateDetails, JobUpdateEvent
from aurorad.rules.task_states import last_change_ms
from aurorad.rules.updates.instances import Step, Verdict, active_one, failures, verdict
from aurorad.rules.updates.plan import Plan

AUTO_PAUSED: Final = "Update auto paused"

TasksOf = Callable[[int], Sequence[ScheduledTask]]
"""All tasks of one instance of the job, ended ones too, as they are when called."""


LOOKS_PER_DEED: Final = 10
"""So much cheaper it is to look at an instance than to do anything about it."""


class Words(NamedTuple):
    """What things are called on the way there, or on the way back."""

    started: JobUpdateAction
    done: JobUpdateAction
    failed: JobUpdateAction
    succeeded: JobUpdateStatus


FORWARD: Final = Words(
    JobUpdateAction.INSTANCE_UPDATING,
    JobUpdateAction.INSTANCE_UPDATED,
    JobUpdateAction.INSTANCE_UPDATE_FAILED,
    JobUpdateStatus.ROLLED_FORWARD,
)
BACK: Final = Words(
    JobUpdateAction.INSTANCE_ROLLING_BACK,
    JobUpdateAction.INSTANCE_ROLLED_BACK,
    JobUpdateAction.INSTANCE_ROLLBACK_FAILED,
    JobUpdateStatus.ROLLED_BACK,
)


class Kill(NamedTuple):
    """A task that must go; with a `policy`, as soon as the promise made to its job allows it."""

    instance: int
    task_id: str
    replacement: TaskConfig | None = None
    """What the instance shall run then, if anything."""
    policy: SlaPolicy | None = None


@dataclasses.dataclass
class Outcome:
    """What to write down and do, in this order, in one transaction."""

    events: list[tuple[int, JobUpdateAction]] = dataclasses.field(default_factory=list)
    status: JobUpdateStatus | None = None
    """The status to enter; nothing is killed or added then."""
    message: str | None = None
    kills: list[Kill] = dataclasses.field(default_factory=list)
    adds: dict[int, TaskConfig] = dataclasses.field(default_factory=dict)
    wake_ms: int | None = None
    """Wall-clock time at which to go on even if nothing happens before."""
    has_more: bool = False
    """Whether there is more to do at once: it was left out to keep the transaction short."""
    after_ms: int = 0
    """The events are later than that, whatever the clock says: it was set back since the tasks did what they did."""

    @property
    def size(self) -> int:
        return len(self.events) + len(self.kills) + len(self.adds)


class Course:
    """One way of an update, there or back, from when it enters the status to when it leaves it.

    It is told of instances whose tasks changed; what it decided must be done before it is asked again. After a write
    that did not happen it is worth nothing.
    """

    def __init__(self, plan: Plan, details: JobUpdateDetails, tasks_of: TasksOf) -> None:
        status = details.update_events[-1].status
        if status not in (JobUpdateStatus.ROLLING_FORWARD, JobUpdateStatus.ROLLING_BACK):
            raise AssertionError(f"an update in {status.name} was evaluated: {details.update.summary.key}")
        self.status = status
        self._plan = plan
        self._forward = status is JobUpdateStatus.ROLLING_FORWARD
        self._words = words_of(status)
        self._targets = plan.targets(self._forward)
        self._tasks_of = tasks_of
        self._pauses = sum(is_auto_pause(event) for event in details.update_events)
        self._progress = Progress.of(self._words, details.instance_events)
        self._touched = frozenset(event.instance_id for event in details.instance_events)
        self._latest_ms = details.instance_events[-1].timestamp_ms if details.instance_events else 0
        self._order = tuple(plan.in_order(self._forward))
        self._place = {instance: place for place, instance in enumerate(self._order)}
        self._idle: list[int] = []  # places in the order of those that need a turn
        self._group: deque[int] = deque()  # those whose turn it is, and who have not been begun
        self._watched: list[tuple[int, int]] = []  # when to look again, and at whom
        waiting = (instance for instance in self._order if not self._progress.had_turn(instance))
        self._changed: dict[int, None] = dict.fromkeys((*self._progress.working, *waiting))

    def note(self, instance: int) -> None:
        """A task of this instance changed."""
        if instance in self._place and instance not in self._progress.done and instance not in self._progress.failed:
            self._changed[instance] = None

    def advance(self, now_ms: int, limit: int) -> Outcome:
        """The next step, of little more than `limit` single things to do."""
        outcome = Outcome()
        self._ring(now_ms)
        looks = limit * LOOKS_PER_DEED
        while self._changed and outcome.size < limit and looks:
            self._look_at(outcome, self._take_changed(), now_ms)
            looks -= 1
        if self._too_many_failed():
            self._fail(outcome)
        elif not self._changed:
            self._begin(outcome, now_ms, limit)
        if outcome.status is None:
            outcome.has_more = bool(self._changed or self._group) or outcome.size >= limit
            outcome.wake_ms = self._watched[0][0] if self._watched else None
        return outcome

    def _take_changed(self) -> int:
        instance = next(iter(self._changed))
        del self._changed[instance]
        return instance

    def _ring(self, now_ms: int) -> None:
        while self._watched and self._watched[0][0] <= now_ms:
            self.note(heapq.heappop(self._watched)[1])

    def _look_at(self, outcome: Outcome, instance: int, now_ms: int) -> None:
        since_ms = self._progress.working.get(instance)
        if since_ms is None:
            self._look_at_idle(instance, now_ms)
            return
        found = self._verdict(instance, now_ms, since_ms)
        if found.step in (Step.DONE, Step.FAILED):
            self._record(outcome, instance, self._words.done if found.step is Step.DONE else self._words.failed, now_ms)
        else:
            self._act(outcome, instance, found)

    def _look_at_idle(self, instance: int, now_ms: int) -> None:
        if instance in self._group:
            return
        place = self._place[instance]
        at = bisect.bisect_left(self._idle, place)
        is_idle = at < len(self._idle) and self._idle[at] == place
        if self._still_needs_a_turn(instance, now_ms):
            if not is_idle:
                self._idle.insert(at, place)
        elif is_idle:
            del self._idle[at]

    def _still_needs_a_turn(self, instance: int, now_ms: int) -> bool:
        """Not where it shall be already: nothing is written down about such an instance, unless the way there began."""
        found = self._verdict(instance, now_ms)
        self._watch(instance, found)
        return found.step is not Step.DONE or instance in self._touched

    def _too_many_failed(self) -> bool:
        return len(self._progress.failed) > self._plan.settings.max_failed_instances

    def _fail(self, outcome: Outcome) -> None:
        back = self._forward and self._plan.settings.rollback_on_failure
        latest = list(self._progress.failed)[-1]
        status = JobUpdateStatus.ROLLING_BACK if back else JobUpdateStatus.FAILED
        _end(outcome, status, f"Latest failure: instance {latest} exited.")

    def _begin(self, outcome: Outcome, now_ms: int, limit: int) -> None:
        """Begin those whose turn it is, as far as the limit allows."""
        while outcome.size < limit and (self._group or self._choose_group(outcome)):
            instance = self._group.popleft()
            self._come_after(outcome, instance, now_ms)
            found = self._verdict(instance, now_ms)
            if found.step is not Step.DONE:
                self._record(outcome, instance, self._words.started, now_ms)
                self._act(outcome, instance, found)
            elif instance in self._touched:  # what was begun on the way there came to nothing
                self._record(outcome, instance, self._words.started, now_ms)
                self._record(outcome, instance, self._words.done, now_ms)

    def _come_after(self, outcome: Outcome, instance: int, now_ms: int) -> None:
        """What the instance's tasks did before its turn must never look like what they did since."""
        last_ms = max(map(last_change_ms, self._tasks_of(instance)), default=0)
        if last_ms > now_ms:
            outcome.after_ms = max(outcome.after_ms, last_ms)
            self._latest_ms = max(self._latest_ms, last_ms + 1)

    def _choose_group(self, outcome: Outcome) -> bool:
        """Whether there is another group; if there is none any more, the update ends."""
        if not self._plan.strategy.has_room(len(self._progress.working)):
            return False
        if not self._idle and not self._progress.working:
            _end(outcome, self._words.succeeded)
            return False
        size = self._group_size()
        if size and self._pauses_before_a_group():
            _end(outcome, JobUpdateStatus.ROLL_FORWARD_PAUSED, AUTO_PAUSED)
            return False
        self._group.extend(self._order[place] for place in self._idle[:size])
        del self._idle[:size]
        return size > 0

    def _group_size(self) -> int:
        return self._plan.strategy.group_size(
            idle=len(self._idle),
            active=len(self._progress.working),
            started=self._progress.started,
            forward=self._forward,
        )

    def _pauses_before_a_group(self) -> bool:
        """Whether fewer pauses were made than groups: every group but the first waits for someone to resume."""
        if not self._forward or not self._plan.strategy.autopause:
            return False
        return self._pauses < self._plan.strategy.groups_started(self._progress.started)

    def _verdict(self, instance: int, now_ms: int, since_ms: int | None = None) -> Verdict:
        """`since_ms`: when the instance had its turn, if it had."""
        target, tasks = self._targets.get(instance), self._tasks_of(instance)
        failed = failures(target, tasks, since_ms) if since_ms is not None else 0
        return verdict(target, active_one(tasks), failed, self._plan.settings, now_ms)

    def _act(self, outcome: Outcome, instance: int, found: Verdict) -> None:
        if found.step is Step.KILL:
            killed = active_one(self._tasks_of(instance))
            assert killed is not None, f"instance {instance} has nothing to kill"
            policy = self._plan.policy(instance, self._forward)
            outcome.kills.append(Kill(instance, killed.assigned_task.task_id, self._targets.get(instance), policy))
        elif found.step is Step.ADD:
            outcome.adds[instance] = self._targets[instance]
        else:
            self._watch(instance, found)

    def _watch(self, instance: int, found: Verdict) -> None:
        if found.until_ms is not None:
            heapq.heappush(self._watched, (found.until_ms, instance))

    def _record(self, outcome: Outcome, instance: int, action: JobUpdateAction, now_ms: int) -> None:
        self._latest_ms = max(self._latest_ms, now_ms)
        outcome.events.append((instance, action))
        self._progress.note(self._words, instance, action, self._latest_ms)


def _end(outcome: Outcome, status: JobUpdateStatus, message: str | None = None) -> None:
    """Leave the present status: what is in flight goes on by itself, nothing new is begun."""
    outcome.status, outcome.message = status, message
    outcome.kills, outcome.adds = [], {}


@dataclasses.dataclass
class Progress:
    """Who had a turn on this way, and what became of it; `working` says since when."""

    working: dict[int, int] = dataclasses.field(default_factory=dict)
    done: set[int] = dataclasses.field(default_factory=set)
    failed: dict[int, None] = dataclasses.field(default_factory=dict)

    @staticmethod
    def of(words: Words, events: Iterable[JobInstanceUpdateEvent]) -> Progress:
        progress = Progress()
        for event in events:
            progress.note(words, event.instance_id, event.action, event.timestamp_ms)
        return progress

    def note(self, words: Words, instance: int, action: JobUpdateAction, at_ms: int) -> None:
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


def words_of(status: JobUpdateStatus) -> Words:
    """Of an update that rolls."""
    return FORWARD if status is JobUpdateStatus.ROLLING_FORWARD else BACK


def in_progress(details: JobUpdateDetails) -> Mapping[int, int]:
    """The instances that an update has begun, and since when, on the way on which it is or was paused."""
    back = any(event.status is JobUpdateStatus.ROLLING_BACK for event in details.update_events)
    return Progress.of(BACK if back else FORWARD, details.instance_events).working


def is_auto_pause(event: JobUpdateEvent) -> bool:
    """Whether the update paused itself; a person's pause carries the person's name."""
    return event.status is JobUpdateStatus.ROLL_FORWARD_PAUSED and event.user is None and event.message == AUTO_PAUSED
