"""What belongs to the cluster rather than to a job: cron schedules, quotas, tiers, hosts."""

from __future__ import annotations

from typing import Annotated

from aurorad.api import keys, named_json
from aurorad.api.calls import (
    Call,
    DescheduleCronJob,
    DrainHosts,
    EndMaintenance,
    GetJobSummary,
    GetQuota,
    GetRoleSummary,
    GetTierConfigs,
    MaintenanceStatus,
    ScheduleCronJob,
    SetQuota,
    SlaDrainHosts,
    StartCronJob,
    StartMaintenance,
)
from aurorad.api.enums import MaintenanceMode
from aurorad.api.results import GetQuotaResult, GetTierConfigResult, HostStatus, JobSummary, Response, Result
from aurorad.api.struct import Id, ThriftStruct
from aurorad.api.tasks import HostAttributes, Hosts, JobConfiguration, ResourceAggregate
from aurorad.storage.tables import Tables
from aurorad.web.v1 import route as r
from aurorad.web.v1.problems import Problem
from aurorad.web.v1.reading import Asked, Body, Parameter, one_of
from aurorad.web.v1.route import DONE, One, PageOf, Route, Show, Shown, World

# -- Cron jobs


def _cron_jobs(answer: Response) -> list[JobSummary]:
    result = r.result_of(answer).job_summary_result
    assert result is not None
    return [summary for summary in result.summaries if summary.job.cron_schedule is not None]


async def _crons(asked: Asked, answer: Response, world: World) -> Shown:
    return await r.page(_cron_jobs(answer), lambda summary: keys.canonical(summary.job.key), asked, named_json.to_json)


async def _cron(asked: Asked, answer: Response, world: World) -> Shown:
    found = [summary for summary in _cron_jobs(answer) if summary.job.key == asked.job]
    if not found:
        raise Problem(404, _unknown_cron(asked))
    return Shown(named_json.to_json(found[0]))


def _schedule(asked: Asked, tables: Tables) -> Call:
    job = asked.body(JobConfiguration)
    if job.key != asked.job:
        path, body = keys.canonical(asked.job), keys.canonical(job.key)
        raise Problem(422, f"The path is of {path}, but the body of {body}: the same key was expected.")
    return ScheduleCronJob(job)


def _no_cron(asked: Asked, tables: Tables) -> str | None:
    return None if asked.job in tables.cron_jobs else _unknown_cron(asked)


def _unknown_cron(asked: Asked) -> str:
    return f"There is no cron job {keys.canonical(asked.job)}."


# -- Quotas


class RoleQuota(ThriftStruct, frozen=True, cache_hash=True):
    """What a role was granted."""

    role: Annotated[str, Id(1)] = ""
    quota: Annotated[ResourceAggregate, Id(2)] = ResourceAggregate()


async def _quotas(asked: Asked, answer: Response, world: World) -> Shown:
    granted = [RoleQuota(role, quota) for role, quota in world.tables.quotas.items()]
    return await r.page(granted, lambda one: one.role, asked, named_json.to_json)


# -- Hosts


def _hosts(asked: Asked, tables: Tables) -> Call:
    return MaintenanceStatus(Hosts(frozenset(asked.each("host", str) or tables.hosts)))


def _host_page(result: Result) -> frozenset[HostStatus]:
    for named in (
        result.maintenance_status_result,
        result.start_maintenance_result,
        result.drain_hosts_result,
        result.end_maintenance_result,
    ):
        if named is not None:
            return named.statuses
    raise AssertionError(result)


async def _host_list(asked: Asked, answer: Response, world: World) -> Shown:
    mode, known = asked.get("mode", MaintenanceMode), world.tables.hosts
    named = [host.host for host in _host_page(r.result_of(answer)) if mode is None or host.mode is mode]
    hosts = [known[name] for name in named if name in known]
    return await r.page(hosts, lambda host: host.host, asked, named_json.to_json)


async def _all_hosts(asked: Asked, answer: Response, world: World) -> Shown:
    hosts = sorted(_host_page(r.result_of(answer)), key=lambda host: host.host)
    return Shown({"items": [named_json.to_json(host) for host in hosts]})


_MODE = Parameter(
    "mode",
    "In this mode only.",
    one_of(dict(MaintenanceMode.__members__)),
    {"type": "string", "enum": list(MaintenanceMode.__members__)},
)


def _to_hosts(verb: str, summary: str, cls: type[StartMaintenance | DrainHosts | EndMaintenance]) -> Route:
    def call(asked: Asked, tables: Tables) -> Call:
        return cls(asked.body(Hosts))

    return Route(
        "POST",
        f"/v1/hosts/{verb}",
        summary,
        call,
        _all_hosts,
        {200: PageOf(HostStatus)},
        body=Body(Hosts),
        makes=(cls,),
    )


_CRON = "/v1/cron/{role}/{environment}/{name}"
_TIERS: Show = r.struct(lambda result: result.get_tier_config_result)

ROUTES = (
    Route(
        "GET",
        "/v1/cron",
        "Cron jobs, with their next runs.",
        lambda asked, tables: GetJobSummary(asked.get("role", str)),
        _crons,
        {200: PageOf(JobSummary)},
        (r.ROLE_WANTED, *r.PAGE),
        makes=(GetJobSummary,),
    ),
    Route(
        "GET",
        _CRON,
        "A cron job.",
        lambda asked, tables: GetJobSummary(asked.text("role")),
        _cron,
        {200: One(JobSummary)},
        r.JOB,
        makes=(GetJobSummary,),
    ),
    Route(
        "PUT",
        _CRON,
        "Schedule a cron job, or replace it.",
        _schedule,
        r.done,
        DONE,
        r.JOB,
        Body(JobConfiguration),
        makes=(ScheduleCronJob,),
    ),
    Route(
        "DELETE",
        _CRON,
        "Forget the schedule; tasks go on.",
        lambda asked, tables: DescheduleCronJob(asked.job),
        r.done,
        DONE,
        r.JOB,
        missing=_no_cron,
        makes=(DescheduleCronJob,),
    ),
    Route(
        "POST",
        f"{_CRON}/start",
        "Run a cron job now.",
        lambda asked, tables: StartCronJob(asked.job),
        r.done,
        DONE,
        r.JOB,
        missing=_no_cron,
        makes=(StartCronJob,),
    ),
    Route(
        "GET",
        "/v1/quotas",
        "The roles that were granted something, and what.",
        lambda asked, tables: GetRoleSummary(),
        _quotas,
        {200: PageOf(RoleQuota)},
        r.PAGE,
        makes=(GetRoleSummary,),
    ),
    Route(
        "GET",
        "/v1/quotas/{role}",
        "What a role may use, and uses.",
        lambda asked, tables: GetQuota(asked.text("role")),
        r.struct(lambda result: result.get_quota_result),
        {200: One(GetQuotaResult)},
        (r.ROLE,),
        makes=(GetQuota,),
    ),
    Route(
        "PUT",
        "/v1/quotas/{role}",
        "Grant a role so much: numCpus, ramMb and diskMb.",
        lambda asked, tables: SetQuota(asked.text("role"), asked.body(ResourceAggregate)),
        r.done,
        DONE,
        (r.ROLE,),
        Body(ResourceAggregate),
        makes=(SetQuota,),
    ),
    Route(
        "GET",
        "/v1/tiers",
        "The tiers, and what they allow.",
        lambda asked, tables: GetTierConfigs(),
        _TIERS,
        {200: One(GetTierConfigResult)},
        makes=(GetTierConfigs,),
    ),
    Route(
        "GET",
        "/v1/hosts",
        "Hosts that have ever offered something, with their attributes and maintenance modes.",
        _hosts,
        _host_list,
        {200: PageOf(HostAttributes)},
        (r.HOSTS_WANTED, _MODE, *r.PAGE),
        makes=(MaintenanceStatus,),
    ),
    _to_hosts("start-maintenance", "Prefer other hosts for new tasks.", StartMaintenance),
    _to_hosts("drain", "Have all tasks leave these hosts, as far as their SLA is kept.", DrainHosts),
    Route(
        "POST",
        "/v1/hosts/sla-drain",
        "Have tasks leave these hosts within a time, by a default SLA for those that have none.",
        lambda asked, tables: asked.body(SlaDrainHosts),
        _all_hosts,
        {200: PageOf(HostStatus)},
        body=Body(SlaDrainHosts),
        makes=(SlaDrainHosts,),
    ),
    _to_hosts("end-maintenance", "Take these hosts back into service.", EndMaintenance),
)
