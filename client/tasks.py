"""The tasks of a job: asking for them, and waiting until they are where they should be (client-commands sheet, 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from aurorad.api.calls import GetTasksWithoutConfigs
from aurorad.api.enums import ACTIVE_STATES, LIVE_STATES, TERMINAL_STATES, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskQuery
from client.arguments import JobPath
from client.errors import CommandError, Exit
from client.scheduler import Scheduler
from client.terminal import Terminal

_FIRST_DELAY_S = 2.0
_LONGEST_DELAY_S = 150.0

Done = Callable[[ScheduleStatus], bool]
Tell = Callable[[int, int], None]  # so many, of so many


def terminal(status: ScheduleStatus) -> bool:
    return status in TERMINAL_STATES


def running_or_ended(status: ScheduleStatus) -> bool:
    return status in LIVE_STATES or status in TERMINAL_STATES


# What ``--wait-until`` waits for, by its argument.
WAITS: dict[str, Done | None] = {"PENDING": None, "RUNNING": running_or_ended, "FINISHED": terminal}


def ask(
    scheduler: Scheduler, query: TaskQuery, *, code: Exit = Exit.API_ERROR, repeatable: bool = True
) -> tuple[ScheduledTask, ...]:
    """Raises `CommandError`."""
    call = GetTasksWithoutConfigs(query)
    result = scheduler.ask(call, "Command failure:", code, repeatable=repeatable).schedule_status_result
    return result.tasks if result is not None else ()


def active(scheduler: Scheduler, key: JobKey) -> tuple[ScheduledTask, ...]:
    """The job's active tasks in the order of their instances. Raises `CommandError`."""
    tasks = ask(scheduler, TaskQuery(job_keys=frozenset({key}), statuses=ACTIVE_STATES))
    return tuple(sorted(tasks, key=lambda task: task.assigned_task.instance_id))


def require_active(wanted: Collection[int], there: Collection[ScheduledTask]) -> None:
    """Raises `CommandError` that names the instances nothing runs for."""
    unknown = sorted(set(wanted).difference(ids(there)))
    if unknown:
        raise CommandError(Exit.INVALID_PARAMETER, f"Invalid instance parameter: {unknown}")


def ids(there: Collection[ScheduledTask]) -> list[int]:
    """Their instances, in the same order."""
    return [task.assigned_task.instance_id for task in there]


def warn_of_promises(doing: str, there: Collection[ScheduledTask], terminal: Terminal) -> None:
    """Of those that only an update changes (client-commands sheet, sections 5.4 and 5.6)."""
    policies = [task.assigned_task.task.sla_policy for task in there]
    if any(policy is not None and policy.coordinator_sla_policy is None for policy in policies):
        terminal.out(f"WARNING: {doing} instances without updating SlaPolicy.")


def wait_until(name: str, scheduler: Scheduler, path: JobPath, instances: Collection[int] | None = None) -> None:
    """Until these instances, or all, are as far as ``--wait-until`` says. Raises `CommandError`."""
    done = WAITS[name]
    if done is None:
        return
    with scheduler.terminal.display() as display:
        what = f"Waiting until {path} is {name}"
        wait(scheduler, path.key, done, lambda count, all_: display.show(what, count, all_), instances=instances)


def wait(
    scheduler: Scheduler,
    key: JobKey,
    done: Done,
    tell: Tell,
    *,
    instances: Collection[int] | None = None,
    give_up: bool = False,
) -> bool:
    """Whether the newest task of every instance is `done`; with `give_up`, False after about four minutes.

    `tell` hears of how many they are, after each look that was not the last. A job without tasks is done. Raises
    `CommandError`.
    """
    query = TaskQuery(job_keys=frozenset({key}), instance_ids=frozenset(instances or ()))
    delay = _FIRST_DELAY_S
    while True:
        newest = _newest(ask(scheduler, query, repeatable=False))
        count = sum(done(task.status) for task in newest)
        if count == len(newest):
            return True
        if give_up and delay >= _LONGEST_DELAY_S:
            return False
        tell(count, len(newest))
        scheduler.clock.sleep(delay)
        delay = min(delay * 2, _LONGEST_DELAY_S)


def _newest(tasks: Collection[ScheduledTask]) -> Collection[ScheduledTask]:
    """Per instance the one that began last."""
    found: dict[int, ScheduledTask] = {}
    for task in sorted(tasks, key=_began):
        found[task.assigned_task.instance_id] = task
    return found.values()


def _began(task: ScheduledTask) -> int:
    return task.task_events[0].timestamp if task.task_events else 0


def local_time(timestamp_ms: int) -> str:
    """``YYYY-MM-DD hh:mm:ss`` of this machine's time zone."""
    return datetime.fromtimestamp(timestamp_ms // 1000).isoformat(" ")
