"""Home and role pages: roles, their jobs, their resources (web-ui sheet, sections 2 and 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from aurorad.api.enums import ScheduleStatus
from aurorad.api.results import GetQuotaResult
from aurorad.api.tasks import JobKey, ResourceAggregate
from aurorad.pages import formats
from aurorad.pages.paging import Here, Page, paginate
from aurorad.rules import quota
from aurorad.rules.job_summaries import FAILED, FINISHED, PENDING
from aurorad.storage.tables import Tables
from aurorad.web.pages import urls

ROLE_SORTS = ("role", "jobs", "crons")
JOB_SORTS = ("name", "environment", "type", "pending", "active", "finished", "failed")


class RoleRow(msgspec.Struct, frozen=True):
    role: str
    url: str
    jobs: int
    crons: int


class Stats(msgspec.Struct, frozen=True):
    """How many tasks of a job are where; history counts until it is pruned."""

    pending: int = 0
    active: int = 0
    finished: int = 0
    failed: int = 0
    throttled: int = 0

    @property
    def dots(self) -> list[tuple[str, int, str]]:
        """Word, count and tone of each count that is not zero."""
        all_dots = [
            ("pending", self.pending, "wait"),
            ("active", self.active, "good"),
            ("failed", self.failed, "bad"),
            ("finished", self.finished, "quiet"),
        ]
        return [dot for dot in all_dots if dot[1]]


class JobRow(msgspec.Struct, frozen=True):
    key: JobKey
    url: str
    environment_url: str
    type: str
    tier: str
    production: bool
    stats: Stats


class ResourceRow(msgspec.Struct, frozen=True):
    title: str
    cpus: str
    ram: str
    disk: str


def role_rows(keys: Iterable[JobKey], cron_keys: Iterable[JobKey]) -> list[RoleRow]:
    """Every role that owns a task, history included, or a cron job."""
    crons = Counter(key.role for key in cron_keys)
    jobs = Counter(key.role for key in keys)
    return [RoleRow(role, urls.role(role), jobs[role], crons[role]) for role in jobs | crons]


def roles_page(rows: list[RoleRow], here: Here) -> Page[RoleRow]:
    """The rows that `q` asks for, in the order of `sort` and `order`."""
    words = here.get("q").strip().lower()
    found = [row for row in rows if words in row.role.lower()]
    found.sort(key=lambda row: row.role)
    sort = here.get("sort", "role")
    if sort in ROLE_SORTS and sort != "role":
        found.sort(key=lambda row: row.crons if sort == "crons" else row.jobs)
    if here.get("order") == "desc":
        found.reverse()
    return paginate(found, here.number("page", 1))


def role_jobs(keys: Iterable[JobKey], cron_keys: Iterable[JobKey], role: str, environment: str | None) -> list[JobKey]:
    """The jobs of a role, with tasks or a cron schedule, in one environment or in all."""
    unique = dict.fromkeys((*keys, *cron_keys))
    return [key for key in unique if key.role == role and environment in (None, key.environment)]


def stats(tables: Tables, key: JobKey) -> Stats:
    counts = Counter(task.status for task in tables.job_tasks(key))
    pending, finished, failed = (sum(counts[s] for s in states) for states in (PENDING, FINISHED, FAILED))
    active = counts.total() - pending - finished - failed
    return Stats(pending, active, finished, failed, counts[ScheduleStatus.THROTTLED])


def job_row(tables: Tables, key: JobKey) -> JobRow:
    """One job. A job that is gone by now has no tasks to count."""
    cron = tables.cron_jobs.get(key)
    tasks = tables.job_tasks(key)
    config = tasks[-1].assigned_task.task if tasks else cron.task_config if cron else None
    return JobRow(
        key=key,
        url=urls.job(key),
        environment_url=urls.environment(key.role, key.environment),
        type="service" if config is not None and config.is_service else "cron" if cron else "adhoc",
        tier=(config.tier or "") if config is not None else "",
        production=config is not None and config.production,
        stats=stats(tables, key),
    )


def jobs_page(rows: list[JobRow], here: Here) -> Page[JobRow]:
    """The rows that `q` asks for: part of a name, or the beginning of a tier, an environment or a type."""
    words = here.get("q").strip().lower()
    found = [row for row in rows if _asked_for(row, words)]
    found.sort(key=lambda row: (row.key.name, row.key.environment))
    sort, descending = here.get("sort", "name"), here.get("order") == "desc"
    if sort in ("environment", "type"):
        found.sort(key=lambda row: row.key.environment if sort == "environment" else row.type)
    elif sort in JOB_SORTS and sort != "name":
        found.sort(key=lambda row: getattr(row.stats, sort))
    if descending:
        found.reverse()
    return paginate(found, here.number("page", 1))


def _asked_for(row: JobRow, words: str) -> bool:
    prefixed = (row.tier, row.key.environment, row.type)
    return words in row.key.name.lower() or any(text.lower().startswith(words) for text in prefixed)


def resource_rows(answer: GetQuotaResult) -> list[ResourceRow]:
    """What a role may use and does use; only what is not zero."""
    named = [
        ("Quota", answer.quota),
        ("Quota Used", answer.prod_shared_consumption),
        ("Production Dedicated", answer.prod_dedicated_consumption),
        ("Non-Production", answer.non_prod_shared_consumption),
        ("Non-Production Dedicated", answer.non_prod_dedicated_consumption),
    ]
    return [row for title, aggregate in named if aggregate is not None and (row := _resource_row(title, aggregate))]


def _resource_row(title: str, aggregate: ResourceAggregate) -> ResourceRow | None:
    cpus, ram_mb, disk_mb = msgspec.structs.astuple(quota.total(aggregate.resources))
    if not (cpus or ram_mb or disk_mb):
        return None
    return ResourceRow(title, formats.number(cpus), formats.size_of_mb(ram_mb), formats.size_of_mb(disk_mb))
