"""Job updates."""

from __future__ import annotations

from typing import Annotated

from aurorad.api import keys, named_json
from aurorad.api.calls import (
    AbortJobUpdate,
    Call,
    GetJobUpdateDetails,
    GetJobUpdateDiff,
    GetJobUpdateSummaries,
    PauseJobUpdate,
    PulseJobUpdate,
    ResumeJobUpdate,
    RollbackJobUpdate,
    StartJobUpdate,
)
from aurorad.api.enums import JobUpdateStatus
from aurorad.api.results import GetJobUpdateDiffResult, PulseJobUpdateResult, Response, StartJobUpdateResult
from aurorad.api.struct import Id, ThriftStruct
from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateDetails, JobUpdateQuery, JobUpdateRequest, JobUpdateSummary
from aurorad.scheduler.rpc.plans import Plan
from aurorad.storage.tables import Tables
from aurorad.web.v1 import route as r
from aurorad.web.v1.problems import Problem
from aurorad.web.v1.reading import Asked, Body, Parameter, some_text
from aurorad.web.v1.route import DONE, One, PageOf, Route, Shown, World


class Why(ThriftStruct, frozen=True, cache_hash=True):
    """What the events of the update are to say about this."""

    message: Annotated[str | None, Id(1)] = None


def _wanted(asked: Asked, tables: Tables) -> Call:
    offset, limit = r.slice_of(asked)
    return GetJobUpdateSummaries(
        JobUpdateQuery(
            role=asked.get("role", str),
            job_key=asked.get("job", JobKey),
            user=asked.get("user", str),
            update_statuses=asked.each("status", JobUpdateStatus),
            offset=offset,
            limit=limit,
        )
    )


async def _updates(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).get_job_update_summaries_result
    assert result is not None
    return await r.sliced(result.update_summaries, asked, named_json.to_json)


async def _details(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).get_job_update_details_result
    if result is None or not result.details_list:
        raise Problem(404, _unknown(asked))
    return Shown(named_json.to_json(result.details_list[0]))


async def _started(asked: Asked, answer: Response, world: World) -> Shown:
    result = answer.result.start_job_update_result if answer.result is not None else None
    if result is None:
        return await r.done(asked, answer, world)
    return Shown(named_json.to_json(result), 201, f"/v1/updates/{keys.canonical(result.key.job)}/{result.key.id}")


async def _planned(asked: Asked, answer: Response, world: World) -> Shown:
    return Shown(await world.plan(StartJobUpdate(asked.body(JobUpdateRequest)), ""))


def _no_update(asked: Asked, tables: Tables) -> str | None:
    return None if asked.update in tables.updates else _unknown(asked)


def _unknown(asked: Asked) -> str:
    return f"There is no update {asked.text('update')} of {keys.canonical(asked.job)}."


_PATH = "/v1/updates/{role}/{environment}/{name}/{update}"
_USER = Parameter("user", "Started by this user only.", some_text, r.TEXT)


_Control = type[PauseJobUpdate] | type[ResumeJobUpdate] | type[AbortJobUpdate] | type[RollbackJobUpdate]


def _control(verb: str, summary: str, make: _Control) -> Route:
    def call(asked: Asked, tables: Tables) -> Call:
        return make(asked.update, asked.body(Why).message)

    body = Body(Why, required=False)
    return Route(
        "POST",
        f"{_PATH}/{verb}",
        summary,
        call,
        r.done,
        DONE,
        r.UPDATE,
        body,
        missing=_no_update,
        makes=(make,),
    )


ROUTES = (
    Route(
        "GET",
        "/v1/updates",
        "Updates of jobs, the last changed first.",
        _wanted,
        _updates,
        {200: PageOf(JobUpdateSummary)},
        (r.ROLE_WANTED, r.JOB_WANTED, _USER, r.UPDATE_STATUSES_WANTED, *r.PAGE),
        makes=(GetJobUpdateSummaries,),
    ),
    Route(
        "POST",
        "/v1/updates",
        "Begin to update a job; 200 if it is already as it shall be.",
        lambda asked, tables: asked.body(StartJobUpdate),
        _started,
        {201: One(StartJobUpdateResult), **DONE},
        body=Body(StartJobUpdate),
        makes=(StartJobUpdate,),
    ),
    Route(
        "POST",
        "/v1/updates/diff",
        "What an update would change.",
        lambda asked, tables: GetJobUpdateDiff(asked.body(JobUpdateRequest)),
        r.struct(lambda result: result.get_job_update_diff_result),
        {200: One(GetJobUpdateDiffResult)},
        body=Body(JobUpdateRequest),
        makes=(GetJobUpdateDiff,),
    ),
    Route(
        "POST",
        "/v1/updates/plan",
        "What an update would do, and whether its tasks would find hosts: changes nothing.",
        lambda asked, tables: GetJobUpdateDiff(asked.body(JobUpdateRequest)),
        _planned,
        {200: One(Plan)},
        body=Body(JobUpdateRequest),
        makes=(GetJobUpdateDiff,),
    ),
    Route(
        "GET",
        _PATH,
        "An update with its events.",
        lambda asked, tables: GetJobUpdateDetails(query=JobUpdateQuery(key=asked.update)),
        _details,
        {200: One(JobUpdateDetails)},
        r.UPDATE,
        makes=(GetJobUpdateDetails,),
    ),
    _control("pause", "Pause an update.", PauseJobUpdate),
    _control("resume", "Go on with a paused update.", ResumeJobUpdate),
    _control("abort", "Stop an update where it is.", AbortJobUpdate),
    _control("rollback", "Put everything back as it was before the update.", RollbackJobUpdate),
    Route(
        "POST",
        f"{_PATH}/pulse",
        "Tell an update that it may go on.",
        lambda asked, tables: PulseJobUpdate(asked.update),
        r.struct(lambda result: result.pulse_job_update_result),
        {200: One(PulseJobUpdateResult)},
        r.UPDATE,
        missing=_no_update,
        makes=(PulseJobUpdate,),
    ),
)
