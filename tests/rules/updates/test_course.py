"""A course that is told what changed decides like one made anew, and like a look at every instance, at every step."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from aurorad.api.enums import ACTIVE_STATES, JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig, TaskEvent
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    VariableBatchJobUpdateStrategy,
)
from aurorad.rules import job_diff
from aurorad.rules.updates.evaluation import Course, Outcome
from aurorad.rules.updates.plan import Plan
from tests.rules.updates import model

JOB = JobKey("www", "prod", "web")
OLD, NEW, OTHER = (TaskConfig(JOB, is_service=True, priority=priority) for priority in (1, 2, 3))
INSTANCES = st.integers(0, 7)
ROLLING = (JobUpdateStatus.ROLLING_FORWARD, JobUpdateStatus.ROLLING_BACK)
WATCH_MS = 50
ALL = 10_000

sizes = st.integers(1, 4)
strategies = (
    st.builds(lambda n: JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(n)), sizes)
    | st.builds(lambda n, p: JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(n, p)), sizes, st.booleans())
    | st.builds(
        lambda many, p: JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy(tuple(many), p)),
        st.lists(sizes, min_size=1, max_size=3),
        st.booleans(),
    )
)


class Facts:
    """What is stored of one update and its job, and the clock."""

    def __init__(self, initial: dict[int, TaskConfig], count: int, chosen: JobUpdateSettings) -> None:
        self.now_ms = 1000
        self.ids = 0
        self.tasks: dict[int, list[ScheduledTask]] = {}
        for instance, config in initial.items():
            self.add(instance, config, ScheduleStatus.RUNNING)
        changes = job_diff.diff(initial, NEW, count)
        self.is_noop = changes.is_noop
        instructions = JobUpdateInstructions() if self.is_noop else job_diff.instructions(changes, chosen)
        begun = (JobUpdateEvent(JobUpdateStatus.ROLLING_FORWARD, self.now_ms, "alice"),)
        self.details = JobUpdateDetails(JobUpdate(instructions=instructions), begun)

    @property
    def status(self) -> JobUpdateStatus:
        return self.details.update_events[-1].status

    def tasks_of(self, instance: int) -> list[ScheduledTask]:
        return self.tasks.get(instance, [])

    def add(self, instance: int, config: TaskConfig, status: ScheduleStatus) -> None:
        self.ids += 1
        assigned = AssignedTask(task_id=str(self.ids), task=config, instance_id=instance)
        task = ScheduledTask(assigned, status, task_events=(TaskEvent(self.now_ms, status),))
        self.tasks.setdefault(instance, []).append(task)

    def move(self, instance: int, status: ScheduleStatus | None) -> bool:
        """Have the active task of an instance be in `status`, or gone; a service that ends has a successor."""
        active = [task for task in self.tasks_of(instance) if task.status in ACTIVE_STATES]
        if not active:
            return False
        (task,) = active
        self.tasks[instance].remove(task)
        if status is not None:
            events = (*task.task_events, TaskEvent(self.now_ms, status))
            self.tasks[instance].append(msgspec.structs.replace(task, status=status, task_events=events))
            if status not in ACTIVE_STATES and task.status is not ScheduleStatus.KILLING:
                self.add(instance, task.assigned_task.task, ScheduleStatus.PENDING)
        return True

    def carry_out(self, outcome: Outcome) -> list[int]:
        """Whose tasks it changed."""
        events = [JobInstanceUpdateEvent(i, self.now_ms, action) for i, action in outcome.events]
        self.details = msgspec.structs.replace(self.details, instance_events=(*self.details.instance_events, *events))
        if outcome.status is not None:
            self.enter(outcome.status, None, outcome.message)
        for kill in outcome.kills:
            self.move(kill.instance, ScheduleStatus.KILLING)
        for instance, config in outcome.adds.items():
            self.add(instance, config, ScheduleStatus.PENDING)
        return [*(kill.instance for kill in outcome.kills), *outcome.adds]

    def enter(self, status: JobUpdateStatus, user: str | None, message: str | None = None) -> None:
        event = JobUpdateEvent(status, self.now_ms, user, message)
        self.details = msgspec.structs.replace(self.details, update_events=(*self.details.update_events, event))


class Told:
    """A course that is kept as long as its status lasts, asked for a few things at a time."""

    def __init__(self, facts: Facts, limit: int) -> None:
        self.facts = facts
        self.limit = limit
        self.plan = Plan.of(facts.details.update.instructions)
        self.course = self.new()

    def new(self) -> Course:
        return Course(self.plan, self.facts.details, self.facts.tasks_of)

    def advance(self) -> Outcome:
        """All that is to be done now, and did."""
        done = Outcome()
        while True:
            part = self.course.advance(self.facts.now_ms, self.limit)
            assert part.size <= self.limit + 1
            for instance in self.facts.carry_out(part):
                self.course.note(instance)
            done.events += part.events
            done.kills += part.kills
            done.adds |= part.adds
            done.status, done.wake_ms = part.status, part.wake_ms
            if not part.has_more:
                return done


def essence(outcome: Outcome) -> tuple[object, ...]:
    return sorted(outcome.events), sorted(outcome.kills), sorted(outcome.adds), outcome.status


happenings = st.one_of(
    st.tuples(st.just("move"), INSTANCES, st.sampled_from([s for s in ScheduleStatus if s.name != "INIT"])),
    st.tuples(st.just("gone"), INSTANCES, st.none()),
    st.tuples(st.just("replaced"), INSTANCES, st.sampled_from([OLD, NEW, OTHER])),
    st.tuples(st.just("time"), st.integers(1, 2 * WATCH_MS), st.none()),
    st.tuples(st.sampled_from(["anew", "pause", "back", "run all"]), st.just(0), st.none()),
)


@given(
    initial=st.dictionaries(INSTANCES, st.sampled_from([OLD, OLD, OTHER]), max_size=8),
    count=st.integers(1, 8),
    strategy=strategies,
    max_failed=st.integers(0, 3),
    max_per_instance=st.integers(0, 2),
    limit=st.sampled_from([1, 2, 3, ALL, ALL, ALL]),
    begins_back=st.booleans(),
    story=st.lists(happenings, min_size=10, max_size=40),
)
@settings(max_examples=500)
def test_what_is_kept_decides_like_what_is_made_anew(
    initial: dict[int, TaskConfig],
    count: int,
    strategy: JobUpdateStrategy,
    max_failed: int,
    max_per_instance: int,
    limit: int,
    begins_back: bool,
    story: list[tuple[str, int, object]],
) -> None:
    facts = Facts(
        initial,
        count,
        JobUpdateSettings(
            max_per_instance_failures=max_per_instance,
            max_failed_instances=max_failed,
            min_wait_in_instance_running_ms=WATCH_MS,
            rollback_on_failure=True,
            update_strategy=strategy,
        ),
    )
    if facts.is_noop:
        return
    told = Told(facts, limit)
    for happening in [("back" if begins_back else "time", 1, None), *story]:
        _happen(facts, told, *happening)
        while facts.status in ROLLING:
            every = [task for tasks in facts.tasks.values() for task in tasks]
            expected = model.step(told.plan, facts.details, every, facts.now_ms)
            anew = told.new().advance(facts.now_ms, ALL)
            assert essence(anew) == essence(expected)
            status = facts.status
            found = told.advance()
            if limit == ALL:
                assert essence(found) == essence(expected)
            if facts.status is status:
                every = [task for tasks in facts.tasks.values() for task in tasks]
                assert essence(model.step(told.plan, facts.details, every, facts.now_ms)) == ([], [], [], None)
                break
            if facts.status in ROLLING:
                told.course = told.new()


def _happen(facts: Facts, told: Told, what: str, number: int, detail: object) -> None:
    facts.now_ms += 1
    match what, detail:
        case "move", ScheduleStatus():
            changed = facts.move(number, detail)
        case "gone", _:
            changed = facts.move(number, None)
        case "replaced", TaskConfig():
            changed = facts.move(number, None)
            facts.add(number, detail, ScheduleStatus.RUNNING)
        case "time", _:
            facts.now_ms += number
            changed = False
        case "run all", _:
            for instance in list(facts.tasks):
                facts.move(instance, ScheduleStatus.RUNNING)
                told.course.note(instance)
            changed = False
        case "back", _ if facts.status is JobUpdateStatus.ROLLING_FORWARD:
            facts.enter(JobUpdateStatus.ROLLING_BACK, "alice")
            told.course, changed = told.new(), False
        case "pause", _ if facts.status is JobUpdateStatus.ROLLING_FORWARD:
            facts.enter(JobUpdateStatus.ROLL_FORWARD_PAUSED, "alice")
            facts.enter(JobUpdateStatus.ROLLING_FORWARD, "alice")
            told.course, changed = told.new(), False
        case _, _ if facts.status is JobUpdateStatus.ROLL_FORWARD_PAUSED:
            facts.enter(JobUpdateStatus.ROLLING_FORWARD, "alice")
            told.course, changed = told.new(), False
        case "anew", _ if facts.status in ROLLING:
            told.course, changed = told.new(), False
        case _:
            changed = False
    if changed or what == "replaced":
        told.course.note(number)
