"""The tasks of a job: asking for them, and waiting until they are where they should be (client-commands sheet, 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from aurorad.api.calls import GetTasksWithoutConfigs
from aurorad.api.enums import ACTIVE_STATES, LIVE_STATES, TERMINAL_STATES, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskQuery
from client.errors import Exit
from client.scheduler import Scheduler

_FIRST_DELAY_S = 2.0
_LONGEST_DELAY_S = 150.0

Done = Callable[[ScheduleStatus], bool]


def terminal(status: ScheduleStatus) -> bool:
    return status in TERMINAL_STATES


def running_or_ended(status: ScheduleStatus) -> bool:
    return status in LIVE_STATES or status in TERMINAL_STATES


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


def wait(
    scheduler: Scheduler, key: JobKey, done: Done, *, instances: Collection[int] | None = None, give_up: bool = False
) -> bool:
    """Whether the newest task of every instance is `done`; with `give_up`, False after about four minutes.

    A job without tasks is done. Raises `CommandError`.
    """
    query = TaskQuery(job_keys=frozenset({key}), instance_ids=frozenset(instances or ()))
    delay = _FIRST_DELAY_S
    while True:
        newest = _newest(ask(scheduler, query, repeatable=False))
        if all(done(task.status) for task in newest):
            return True
        if give_up and delay >= _LONGEST_DELAY_S:
            return False
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
