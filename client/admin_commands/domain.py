"""How much jobs would miss hosts (client-internals sheet, section 13): pure arithmetic over uptimes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from aurorad.api.tasks import JobKey, ScheduledTask
from client.sla import uptime


class Promise(NamedTuple):
    """So many percent of a job's instances have been up for so long."""

    percentage: float
    duration_s: int


class Up(NamedTuple):
    host: str
    uptime_s: int


Vector = Mapping[JobKey, tuple[Up, ...]]
"""The live tasks of each job that counts."""


class Prediction(NamedTuple):
    """What becomes of a job when hosts go down."""

    host: str
    """One of them, on which the job has tasks."""
    job: JobKey
    percentage: float
    is_safe: bool
    wait_s: int | None
    """How long until it would be safe; None: never as things are."""


def vector(tasks: Iterable[ScheduledTask], now_ms: float, least_instances: int) -> Vector:
    """Of production jobs with at least so many instances, given their live tasks."""
    jobs: dict[JobKey, list[Up]] = {}
    for task in tasks:
        assigned = task.assigned_task
        if assigned.task.production:
            jobs.setdefault(assigned.task.job, []).append(Up(assigned.slave_host or "", uptime(task, now_ms / 1000)))
    return {job: tuple(ups) for job, ups in jobs.items() if len(ups) >= least_instances}


def predictions(
    ups: Vector, down: Collection[str], promises: Mapping[JobKey, Promise], default: Promise
) -> list[Prediction]:
    """For each of the hosts and each job there: what all these hosts down together would leave of it."""
    found = []
    for job, tasks in ups.items():
        on_them = {up.host for up in tasks} & set(down)
        if on_them:
            percentage, duration_s = promises.get(job, default)
            left = sorted(up.uptime_s for up in tasks if up.host not in on_them)
            predicted = 100 * sum(uptime_s >= duration_s for uptime_s in left) / len(tasks)
            is_safe = predicted >= percentage
            wait_s = 0 if is_safe else _wait_s(left, len(tasks), percentage, duration_s)
            found += [Prediction(host, job, predicted, is_safe, wait_s) for host in on_them]
    return sorted(found, key=lambda one: (one.host, one.job.role, one.job.environment, one.job.name))


def _wait_s(uptimes_s: list[int], total: int, percentage: float, duration_s: int) -> int | None:
    """Until enough of these, in ascending order, are old enough."""
    index = len(uptimes_s) - math.ceil(total * percentage / 100)
    return duration_s - uptimes_s[index] if 0 <= index < len(uptimes_s) else None


def groups(hosts: Iterable[str], grouping: str) -> dict[str, tuple[str, ...]]:
    """Hosts that go down together, by the group's name in order; `grouping` is one of `GROUPINGS`."""
    there = sorted(set(hosts))
    if grouping == "none":
        return {"_all_hosts_": tuple(there)} if there else {}
    return {host: (host,) for host in there}


GROUPINGS = ("by_host", "none")
