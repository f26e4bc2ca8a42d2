"""What an update that goes on waits for, in sentences: every update ends, or says this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aurorad.api.enums import JobUpdateStatus, ScheduleStatus
from aurorad.api.ranges import spans
from aurorad.api.updates import JobUpdateDetails
from aurorad.rules.updates.evaluation import Progress, TasksOf, words_of
from aurorad.rules.updates.instances import Step, Verdict, active_one, failures, verdict
from aurorad.rules.updates.plan import Plan
from aurorad.rules.updates.transitions import ACTIVE, AWAITING_PULSE, ROLLING

_PAUSED = (JobUpdateStatus.ROLL_FORWARD_PAUSED, JobUpdateStatus.ROLL_BACK_PAUSED)
_ON_THE_WAY = (ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING)


def waits_for(
    details: JobUpdateDetails, tasks_of: TasksOf, objections: Mapping[str, str], now_ms: int
) -> tuple[str, ...]:
    """Sentences about an update that is active; none for one that ended.

    `objections` tell of tasks, by id, why they may not be taken down yet.
    """
    event = details.update_events[-1]
    if event.status in _PAUSED:
        why = f" ({event.message})" if event.message else ""
        who = f"by {event.user}" if event.user is not None else "by itself"
        return (f"It was paused {who}{why}: it goes on when somebody resumes it.",)
    if event.status in AWAITING_PULSE:
        return ("It waits for a pulse (pulseJobUpdate): the service that watches over it has given none in time.",)
    if event.status not in ROLLING:
        assert event.status not in ACTIVE, f"nothing is known of what an update in {event.status.name} waits for"
        return ()
    return tuple(_rolling(details, tasks_of, objections, now_ms))


def _rolling(details: JobUpdateDetails, tasks_of: TasksOf, objections: Mapping[str, str], now_ms: int) -> Iterable[str]:
    plan = Plan.of(details.update.instructions)
    status = details.update_events[-1].status
    targets = plan.targets(status is JobUpdateStatus.ROLLING_FORWARD)
    working = Progress.of(words_of(status), details.instance_events).working
    said: dict[str, list[int]] = {}
    for instance, since_ms in working.items():
        tasks, target = tasks_of(instance), targets.get(instance)
        failed = failures(target, tasks, since_ms)
        task = active_one(tasks)
        found = verdict(target, task, failed, plan.settings, now_ms)
        objection = objections.get(task.assigned_task.task_id) if task is not None else None
        words = _of_instance(task.status if task is not None else None, found, objection, now_ms)
        if failed:
            words += f" ({_times(failed)} so far, {plan.settings.max_per_instance_failures} allowed)"
        said.setdefault(words, []).append(instance)
    for words, instances in said.items():
        yield f"{named(instances)} {words}."
    if not said:
        yield "It is about to begin its next instances."


def _of_instance(status: ScheduleStatus | None, found: Verdict, objection: str | None, now_ms: int) -> str:
    match found.step:
        case Step.KILL:
            return f"may not be taken down yet: {objection}" if objection is not None else "must go first"
        case Step.ADD:
            return "must be made"
        case Step.WAIT if found.until_ms is not None:
            return f"must run for {max(1, round((found.until_ms - now_ms) / 1000))} s more"
        case Step.WAIT if status is ScheduleStatus.PENDING:
            return "must find a host"
        case Step.WAIT if status is ScheduleStatus.THROTTLED:
            return "ended too soon and must wait before it is tried again"
        case Step.WAIT if status is ScheduleStatus.PARTITIONED:
            return "must be reached again: its agent does not answer"
        case Step.WAIT if status in _ON_THE_WAY:
            return "must start"
        case Step.WAIT:
            return "must end first"
    return "has come to an end"


def _times(count: int) -> str:
    return "one failure" if count == 1 else f"{count} failures"


def named(instances: Iterable[int]) -> str:
    """``Instance 3``, ``Instances 0-2, 5``."""
    text = ranges(instances)
    return f"Instance {text}" if text.isdecimal() else f"Instances {text}"


def ranges(instances: Iterable[int]) -> str:
    """``0-2, 5``."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans(instances))
