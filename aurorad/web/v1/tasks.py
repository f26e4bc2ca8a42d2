"""Tasks, active and ended."""

from __future__ import annotations

from typing import Annotated

from aurorad.api import named_json
from aurorad.api.calls import Call, ForceTaskState, GetPendingReason, GetTasksStatus, GetTasksWithoutConfigs, PruneTasks
from aurorad.api.enums import ScheduleStatus
from aurorad.api.results import PendingReason, Response
from aurorad.api.struct import Id, ThriftStruct
from aurorad.api.tasks import JobKey, ScheduledTask, TaskQuery
from aurorad.storage.tables import Tables
from aurorad.web.v1 import route as r
from aurorad.web.v1.problems import Problem
from aurorad.web.v1.reading import Asked, Body, Parameter, one_of
from aurorad.web.v1.route import DONE, One, PageOf, Route, Shown, World


class TaskState(ThriftStruct, frozen=True, cache_hash=True):
    """The status that a task is to enter."""

    status: Annotated[ScheduleStatus | None, Id(1)] = None


def _query(asked: Asked, offset: int, limit: int) -> TaskQuery:
    job = asked.get("job", JobKey)
    return TaskQuery(
        role=asked.get("role", str),
        environment=asked.get("environment", str),
        job_keys=frozenset({job}) if job is not None else frozenset(),
        statuses=asked.each("status", ScheduleStatus),
        instance_ids=asked.each("instance", int),
        slave_hosts=asked.each("host", str),
        offset=offset,
        limit=limit,
    )


def _wanted(asked: Asked, tables: Tables) -> Call:
    query = _query(asked, *r.slice_of(asked))
    return GetTasksStatus(query) if asked.get("configs", bool) else GetTasksWithoutConfigs(query)


async def _tasks(asked: Asked, answer: Response, world: World) -> Shown:
    return await r.sliced(_found(answer), asked, named_json.to_json)


def _one(asked: Asked, tables: Tables) -> Call:
    return GetTasksStatus(TaskQuery(task_ids=frozenset({asked.text("task")})))


async def _task(asked: Asked, answer: Response, world: World) -> Shown:
    found = _found(answer)
    if not found:
        raise Problem(404, f"There is no task {asked.text('task')}; ended tasks are removed after a while.")
    return Shown(named_json.to_json(found[0]))


def _found(answer: Response) -> tuple[ScheduledTask, ...]:
    result = r.result_of(answer).schedule_status_result
    assert result is not None
    return result.tasks


def _no_task(asked: Asked, tables: Tables) -> str | None:
    return None if tables.task(asked.text("task")) is not None else f"There is no task {asked.text('task')}."


def _waiting(asked: Asked, tables: Tables) -> Call:
    return GetPendingReason(_query(asked, 0, 0))


async def _reasons(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).get_pending_reason_result
    assert result is not None
    return await r.page(result.reasons, lambda reason: reason.task_id, asked, named_json.to_json)


_CONFIGS = Parameter(
    "configs",
    "With true, configurations have the executor's data in them.",
    one_of({"true": True, "false": False}),
    {"type": "boolean"},
)
_WHOSE = (r.ROLE_WANTED, r.ENVIRONMENT_WANTED, r.JOB_WANTED, r.INSTANCES_WANTED)

ROUTES = (
    Route(
        "GET",
        "/v1/tasks",
        "Tasks, active and ended. What comes and goes meanwhile may move items from one page to the next.",
        _wanted,
        _tasks,
        {200: PageOf(ScheduledTask)},
        (*_WHOSE, r.STATUSES_WANTED, r.HOSTS_WANTED, _CONFIGS, *r.PAGE),
        makes=(
            GetTasksStatus,
            GetTasksWithoutConfigs,
        ),
    ),
    Route(
        "GET",
        "/v1/tasks/{task}",
        "A task.",
        _one,
        _task,
        {200: One(ScheduledTask)},
        (r.TASK,),
        makes=(GetTasksStatus,),
    ),
    Route(
        "PUT",
        "/v1/tasks/{task}/state",
        "Force a task into a status, as far as the rules allow that.",
        lambda asked, tables: ForceTaskState(asked.text("task"), asked.body(TaskState).status),
        r.done,
        DONE,
        (r.TASK,),
        Body(TaskState),
        missing=_no_task,
        makes=(ForceTaskState,),
    ),
    Route(
        "POST",
        "/v1/prune-tasks",
        "Remove ended tasks from the history.",
        lambda asked, tables: PruneTasks(asked.body(TaskQuery)),
        r.done,
        DONE,
        body=Body(TaskQuery),
        makes=(PruneTasks,),
    ),
    Route(
        "GET",
        "/v1/pending",
        "Why pending tasks wait, as of the nearest fit. /explain of a job says more.",
        _waiting,
        _reasons,
        {200: PageOf(PendingReason)},
        (*_WHOSE, *r.PAGE),
        makes=(GetPendingReason,),
    ),
)
