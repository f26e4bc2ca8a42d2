"""Jobs, their instances, and how they do."""

from __future__ import annotations

from typing import Annotated

import msgspec

from aurorad.api import keys, named_json
from aurorad.api.calls import (
    AddInstances,
    Call,
    CreateJob,
    GetConfigSummary,
    GetJobSummary,
    GetPendingReason,
    GetRoleSummary,
    GetTasksStatus,
    KillTasks,
    PopulateJobConfig,
    RestartShards,
)
from aurorad.api.enums import ACTIVE_STATES
from aurorad.api.results import ConfigSummary, JobSummary, PopulateJobResult, Response, RoleSummary
from aurorad.api.struct import I32, Id, ThriftStruct
from aurorad.api.tasks import InstanceKey, JobConfiguration, JobKey, TaskQuery
from aurorad.scheduler.explaining import JobExplanation
from aurorad.scheduler.rpc.plans import Plan
from aurorad.storage.tables import Tables
from aurorad.web.v1 import route as r
from aurorad.web.v1.problems import Problem
from aurorad.web.v1.reading import Asked, Body, Parameter, whole
from aurorad.web.v1.route import DONE, One, PageOf, Route, Shown, World
from aurorad.web.v1.sla import JobSla, job_sla


class MoreInstances(ThriftStruct, frozen=True, cache_hash=True):
    """So many instances more, configured like the instance `like`."""

    count: Annotated[I32, Id(1)] = 0
    like: Annotated[I32, Id(2)] = 0


def _no_job(asked: Asked, tables: Tables) -> str | None:
    if asked.job in tables.cron_jobs or tables.job_tasks(asked.job):
        return None
    return f"There is no job {keys.canonical(asked.job)}."


def _taken(asked: Asked, tables: Tables) -> str | None:
    job = asked.body(JobConfiguration).key
    return keys.canonical(job) if job in tables.cron_jobs or tables.job_tasks(job, ACTIVE_STATES) else None


def _no_active(asked: Asked, tables: Tables) -> str | None:
    return None if tables.job_tasks(asked.job, ACTIVE_STATES) else f"{keys.canonical(asked.job)} has no active tasks."


def _no_instance(asked: Asked, tables: Tables) -> str | None:
    if tables.instance_tasks(asked.job, (asked.number("instance"),), ACTIVE_STATES):
        return None
    return f"{keys.canonical(asked.job)} has no active instance {asked.number('instance')}."


async def _roles(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).role_summary_result
    assert result is not None
    return await r.page(result.summaries, lambda role: role.role, asked, named_json.to_json)


async def _jobs(asked: Asked, answer: Response, world: World) -> Shown:
    environment = asked.get("environment", str)
    summaries = [
        summary for summary in _summaries(answer) if environment is None or summary.job.key.environment == environment
    ]
    return await r.page(summaries, lambda summary: keys.canonical(summary.job.key), asked, named_json.to_json)


async def _job(asked: Asked, answer: Response, world: World) -> Shown:
    found = [summary for summary in _summaries(answer) if summary.job.key == asked.job]
    if not found:
        raise Problem(404, f"There is no job {keys.canonical(asked.job)}.")
    return Shown(named_json.to_json(found[0]))


def _summaries(answer: Response) -> frozenset[JobSummary]:
    result = r.result_of(answer).job_summary_result
    assert result is not None
    return result.summaries


async def _configs(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).config_summary_result
    assert result is not None
    return Shown(named_json.to_json(result.summary))


async def _created(asked: Asked, answer: Response, world: World) -> Shown:
    shown = await r.done(asked, answer, world)
    return Shown(shown.value, 201, f"/v1/jobs/{keys.canonical(asked.body(JobConfiguration).key)}")


async def _explained(asked: Asked, answer: Response, world: World) -> Shown:
    return Shown(await world.explain(asked.job, asked.each("instance", int)))


async def _planned(asked: Asked, answer: Response, world: World) -> Shown:
    return Shown(await world.plan(CreateJob(asked.body(JobConfiguration)), ""))


async def _sla(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).schedule_status_result
    assert result is not None
    window_s = asked.get("window", int) or _WINDOW_S
    return Shown(await job_sla(result.tasks, world.now_ms(), window_s))


def _more(asked: Asked, tables: Tables) -> Call:
    more = asked.body(MoreInstances)
    return AddInstances(InstanceKey(asked.job, more.like), more.count)


def _kill(asked: Asked, tables: Tables) -> Call:
    return msgspec.structs.replace(asked.body(KillTasks), job=asked.job)


def _kill_one(asked: Asked, tables: Tables) -> Call:
    return KillTasks(asked.job, frozenset({asked.number("instance")}), asked.get("message", str))


def _restart(asked: Asked, tables: Tables) -> Call:
    return RestartShards(asked.job, asked.body(RestartShards).shard_ids or _active(asked.job, tables))


def _active(job: JobKey, tables: Tables) -> frozenset[int]:
    return frozenset(task.assigned_task.instance_id for task in tables.job_tasks(job, ACTIVE_STATES))


def _of_job(job: JobKey) -> TaskQuery:
    return TaskQuery(job_keys=frozenset({job}))


_WINDOW_S = 3600
_MOST_WINDOW_S = 30 * 86_400
_WINDOW = Parameter(
    "window",
    f"How far to look back, in seconds; {_WINDOW_S} if not given.",
    whole(1, _MOST_WINDOW_S),
    {"type": "integer", "minimum": 1, "maximum": _MOST_WINDOW_S},
)
_PATH = "/v1/jobs/{role}/{environment}/{name}"

ROUTES = (
    Route(
        "GET",
        "/v1/roles",
        "The roles that have jobs.",
        lambda asked, tables: GetRoleSummary(),
        _roles,
        {200: PageOf(RoleSummary)},
        r.PAGE,
        makes=(GetRoleSummary,),
    ),
    Route(
        "GET",
        "/v1/jobs",
        "The jobs, cron jobs among them, with how many tasks they have.",
        lambda asked, tables: GetJobSummary(asked.get("role", str)),
        _jobs,
        {200: PageOf(JobSummary)},
        (r.ROLE_WANTED, r.ENVIRONMENT_WANTED, *r.PAGE),
        makes=(GetJobSummary,),
    ),
    Route(
        "POST",
        "/v1/jobs",
        "Create a job and its tasks.",
        lambda asked, tables: CreateJob(asked.body(JobConfiguration)),
        _created,
        {201: DONE[200]},
        body=Body(JobConfiguration),
        taken=_taken,
        makes=(CreateJob,),
    ),
    Route(
        "POST",
        "/v1/jobs/populate",
        "Fill in a job as its creation would, and check it.",
        lambda asked, tables: PopulateJobConfig(asked.body(JobConfiguration)),
        r.struct(lambda result: result.populate_job_result),
        {200: One(PopulateJobResult)},
        body=Body(JobConfiguration),
        makes=(PopulateJobConfig,),
    ),
    Route(
        "POST",
        "/v1/jobs/plan",
        "What the creation of a job would do: changes nothing.",
        lambda asked, tables: PopulateJobConfig(asked.body(JobConfiguration)),
        _planned,
        {200: One(Plan)},
        body=Body(JobConfiguration),
        makes=(PopulateJobConfig,),
    ),
    Route(
        "GET",
        _PATH,
        "A job.",
        lambda asked, tables: GetJobSummary(asked.text("role")),
        _job,
        {200: One(JobSummary)},
        r.JOB,
        makes=(GetJobSummary,),
    ),
    Route(
        "DELETE",
        _PATH,
        "Kill all active tasks of a job.",
        lambda asked, tables: KillTasks(asked.job, message=asked.get("message", str)),
        r.done,
        DONE,
        (*r.JOB, r.MESSAGE),
        missing=_no_active,
        makes=(KillTasks,),
    ),
    Route(
        "GET",
        f"{_PATH}/configs",
        "The configurations of a job's active instances, and which of them have each.",
        lambda asked, tables: GetConfigSummary(asked.job),
        _configs,
        {200: One(ConfigSummary)},
        r.JOB,
        missing=_no_job,
        makes=(GetConfigSummary,),
    ),
    Route(
        "GET",
        f"{_PATH}/explain",
        "Why instances of a job wait, in sentences and numbers.",
        lambda asked, tables: GetPendingReason(_of_job(asked.job)),
        _explained,
        {200: One(JobExplanation)},
        (*r.JOB, r.INSTANCES_WANTED),
        missing=_no_job,
        makes=(GetPendingReason,),
    ),
    Route(
        "GET",
        f"{_PATH}/sla",
        "How well a job did lately.",
        lambda asked, tables: GetTasksStatus(_of_job(asked.job)),
        _sla,
        {200: One(JobSla)},
        (*r.JOB, _WINDOW),
        missing=_no_job,
        makes=(GetTasksStatus,),
    ),
    Route(
        "POST",
        f"{_PATH}/instances",
        "Add instances, configured like one that there is.",
        _more,
        r.done,
        DONE,
        r.JOB,
        Body(MoreInstances),
        missing=_no_active,
        makes=(AddInstances,),
    ),
    Route(
        "DELETE",
        f"{_PATH}/instances/{{instance}}",
        "Kill an instance.",
        _kill_one,
        r.done,
        DONE,
        (*r.JOB, r.INSTANCE, r.MESSAGE),
        missing=_no_instance,
        makes=(KillTasks,),
    ),
    Route(
        "POST",
        f"{_PATH}/kill",
        "Kill some instances of a job, or all.",
        _kill,
        r.done,
        DONE,
        r.JOB,
        Body(KillTasks, frozenset({"job"}), required=False),
        missing=_no_active,
        makes=(KillTasks,),
    ),
    Route(
        "POST",
        f"{_PATH}/restart",
        "Restart some instances of a job, or all.",
        _restart,
        r.done,
        DONE,
        r.JOB,
        Body(RestartShards, frozenset({"job"}), required=False),
        missing=_no_active,
        makes=(RestartShards,),
    ),
)
