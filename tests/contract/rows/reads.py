"""ReadOnlyScheduler (thrift-api sheet, section 2)."""

from __future__ import annotations

from tests.contract.compare import ANY
from tests.contract.rows.values import (
    BLANK,
    JAVA,
    Json,
    Row,
    Rows,
    created,
    cron,
    error,
    has,
    invalid,
    job,
    key,
    killed,
    ok,
    request,
    settings,
    stored,
    task,
    unset,
)

NONE = {"resources": [{"numCpus": 0.0}, {"ramMb": 0}, {"diskMb": 0}]}


def roles(role: str) -> Rows:
    yield created(role)
    yield created(role, "api", 1)
    description = cron(role)
    yield Row("a cron job", "scheduleCronJob", {"description": description}, ok())
    mine = {"role": role, "jobCount": 2, "cronJobCount": 1}
    yield Row(
        "one summary a role, with jobs and cron templates",
        "getRoleSummary",
        {},
        ok({"roleSummaryResult": {"summaries": has(mine)}}),
    )
    yield killed(role)
    yield killed(role, "api")
    yield Row("the template goes", "descheduleCronJob", {"job": key(role, "nightly")}, ok())


def jobs(role: str) -> Rows:
    """getJobs counts active tasks, getJobSummary all."""
    yield created(role)
    listed = {
        "key": key(role),
        "owner": {"user": "alice"},
        "cronCollisionPolicy": ANY,
        "taskConfig": stored(role),
        "instanceCount": 2,
    }
    stats = {"activeTaskCount": 0, "finishedTaskCount": 0, "failedTaskCount": 0, "pendingTaskCount": 2}
    yield Row("the jobs of a role", "getJobs", {"ownerRole": role}, ok({"getJobsResult": {"configs": [listed]}}))
    yield Row("no role: all", "getJobs", {}, ok({"getJobsResult": {"configs": has(listed)}}))
    summary = {"job": listed, "stats": stats}
    yield Row(
        "the jobs with their tasks by kind of state",
        "getJobSummary",
        {"role": role},
        ok({"jobSummaryResult": {"summaries": [summary]}}),
    )
    yield Row("no role: all", "getJobSummary", {}, ok({"jobSummaryResult": {"summaries": has(summary)}}))
    yield Row("a role of which there is nothing", "getJobs", {"ownerRole": f"{role}-no"}, ok(_configs([])))
    description = cron(role, instances=3)
    yield Row("a cron job", "scheduleCronJob", {"description": description}, ok())
    template = {
        "key": key(role, "nightly"),
        "owner": {"user": "alice"},
        "cronSchedule": "0 3 * * *",
        "cronCollisionPolicy": ANY,
        "taskConfig": stored(role, "nightly", isService=False),
        "instanceCount": 3,
    }
    yield Row("templates are jobs", "getJobs", {"ownerRole": role}, ok(_configs([listed, template])))
    none = {"activeTaskCount": 0, "finishedTaskCount": 0, "failedTaskCount": 0, "pendingTaskCount": 0}
    yield Row(
        "with the time of their next run",
        "getJobSummary",
        {"role": role},
        ok({"jobSummaryResult": {"summaries": has({"job": template, "stats": none, "nextCronRunMs": "<ms>"})}}),
    )
    yield killed(role)
    yield Row("the template goes", "descheduleCronJob", {"job": key(role, "nightly")}, ok())


def _configs(configs: list[Json]) -> Json:
    return {"getJobsResult": {"configs": configs}}


def _found(*tasks: Json) -> Json:
    return ok({"scheduleStatusResult": {"tasks": list(tasks)}})


def tasks(role: str) -> Rows:
    yield created(role, instances=1)
    assigned = {"taskId": "<task:1>", "task": stored(role), "assignedPorts": {}, "instanceId": 0}
    event = {"timestamp": "<ms>", "status": "PENDING", "scheduler": ANY}
    one = {"status": "PENDING", "failureCount": 0, "timesPartitioned": 0, "taskEvents": [event]}
    whole = one | {"assignedTask": assigned}
    slim = one | {"assignedTask": assigned | {"task": stored(role, executorConfig={"name": "AuroraExecutor"})}}
    mine = {"role": role}
    yield Row("the tasks", "getTasksStatus", {"query": mine}, _found(whole))
    yield Row("without the executor's data", "getTasksWithoutConfigs", {"query": mine}, _found(slim))
    for method in ("getTasksStatus", "getTasksWithoutConfigs", "getPendingReason"):
        yield Row("no query", method, {}, JAVA)
    for says, more, found in (
        ("by id", {"taskIds": ["<task:1>"]}, True),
        ("an empty set is ignored", {"taskIds": [], "statuses": [], "instanceIds": [], "slaveHosts": []}, True),
        ("by state", {"statuses": ["PENDING", "RUNNING"]}, True),
        ("by another state", {"statuses": ["RUNNING"]}, False),
        ("by host", {"slaveHosts": ["nowhere"]}, False),
        ("by instance", {"instanceIds": [0, 7]}, True),
        ("by another instance", {"instanceIds": [7]}, False),
        ("by environment and name", {"environment": "prod", "jobName": "web"}, True),
        ("an empty environment is not ignored", {"environment": ""}, False),
        ("by job key", {"jobKeys": [key(role)]}, True),
        ("by another job key", {"jobKeys": [key(role, "api")]}, False),
        ("all conditions count", {"jobKeys": [key(role)], "statuses": ["KILLED"]}, False),
        ("an offset skips", {"offset": 1}, False),
        ("a limit of none is none", {"limit": 0}, True),
    ):
        yield Row(says, "getTasksStatus", {"query": mine | more}, _found(*[whole] * found))
    yield Row(
        "a job that no key can name",
        "getTasksStatus",
        {"query": {"role": role, "environment": "prod", "jobName": "a b"}},
        error(None),
    )
    yield Row(
        "a bad entry in jobKeys",
        "getTasksStatus",
        {"query": {"jobKeys": [key(role, "a b")]}},
        error(f"Invalid job key format: IJobKey{{role={role}, environment=prod, name=a b}}"),
    )
    yield killed(role)


def reasons(role: str) -> Rows:
    yield created(role, instances=1)
    hosts = invalid("SlaveHosts are not supported in TaskQuery(<any>)")
    yield Row("hosts", "getPendingReason", {"query": {"role": role, "slaveHosts": ["h"]}}, hosts)
    both = {"role": role, "slaveHosts": ["h"], "statuses": ["PENDING"]}
    yield Row("hosts come before states", "getPendingReason", {"query": both}, hosts)
    yield Row(
        "states",
        "getPendingReason",
        {"query": {"role": role, "statuses": ["RUNNING"]}},
        invalid("Statuses is not supported in TaskQuery(<any>)"),
    )
    reason = {"taskId": "<task:1>", "reason": "Constraint not satisfied: nosuch"}
    yield Row(
        "the nearest fit",
        "getPendingReason",
        {"query": {"role": role}},
        ok({"getPendingReasonResult": {"reasons": [reason]}}),
        settle=20,
    )
    nothing = ok({"getPendingReasonResult": {"reasons": []}})
    yield Row("nobody waits", "getPendingReason", {"query": {"role": f"{role}-no"}}, nothing)
    yield killed(role)


def configs(role: str) -> Rows:
    yield Row("no key", "getConfigSummary", {}, JAVA)
    yield Row("a key that is none", "getConfigSummary", {"job": key(role, "a b")}, error(None))
    nothing = {"configSummaryResult": {"summary": {"key": key(role), "groups": []}}}
    yield Row("an unknown job", "getConfigSummary", {"job": key(role)}, ok(nothing))
    yield created(role, instances=3)
    group = {"config": stored(role), "instances": [{"first": 0, "last": 2}]}
    yield Row(
        "active tasks by configuration, instances as ranges",
        "getConfigSummary",
        {"job": key(role)},
        ok({"configSummaryResult": {"summary": {"key": key(role), "groups": [group]}}}),
    )
    yield killed(role)


def quota(role: str) -> Rows:
    yield Row("no role", "getQuota", {}, BLANK)
    yield Row("a blank role", "getQuota", {"ownerRole": " "}, BLANK)
    used = {
        "quota": NONE,
        "prodSharedConsumption": NONE,
        "nonProdSharedConsumption": NONE,
        "prodDedicatedConsumption": NONE,
        "nonProdDedicatedConsumption": NONE,
    }
    yield Row("nothing", "getQuota", {"ownerRole": role}, ok({"getQuotaResult": used}))
    yield created(role, instances=2)
    twice = {"resources": [{"numCpus": 1.0}, {"ramMb": 128}, {"diskMb": 128}]}
    yield Row(
        "tasks that need no quota",
        "getQuota",
        {"ownerRole": role},
        ok({"getQuotaResult": used | {"nonProdSharedConsumption": twice}}),
    )
    yield killed(role)


def populate(role: str) -> Rows:
    yield Row("nothing", "populateJobConfig", {}, JAVA)
    bare = task(role, tier=None, container=None, constraints=None)
    filled = stored(role, constraints=[])
    yield Row(
        "what is unset is filled in",
        "populateJobConfig",
        {"description": job(role, config=bare)},
        ok({"populateJobResult": {"taskConfig": filled}}),
    )
    yield Row(
        "cron jobs, too",
        "populateJobConfig",
        {"description": cron(role)},
        ok({"populateJobResult": {"taskConfig": stored(role, "nightly", isService=False)}}),
    )
    yield Row(
        "what createJob would refuse",
        "populateJobConfig",
        {"description": job(role, instances=0)},
        invalid("Invalid configuration: Instance count must be positive."),
    )
    yield Row(
        "tiers",
        "populateJobConfig",
        {"description": job(role, config=task(role, tier="nosuch"))},
        invalid("Invalid configuration: Invalid tier 'nosuch' in TaskConfig."),
    )


def diff(role: str) -> Rows:
    yield Row("no request", "getJobUpdateDiff", {}, JAVA)
    bad = request(role, config=task(role, resources=[]), settings=settings())
    yield Row("what does not pass validation", "getJobUpdateDiff", {"request": bad}, invalid(ANY))
    yield created(role)
    yield Row("no settings", "getJobUpdateDiff", {"request": unset(request(role), "settings")}, JAVA)
    new, old = stored(role, priority=1), stored(role)

    def groups(**members: tuple[Json, list[Json]]) -> Json:
        empty: Json = {"add": [], "remove": [], "update": [], "unchanged": []}
        named = {name: [{"config": c, "instances": i}] for name, (c, i) in members.items()}
        return ok({"getJobUpdateDiffResult": empty | named})

    both, first, third = [{"first": 0, "last": 1}], [{"first": 0, "last": 0}], [{"first": 2, "last": 2}]
    yield Row("changed", "getJobUpdateDiff", {"request": request(role)}, groups(update=(old, both)))
    same = request(role, config=task(role))
    yield Row("unchanged", "getJobUpdateDiff", {"request": same}, groups(unchanged=(old, both)))
    grown = request(role, instances=3, config=task(role))
    yield Row("grown", "getJobUpdateDiff", {"request": grown}, groups(unchanged=(old, both), add=(old, third)))
    shrunk = request(role, instances=1)
    yield Row(
        "shrunk: removed groups have the old configuration",
        "getJobUpdateDiff",
        {"request": shrunk},
        groups(update=(old, first), remove=(old, [{"first": 1, "last": 1}])),
    )
    only = request(role, instances=3, settings=settings(updateOnlyTheseInstances=third))
    yield Row(
        "only some instances",
        "getJobUpdateDiff",
        {"request": only},
        groups(unchanged=(old, both), add=(new, third)),
    )
    description = cron(role)
    yield Row("a cron job", "scheduleCronJob", {"description": description}, ok())
    yield Row(
        "cron jobs have none",
        "getJobUpdateDiff",
        {"request": request(role, "nightly")},
        invalid("Cron jobs are not supported."),
    )
    yield Row("the template goes", "descheduleCronJob", {"job": key(role, "nightly")}, ok())
    yield killed(role)


def tiers(role: str) -> Rows:
    settings_ = {"preemptible": ANY, "revocable": ANY}
    listed = has({"name": "preemptible", "settings": settings_})
    result = {"getTierConfigResult": {"defaultTierName": ANY, "tiers": listed}}
    yield Row("the tiers, their settings as texts", "getTierConfigs", {}, ok(result))


SCENARIOS = (roles, jobs, tasks, reasons, configs, quota, populate, diff, tiers)
