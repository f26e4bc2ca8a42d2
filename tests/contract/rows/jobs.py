"""AuroraSchedulerManager: jobs and cron jobs (thrift-api sheet, section 3)."""

from __future__ import annotations

from tests.contract.compare import ANY
from tests.contract.rows.values import (
    BLANK,
    JAVA,
    UPDATING,
    Json,
    Row,
    Rows,
    created,
    cron,
    error,
    invalid,
    job,
    key,
    killed,
    ok,
    path,
    request,
    task,
    unset,
)

NO_CRON_HERE = invalid("Cron jobs may only be created/updated by calling scheduleCronJob.")
TOO_MANY = invalid("Instance count must be between 1 and <any> inclusive.")
OVER = invalid("Insufficient resource quota: CPU quota exceeded by <any> core(s); <any>")
PRODUCTION: Json = {"tier": "preferred", "production": True}


def updating(role: str) -> Row:
    """An update that goes on until it is aborted: its tasks find no host."""
    started = {"startJobUpdateResult": {"key": {"job": key(role), "id": "<update:1>"}, "updateSummary": ANY}}
    return Row("an update", "startJobUpdate", {"request": request(role)}, ok(started))


def aborted(role: str) -> Row:
    return Row("its end", "abortJobUpdate", {"key": {"job": key(role), "id": "<update:1>"}}, ok())


def create(role: str) -> Rows:
    def ask(says: str, description: Json, answer: Json) -> Row:
        return Row(says, "createJob", {"description": description}, answer)

    yield Row("nothing", "createJob", {}, JAVA)
    count = invalid("Instance count must be positive.")
    yield ask("1: what does not pass validation", job(role, instances=0), count)
    yield ask("1 before 2", job(role, instances=0, cronSchedule="* * * * *"), count)
    yield ask("2: a schedule", cron(role), NO_CRON_HERE)
    yield ask("2: even an empty one", job(role, cronSchedule=""), NO_CRON_HERE)
    yield created(role)
    yield ask("4: active tasks", job(role), invalid(f"Job {path(role)} already exists"))
    yield ask("4 before 5", job(role, instances=1_000_000), invalid(f"Job {path(role)} already exists"))
    yield updating(role)
    yield ask("3 before 4", job(role), UPDATING)
    yield aborted(role)
    description = cron(role)
    yield Row("a cron job", "scheduleCronJob", {"description": description}, ok())
    yield ask("4: a template", job(role, "nightly"), invalid(f"Job {path(role, 'nightly')} already exists"))
    yield Row("it goes", "descheduleCronJob", {"job": key(role, "nightly")}, ok())
    large = job(role, "api", 1_000_000, config=task(role, "api", **PRODUCTION))
    yield ask("5 before 6: too many instances", large, TOO_MANY)
    paid = task(role, "api", **PRODUCTION)
    yield ask("6: no quota", job(role, "api", config=paid), OVER)
    adhoc = task(role, "batch", isService=False)
    yield ask("7: ad-hoc jobs, too", job(role, "batch", config=adhoc), ok())
    yield killed(role, "batch")
    yield killed(role)
    yield ask("ended tasks do not stand in the way", job(role), ok())
    yield killed(role)


def schedule(role: str) -> Rows:
    """scheduleCronJob and replaceCronTemplate."""

    def ask(says: str, description: Json, answer: Json, method: str = "scheduleCronJob") -> Row:
        argument = "description" if method == "scheduleCronJob" else "config"
        return Row(says, method, {argument: description}, answer)

    for method, argument in (("scheduleCronJob", "description"), ("replaceCronTemplate", "config")):
        yield Row("nothing", method, {}, JAVA)
        bad = {argument: cron(role) | {"key": key(role, "a b")}}
        yield Row("1: a key that is none", method, bad, error(None))
        yield ask("2: validation", cron(role, instances=0), invalid("Instance count must be positive."), method)
        bare = unset(cron(role), "cronSchedule")
        yield ask("3: no schedule", bare, invalid(f"Job {path(role, 'nightly')} has no cron schedule"), method)
        yield ask("5: too many instances", cron(role, instances=1_000_000), TOO_MANY, method)
        paid = cron(role, config=PRODUCTION)
        yield ask("5: no quota", paid, OVER, method)
        yield ask(
            "7: an empty schedule", cron(role, cronSchedule=""), invalid("Job has an empty cron schedule."), method
        )
        yield ask(
            "7: no schedule at all",
            cron(role, cronSchedule="a * * * *"),
            invalid("Invalid cron schedule: a * * * *"),
            method,
        )
    missing = invalid(f"No cron job found for {path(role, 'nightly')}.")
    yield ask("6: nothing to replace", cron(role), missing, "replaceCronTemplate")
    yield created(role)
    yield ask("6: a job with active tasks", cron(role, "web"), invalid(f"Job {path(role)} already exists"))
    yield updating(role)
    yield ask("4 before 5: an update", cron(role, "web", instances=1_000_000), UPDATING)
    yield aborted(role)
    overlap = cron(role, cronCollisionPolicy="RUN_OVERLAP")
    gone = invalid("The RUN_OVERLAP collision policy has been removed (AURORA-38).")
    yield ask("7: overlapping runs", overlap, gone)
    yield ask("8: scheduled", cron(role), ok())
    yield ask("6: once more is an update", cron(role, cronSchedule="0 4 * * *"), ok())
    yield ask("8: replaced", cron(role, cronSchedule="0 5 * * *"), ok(), "replaceCronTemplate")
    configs = {"getJobsResult": {"configs": [ANY, ANY]}}
    yield Row("no tasks were started", "getJobs", {"ownerRole": role}, ok(configs))
    nothing = ok({"scheduleStatusResult": {"tasks": []}})
    yield Row("no tasks were started", "getTasksStatus", {"query": {"jobKeys": [key(role, "nightly")]}}, nothing)
    yield Row("it goes", "descheduleCronJob", {"job": key(role, "nightly")}, ok())
    yield killed(role)


def deschedule(role: str) -> Rows:
    yield Row("nothing", "descheduleCronJob", {}, JAVA)
    yield Row("a key that is none", "descheduleCronJob", {"job": key(role, "a b")}, error(None))
    missing = ok(None, f"Job {path(role)} is not scheduled with cron")
    yield Row("what is not there is gone", "descheduleCronJob", {"job": key(role)}, missing)
    yield created(role)
    yield updating(role)
    yield Row("an update", "descheduleCronJob", {"job": key(role)}, UPDATING)
    yield aborted(role)
    yield killed(role)


def start(role: str) -> Rows:
    yield Row("nothing", "startCronJob", {}, JAVA)
    yield Row("a key that is none", "startCronJob", {"job": key(role, "a b")}, error(None))
    missing = invalid(f"Failed to start cron job - No cron job found for {path(role)}.")
    yield Row("no template", "startCronJob", {"job": key(role)}, missing)
    description = cron(role, "web", 1, cronSchedule="0 3 1 1 *")
    yield Row("a template", "scheduleCronJob", {"description": description}, ok())
    yield Row("a run", "startCronJob", {"job": key(role)}, ok())
    one = {"assignedTask": ANY, "status": "PENDING", "failureCount": 0, "taskEvents": ANY, "timesPartitioned": 0}
    yield Row(
        "its tasks",
        "getTasksStatus",
        {"query": {"jobKeys": [key(role)]}},
        ok({"scheduleStatusResult": {"tasks": [one]}}),
        settle=20,
    )
    yield Row("the template goes", "descheduleCronJob", {"job": key(role)}, ok())
    yield killed(role)


def restart(role: str) -> Rows:
    yield Row("nothing", "restartShards", {"shardIds": [0]}, JAVA)
    yield Row("a key that is none", "restartShards", {"job": key(role, "a b"), "shardIds": [0]}, error(None))
    yield Row("no instances", "restartShards", {"job": key(role)}, BLANK)
    yield Row("an empty set of them", "restartShards", {"job": key(role), "shardIds": []}, BLANK)
    inactive = invalid("Not all requested shards are active.")
    yield Row("an unknown job", "restartShards", {"job": key(role), "shardIds": [0]}, inactive)
    yield created(role)
    yield Row("all or nothing", "restartShards", {"job": key(role), "shardIds": [0, 7]}, inactive)
    yield Row("restarted", "restartShards", {"job": key(role), "shardIds": [0, 1]}, ok())
    yield updating(role)
    yield Row("an update", "restartShards", {"job": key(role), "shardIds": [0]}, UPDATING)
    yield aborted(role)
    yield killed(role)


def kill(role: str) -> Rows:
    nothing = ok(None, "No tasks to kill.")
    yield Row("nothing", "killTasks", {}, JAVA)
    yield Row("a key that is none", "killTasks", {"job": key(role, "a b")}, error(None))
    yield Row("an unknown job", "killTasks", {"job": key(role)}, nothing)
    yield created(role, instances=3)
    yield Row("unknown instances", "killTasks", {"job": key(role), "instances": [7]}, nothing)
    yield Row("some", "killTasks", {"job": key(role), "instances": [0, 7], "message": "not needed"}, ok())
    yield updating(role)
    yield Row("an update", "killTasks", {"job": key(role)}, UPDATING)
    yield aborted(role)
    yield Row("no instances: all of them", "killTasks", {"job": key(role), "instances": []}, ok())
    yield Row("once more", "killTasks", {"job": key(role)}, nothing)


def add(role: str) -> Rows:
    def ask(says: str, instance: int, count: int, answer: Json, name: str = "web") -> Row:
        return Row(says, "addInstances", {"key": {"jobKey": key(role, name), "instanceId": instance}, "count": count},
                   answer)  # fmt: skip

    positive = invalid("Instance count must be positive.")
    absent = invalid("No active task found for a given instance ID.")
    yield Row("nothing", "addInstances", {"count": 1}, JAVA)
    yield ask("1: a key that is none", 0, 1, error(None), "a b")
    yield ask("2: none", 0, 0, positive)
    yield ask("2 before 5: fewer than none", 7, -1, positive)
    yield ask("5: an unknown job", 0, 1, absent)
    description = cron(role)
    yield Row("a cron job", "scheduleCronJob", {"description": description}, ok())
    yield ask("3: cron jobs", 0, 1, invalid("Instances may not be added to cron jobs."), "nightly")
    yield Row("it goes", "descheduleCronJob", {"job": key(role, "nightly")}, ok())
    yield created(role, instances=3)
    yield ask("5: an unknown instance", 7, 1, absent)
    yield ask("7: too many", 0, 1_000_000, TOO_MANY)
    yield Row("a gap", "killTasks", {"job": key(role), "instances": [1]}, ok())
    yield ask("6: above the highest", 0, 2, ok())
    groups = [{"config": ANY, "instances": [{"first": 0, "last": 0}, {"first": 2, "last": 4}]}]
    summary = {"configSummaryResult": {"summary": {"key": key(role), "groups": groups}}}
    yield Row("gaps are not filled", "getConfigSummary", {"job": key(role)}, ok(summary))
    yield updating(role)
    yield ask("4 before 5: an update", 77, 1, UPDATING)
    yield aborted(role)
    yield killed(role)
    enough = {"resources": [{"numCpus": 1.0}, {"ramMb": 128}, {"diskMb": 128}]}
    yield Row("quota for two", "setQuota", {"ownerRole": role, "quota": enough}, ok())
    paid = task(role, "paid", **PRODUCTION)
    yield Row("two", "createJob", {"description": job(role, "paid", config=paid)}, ok())
    yield ask("7: quota for no more", 0, 1, OVER, "paid")
    yield killed(role, "paid")


SCENARIOS = (create, schedule, deschedule, start, restart, kill, add)
