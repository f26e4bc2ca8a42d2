"""AuroraSchedulerManager: job updates, and the reads about them (thrift-api sheet, sections 2 and 3)."""

from __future__ import annotations

from typing import Any

from tests.contract.compare import ANY
from tests.contract.rows.jobs import NO_CRON_HERE, OVER, PRODUCTION, TOO_MANY
from tests.contract.rows.values import (
    BLANK,
    JAVA,
    Json,
    Row,
    Rows,
    created,
    cron,
    error,
    invalid,
    key,
    killed,
    ok,
    request,
    settings,
    task,
    unset,
    update_text,
)

ACTIVE = (
    "An active update already exists for this job, please terminate it before starting another. Active updates are "
    "those in states [ROLLING_FORWARD, ROLLING_BACK, ROLL_FORWARD_PAUSED, ROLL_BACK_PAUSED, "
    "ROLL_FORWARD_AWAITING_PULSE, ROLL_BACK_AWAITING_PULSE]"
)
EMPTY = "Update results in no instance being modified."
TOO_FORGIVING = (
    "Your update allows too many failures to occur, consider decreasing the per-instance failures or "
    "maxFailedInstances."
)
STARTED = "<update:1>"


def first(role: str) -> Json:
    return {"job": key(role), "id": STARTED}


def started(role: str, metadata: list[Json] | None = None) -> Json:
    summary = {"key": first(role), "user": ANY, "metadata": metadata or []}
    return {"startJobUpdateResult": {"key": first(role), "updateSummary": summary}}


def checks(role: str) -> Rows:
    """The table of startJobUpdate, in its order: each row is also wrong in the way of the row below it."""

    def ask(says: str, answer: Json, instances: int = 2, **changes: Any) -> Row:
        different: Json = changes.pop("config", {"priority": 1})
        config = task(role, **different)
        asked = request(role, instances=instances, config=config, settings=settings(**changes))
        return Row(says, "startJobUpdate", {"request": asked}, answer)

    varied: Json = {"varBatchStrategy": {"groupSizes": [1, 0], "autopauseAfterBatch": False}}
    yield Row("no request", "startJobUpdate", {}, JAVA)
    yield Row("no settings", "startJobUpdate", {"request": unset(request(role), "settings")}, JAVA)
    yield Row("empty settings", "startJobUpdate", {"request": request(role) | {"settings": {}}}, invalid(EMPTY))
    yield ask("1: no service", invalid("Updates are not supported for non-service tasks."), config={"isService": False},
              updateStrategy=varied)  # fmt: skip
    yield ask("2: an empty batch", invalid("All update group sizes must be positive."), updateStrategy=varied)
    yield ask("4: no group", invalid(EMPTY), updateGroupSize=0, maxPerInstanceFailures=-1)
    yield ask("4: no group in the strategy", invalid(EMPTY), updateStrategy={"queueStrategy": {"groupSize": 0}})
    negative = invalid("maxPerInstanceFailures must be non-negative.")
    yield ask("5", negative, maxPerInstanceFailures=-1, maxFailedInstances=-1)
    yield ask("6", invalid("maxFailedInstances must be non-negative."), maxFailedInstances=-1,
              maxPerInstanceFailures=1_000_000)  # fmt: skip
    yield ask("7", invalid(TOO_FORGIVING), maxPerInstanceFailures=1_000_000, minWaitInInstanceRunningMs=-1)
    yield ask("8", invalid("minWaitInInstanceRunningMs must be non-negative."), minWaitInInstanceRunningMs=-1,
              blockIfNoPulsesAfterMs=-1)  # fmt: skip
    yield ask("9", invalid("blockIfNoPulsesAfterMs must be positive."), blockIfNoPulsesAfterMs=-1, slaAware=True)
    aware = invalid("slaAware is true, but no task slaPolicy is specified.")
    yield ask("10", aware, slaAware=True, config={"resources": []})
    yield ask("11: validation", invalid("num_cpus must be greater than 0.0"),
              config={"resources": [{"numCpus": 0.0}, {"ramMb": 1}, {"diskMb": 1}]})  # fmt: skip


def conditions(role: str) -> Rows:
    """What depends on the job as it is."""

    def ask(says: str, answer: Json, instances: int = 2, name: str = "web", **changes: Any) -> Row:
        config = changes.pop("config", task(role, name, priority=1))
        asked = request(role, name, instances, config=config, settings=settings(**changes))
        return Row(says, "startJobUpdate", {"request": asked}, answer)

    yield Row("a cron job", "scheduleCronJob", {"description": cron(role)}, ok())
    yield ask("12: cron jobs", NO_CRON_HERE, name="nightly")
    yield Row("it goes", "descheduleCronJob", {"job": key(role, "nightly")}, ok())
    yield created(role)
    strangers = (
        "The update request attempted to update specific instances, but some are irrelevant to the update and "
        "current job state: [7, 8]"
    )
    yield ask("13: instances that nobody knows", invalid(strangers),
              updateOnlyTheseInstances=[{"first": 7, "last": 8}])  # fmt: skip
    unchanged = ok(None, "Job is unchanged by proposed update.")
    yield ask("14: nothing to change", unchanged, config=task(role))
    yield ask("14: nothing of what may change", unchanged, config=task(role),
              updateOnlyTheseInstances=[{"first": 0, "last": 0}])  # fmt: skip
    yield ask("15: too many instances", TOO_MANY, instances=50_000, config=task(role, **PRODUCTION))
    yield ask("16: no quota", OVER, config=task(role, **PRODUCTION))
    metadata = [{"key": "org.apache.aurora.client.update_id", "value": "7"}]
    asked = {"request": request(role, metadata=metadata), "message": "new"}
    yield Row("an update", "startJobUpdate", asked, ok(started(role, metadata)))
    state = {"status": "ROLLING_FORWARD", "createdTimestampMs": "<ms>", "lastModifiedTimestampMs": "<ms>"}
    running = started(role, metadata)
    running["startJobUpdateResult"]["updateSummary"]["state"] = state
    yield ask("17: an active update, with what clients know theirs by", invalid(ACTIVE) | {"result": running})
    yield Row("its end", "abortJobUpdate", {"key": first(role)}, ok())
    yield killed(role)


def orders(role: str) -> Rows:
    """pause, resume, abort and rollback."""
    methods = ("pauseJobUpdate", "resumeJobUpdate", "abortJobUpdate", "rollbackJobUpdate")
    for method in methods:
        colon = ":" if method == "resumeJobUpdate" else ""
        yield Row("nothing", method, {}, JAVA)
        yield Row("a key that is none", method, {"key": {"job": key(role, "a b"), "id": "x"}}, error(None))
        missing = invalid(f"Update does not exist{colon} {update_text(role, 'nosuch')}")
        yield Row("an unknown update", method, {"key": {"job": key(role), "id": "nosuch"}}, missing)
    yield created(role)
    yield Row("an update", "startJobUpdate", {"request": request(role)}, ok(started(role)))

    def ask(method: str, says: str, answer: Json) -> Row:
        return Row(says, f"{method}JobUpdate", {"key": first(role), "message": says}, answer)

    def cannot(before: str, after: str) -> Json:
        return invalid(f"Cannot transition update from {before} to {after}")

    yield ask("pause", "paused", ok())
    yield ask("pause", "once more is nothing new", ok())
    yield ask("resume", "resumed", ok())
    yield ask("rollback", "rolled back", ok())
    yield ask("pause", "paused on the way back", ok())
    yield ask("rollback", "and on", ok())
    yield ask("abort", "aborted", ok())
    yield ask("pause", "what has ended cannot be paused", cannot("ABORTED", "null"))
    yield ask("resume", "nor resumed", cannot("ABORTED", "null"))
    yield ask("rollback", "nor rolled back", cannot("ABORTED", "ROLLING_BACK"))
    yield killed(role)


def pulses(role: str) -> Rows:
    def status(name: str) -> Json:
        return ok({"pulseJobUpdateResult": {"status": name}})

    yield Row("nothing", "pulseJobUpdate", {}, JAVA)
    yield Row("a key that is none", "pulseJobUpdate", {"key": {"job": key(role, "a b"), "id": "x"}}, error(None))
    yield Row("a blank id", "pulseJobUpdate", {"key": {"job": key(role), "id": " "}}, BLANK)
    unknown = {"key": {"job": key(role), "id": "nosuch"}}
    yield Row("an unknown update has finished", "pulseJobUpdate", unknown, status("FINISHED"))
    yield created(role)
    asked = request(role, settings=settings(blockIfNoPulsesAfterMs=60_000))
    yield Row("an update that needs pulses", "startJobUpdate", {"request": asked}, ok(started(role)))
    state = {"status": "ROLL_FORWARD_AWAITING_PULSE", "createdTimestampMs": "<ms>", "lastModifiedTimestampMs": "<ms>"}
    summary = {"key": first(role), "user": ANY, "state": state, "metadata": []}
    query = {"jobUpdateQuery": {"key": first(role)}}
    found = ok({"getJobUpdateSummariesResult": {"updateSummaries": [summary]}})
    yield Row("waits for one", "getJobUpdateSummaries", query, found)
    yield Row("and gets it", "pulseJobUpdate", {"key": first(role)}, status("OK"))
    after = ok({"getJobUpdateSummariesResult": {
        "updateSummaries": [summary | {"state": state | {"status": "ROLLING_FORWARD"}}]}})  # fmt: skip
    yield Row("and goes on", "getJobUpdateSummaries", query, after, settle=20)
    yield Row("its end", "abortJobUpdate", {"key": first(role)}, ok())
    yield killed(role)


def reads(role: str) -> Rows:
    def summaries(*found: Json) -> Json:
        return ok({"getJobUpdateSummariesResult": {"updateSummaries": list(found)}})

    yield Row("no query", "getJobUpdateSummaries", {}, JAVA)
    yield Row("no match", "getJobUpdateSummaries", {"jobUpdateQuery": {"role": role}}, summaries())
    neither = error("Either key or query must be set.")
    yield Row("neither key nor query", "getJobUpdateDetails", {}, neither)
    missing = invalid(f"Invalid update: {update_text(role, 'nosuch')}")
    unknown = {"job": key(role), "id": "nosuch"}
    yield Row("an unknown key", "getJobUpdateDetails", {"key": unknown}, missing)
    none = ok({"getJobUpdateDetailsResult": {"detailsList": []}})
    yield Row("a query without a match", "getJobUpdateDetails", {"query": {"key": unknown}}, none)
    yield created(role)
    asked = {"request": request(role), "message": "new"}
    yield Row("an update", "startJobUpdate", asked, ok(started(role)))
    state = {"status": "ROLLING_FORWARD", "createdTimestampMs": "<ms>", "lastModifiedTimestampMs": "<ms>"}
    one = {"key": first(role), "user": ANY, "state": state, "metadata": []}
    for says, query, found in (
        ("by role", {"role": role}, True),
        ("by key", {"key": first(role)}, True),
        ("by job", {"jobKey": key(role)}, True),
        ("by state", {"role": role, "updateStatuses": ["ROLLING_FORWARD"]}, True),
        ("by another state", {"role": role, "updateStatuses": ["ABORTED"]}, False),
        ("an empty set is ignored", {"role": role, "updateStatuses": []}, True),
        ("by another user", {"role": role, "user": "nobody"}, False),
        ("an offset skips", {"role": role, "offset": 1}, False),
        ("a limit of none is none", {"role": role, "limit": 0}, True),
    ):
        yield Row(says, "getJobUpdateSummaries", {"jobUpdateQuery": query}, summaries(*[one] * found))
    details = {"update": ANY, "updateEvents": ANY, "instanceEvents": ANY}
    listed = ok({"getJobUpdateDetailsResult": {"detailsList": [details]}})
    yield Row("by a query", "getJobUpdateDetails", {"query": {"role": role}}, listed)
    both = {"key": unknown, "query": {"role": role}}
    yield Row("the query counts, not the key", "getJobUpdateDetails", both, listed)
    old = ok(
        {"getJobUpdateDetailsResult": {"details": details}},
        "The key argument is deprecated, use the query argument instead",
    )
    yield Row("by key, as it was once", "getJobUpdateDetails", {"key": first(role)}, old)
    yield Row("its end", "abortJobUpdate", {"key": first(role)}, ok())
    yield killed(role)


SCENARIOS = (checks, conditions, orders, pulses, reads)
