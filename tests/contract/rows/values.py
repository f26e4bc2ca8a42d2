"""How a row of the contract is written: a call, and what any scheduler that keeps the contract answers.

Jobs ask for a host that no cluster has, so their tasks wait, whatever cluster this is. Each scenario has a role of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.contract.compare import ANY, HAS

Json = dict[str, Any]

SERVER = {"clusterName": ANY, "statsUrlPrefix": ANY}
NOWHERE = {"name": "nosuch", "constraint": {"value": {"negated": False, "values": ["x"]}}}
RESOURCES = [{"numCpus": 0.5}, {"ramMb": 64}, {"diskMb": 64}]


class Row(NamedTuple):
    """`says` is the row of the thrift-api sheet; `settle` how many seconds the answer may take to become so."""

    says: str
    method: str
    args: Json
    answer: Json
    settle: int = 0


Rows = Iterator[Row]
Scenario = Callable[[str], Rows]
"""The rows, in order, for a role that nobody else has."""


def ok(result: Json | None = None, *details: str) -> Json:
    answer = {"responseCode": "OK", "serverInfo": SERVER, "details": [{"message": text} for text in details]}
    return answer | ({"result": result} if result is not None else {})


def refused(code: str, text: str | None) -> Json:
    """`text` is None where the original has no text, `ANY` where it is one of the Java runtime."""
    return {"responseCode": code, "serverInfo": SERVER, "details": [{} if text is None else {"message": text}]}


def invalid(text: str) -> Json:
    return refused("INVALID_REQUEST", text)


def error(text: str | None) -> Json:
    return refused("ERROR", text)


def has(*elements: object) -> Json:
    """A collection in which these are, among others."""
    return {HAS: list(elements)}


UPDATING = refused("JOB_UPDATING_ERROR", "Job is currently updating")
BLANK = error("Argument cannot be blank")
JAVA = error(ANY)


def key(role: str, name: str = "web") -> Json:
    return {"role": role, "environment": "prod", "name": name}


def path(role: str, name: str = "web") -> str:
    return f"{role}/prod/{name}"


def key_text(role: str, name: str = "web") -> str:
    return f"IJobKey{{role={role}, environment=prod, name={name}}}"


def update_text(role: str, update_id: str, name: str = "web") -> str:
    return f"IJobUpdateKey{{job={key_text(role, name)}, id={update_id}}}"


def task(role: str, name: str = "web", **changes: Any) -> Json:
    """A configuration as clients send it; None leaves a field out."""
    made: Json = {
        "job": key(role, name),
        "owner": {"user": "alice"},
        "isService": True,
        "priority": 0,
        "maxTaskFailures": 1,
        "tier": "preemptible",
        "resources": RESOURCES,
        "constraints": [NOWHERE],
        "executorConfig": {"name": "AuroraExecutor", "data": "{}"},
        "container": {"mesos": {}},
    }
    return {field: value for field, value in (made | changes).items() if value is not None}


def stored(role: str, name: str = "web", **changes: Any) -> Json:
    """The same as it comes back: collections and numbers are never unset."""
    defaults = {
        "production": False,
        "taskLinks": {},
        "metadata": [],
        "mesosFetcherUris": [],
        "container": {"mesos": {"volumes": []}},
    }
    return task(role, name) | defaults | changes


def job(role: str, name: str = "web", instances: int = 2, **changes: Any) -> Json:
    config = changes.pop("config", None)
    made: Json = {
        "key": key(role, name),
        "owner": {"user": "alice"},
        "taskConfig": task(role, name) if config is None else config,
        "instanceCount": instances,
    }
    return {field: value for field, value in (made | changes).items() if value is not None}


def cron(role: str, name: str = "nightly", instances: int = 2, **changes: Any) -> Json:
    """A cron job, which is no service; at three in the morning, if nothing else is said."""
    config = task(role, name, isService=False, **changes.pop("config", {}))
    return job(role, name, instances, **{"cronSchedule": "0 3 * * *", **changes}, config=config)


def created(role: str, name: str = "web", instances: int = 2, **changes: Any) -> Row:
    return Row("a job to begin with", "createJob", {"description": job(role, name, instances, **changes)}, ok())


def killed(role: str, name: str = "web") -> Row:
    """Nothing of a scenario shall stay."""
    return Row("and in the end", "killTasks", {"job": key(role, name)}, ok())


def settings(**changes: Any) -> Json:
    made: Json = {
        "updateGroupSize": 1,
        "maxPerInstanceFailures": 0,
        "maxFailedInstances": 0,
        "minWaitInInstanceRunningMs": 1000,
        "rollbackOnFailure": True,
        "updateOnlyTheseInstances": [],
    }
    return made | changes


def request(role: str, name: str = "web", instances: int = 2, **changes: Any) -> Json:
    config, asked = changes.pop("config", None), changes.pop("settings", None)
    made: Json = {
        "taskConfig": task(role, name, priority=1) if config is None else config,
        "instanceCount": instances,
        "settings": settings() if asked is None else asked,
        "metadata": [],
    }
    return {field: value for field, value in (made | changes).items() if value is not None}


def unset(struct: Json, field: str) -> Json:
    """The same without one of its fields."""
    return {name: value for name, value in struct.items() if name != field}
