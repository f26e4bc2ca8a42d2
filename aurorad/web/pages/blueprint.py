"""The scheduler's pages over HTTP: check what the address says, view the tables, render.

Nothing here changes anything, and nothing holds the loop: lists are looked at in pieces and shown in pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from quart import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from aurorad.api import keys
from aurorad.api.enums import MaintenanceMode
from aurorad.api.results import GetQuotaResult
from aurorad.api.tasks import HostAttributes, JobConfiguration, JobKey, ScheduledTask
from aurorad.api.updates import JobUpdateKey
from aurorad.pace import gently
from aurorad.pages.look import Look, Notice, nothing_to_notice, protect
from aurorad.pages.paging import Here, paginate
from aurorad.scheduler.explaining import JobExplanation
from aurorad.storage.tables import Tables
from aurorad.web.pages import agents, configs, jobs, roles, tasks, updates, urls
from aurorad.web.pages.agents import AgentRow
from aurorad.web.pages.tasks import Ties

Explain = Callable[[JobKey, frozenset[int]], Awaitable[JobExplanation]]

_NAMES = "letters, digits, '.', '-' and '_'"


class _Missing(Exception):
    """There is no such thing to show: a title, what was looked for, and where to go on."""

    def __init__(self, title: str, *lines: str, link: tuple[str, str] = ("/scheduler", "See all roles")) -> None:
        super().__init__(title)
        self.title = title
        self.lines = lines
        self.link = link


def scheduler_look(
    cluster_name: str, now_ms: Callable[[], int], notice: Callable[[], Notice | None] = nothing_to_notice
) -> Look:
    """How all pages of the scheduler look; `notice` is what they say first."""
    nav = [("/scheduler", "Roles"), ("/updates", "Updates"), ("/", "Admin")]
    return Look(
        "aurorad.web", now_ms, notice, home="/scheduler", part="scheduler", place=cluster_name, nav=nav, urls=urls
    )


def scheduler_pages(
    look: Look,
    tables: Tables,
    pending_reason: Callable[[ScheduledTask], str],
    observer_url: Callable[[str], str | None],
    quota: Callable[[str], Awaitable[GetQuotaResult]] | None = None,
    next_run_ms: Callable[[JobConfiguration], int | None] = lambda _: None,
    explain: Explain | None = None,
    waits_for: Callable[[str], Mapping[str, str]] = lambda host: {},
) -> Blueprint:
    """``/``, ``/scheduler...``, ``/updates``, ``/agents`` and ``/assets``; how the whole application shows its errors.

    `pending_reason` says in words why a PENDING task is; `observer_url` gives the address of a host's observer, as the
    reader's browser can reach it, if there is one; `quota` a role's quota and consumption, `explain` why instances of a
    job wait, all or some of them, None where that is not to be shown; `next_run_ms` when a cron job fires next;
    `waits_for` why the tasks on a host being drained are still there, by their ids.
    """
    pages = _Pages(tables, Ties(pending_reason, observer_url, next_run_ms), look, quota, explain, waits_for)
    blueprint = Blueprint("scheduler_pages", __name__)
    for path, view in pages.routes().items():
        blueprint.add_url_rule(path, view.__name__, view, strict_slashes=False)
    blueprint.add_url_rule("/slaves", "slaves", pages.agents)
    blueprint.add_url_rule("/index.html", "index_html", pages.index)
    blueprint.register_blueprint(look.assets())
    blueprint.after_app_request(protect)
    blueprint.app_errorhandler(HTTPException)(look.http_error)

    @blueprint.errorhandler(_Missing)
    async def missing(error: _Missing) -> Response:
        return await look.message(404, error.title, *error.lines, link=error.link)

    return blueprint


class _Pages:
    """One method a page. Each checks its address, and raises `_Missing` for what is not there."""

    def __init__(
        self,
        tables: Tables,
        ties: Ties,
        look: Look,
        quota: Callable[[str], Awaitable[GetQuotaResult]] | None,
        explain: Explain | None,
        waits_for: Callable[[str], Mapping[str, str]],
    ) -> None:
        self._tables = tables
        self._ties = ties
        self._look = look
        self._quota = quota
        self._explain = explain
        self._waits_for = waits_for

    def routes(self) -> Mapping[str, Callable[..., Awaitable[Response]]]:
        job = "/scheduler/<role>/<environment>/<name>"
        return {
            "/": self.index,
            "/scheduler": self.home,
            "/scheduler/<role>": self.role,
            "/scheduler/<role>/<environment>": self.environment,
            job: self.job,
            f"{job}/<instance>": self.instance,
            f"{job}/task/<task_id>": self.task,
            f"{job}/update/<update_id>": self.update,
            "/updates": self.updates,
            "/agents": self.agents,
            "/scheduler/<path:rest>": self.elsewhere,
        }

    async def index(self) -> Response:
        return await self._look.page("index.html")

    async def home(self) -> Response:
        here = _here()
        rows = roles.role_rows(list(self._tables.job_keys()), self._tables.cron_jobs)
        return await self._look.page("home.html", here=here, page=roles.roles_page(rows, here), total=len(rows))

    async def role(self, role: str) -> Response:
        return await self._jobs_of(role, None)

    async def environment(self, role: str, environment: str) -> Response:
        _check("environment", environment)
        return await self._jobs_of(role, environment)

    async def _jobs_of(self, role: str, environment: str | None) -> Response:
        _check("role", role)
        wanted = roles.role_jobs(self._tables.job_keys(), self._tables.cron_jobs, role, environment)
        if not wanted:
            raise _no_jobs(role, environment)
        here = _here()
        rows = await gently(lambda key: roles.job_row(self._tables, key), wanted)
        return await self._look.page(
            "role.html",
            here=here,
            role=role,
            environment=environment,
            page=roles.jobs_page(rows, here),
            total=len(rows),
            resources=roles.resource_rows(await self._quota(role)) if self._quota is not None else [],
        )

    async def job(self, role: str, environment: str, name: str) -> Response:
        key, here = self._key(role, environment, name), _here()
        job = jobs.job_page(self._tables, key, here, self._ties)
        why = await self._explain(key, frozenset()) if self._explain is not None and job.tab == "overview" else None
        return await self._look.page("job.html", here=here, key=key, job=job, why=why)

    async def instance(self, role: str, environment: str, name: str, instance: str) -> Response:
        key = self._key(role, environment, name)
        if not instance.isascii() or not instance.isdecimal() or len(instance) > 10:
            raise _Missing(
                "No such page",
                f"{instance!r} is not an instance of {keys.canonical(key)}: a number such as 0 was expected.",
                link=(urls.job(key), "See the job"),
            )
        found = [t for t in self._tables.job_tasks(key) if t.assigned_task.instance_id == int(instance)]
        if not found:
            raise _Missing(
                "No such instance",
                f"Instance {int(instance)} of {keys.canonical(key)} has no task, and none in its history.",
                link=(urls.job(key), "See the job"),
            )
        return await self._instance_page(key, int(instance), found)

    async def _instance_page(self, key: JobKey, instance: int, found: list[ScheduledTask]) -> Response:
        here = _here()
        active, completed = tasks.active_tasks(found), tasks.completed_tasks(found)
        history = paginate(completed, here.number("page", 1))
        neighbours, more = tasks.neighbours(self._tables, active[0]) if active else ([], 0)
        return await self._look.page(
            "instance.html",
            here=here,
            why=await self._explain(key, frozenset({instance})) if self._explain is not None and active else None,
            key=key,
            instance=instance,
            active=[tasks.task_row(task, self._ties) for task in active],
            history=msgspec.structs.replace(
                history, rows=tuple(tasks.task_row(task, self._ties) for task in history.rows)
            ),
            neighbours=neighbours,
            more_neighbours=more,
        )

    async def task(self, role: str, environment: str, name: str, task_id: str) -> Response:
        key, task = self._key(role, environment, name), self._tables.task(task_id)
        if task is None or task.assigned_task.task.job != key:
            raise _Missing(
                "Task not found, it may have been automatically pruned.",
                f"Looked for: {task_id}",
                link=(urls.job(key), "See the job"),
            )
        return await self._look.page(
            "task.html",
            key=key,
            row=tasks.task_row(task, self._ties),
            config=configs.config_view(task.assigned_task.task, [task.assigned_task.instance_id]),
        )

    async def update(self, role: str, environment: str, name: str, update_id: str) -> Response:
        key, here = self._key(role, environment, name), _here()
        details = self._tables.updates.get(JobUpdateKey(key, update_id))
        if details is None:
            raise _Missing(
                "No such update",
                f"Looked for: update {update_id} of {keys.canonical(key)}. Old updates are removed after a while.",
                link=(urls.job(key), "See the job"),
            )
        page = updates.update_page(details, here)
        why = (
            await self._explain(key, frozenset()) if self._explain is not None and updates.is_active(details) else None
        )
        return await self._look.page("update.html", here=here, key=key, update=page, why=why)

    async def updates(self) -> Response:
        here, every = _here(), list(self._tables.updates.values())
        active = await gently(updates.is_active, every)
        halves = {
            words: [details for details, is_active in zip(every, active, strict=True) if is_active is wanted]
            for words, wanted in (("page", True), ("donepage", False))
        }
        pages = {}
        for parameter, half in halves.items():
            page = paginate(updates.newest(half, updates.LISTED), here.number(parameter, 1))
            pages[parameter] = msgspec.structs.replace(page, rows=tuple(map(updates.update_row, page.rows)))
        return await self._look.page("updates.html", here=here, active=pages["page"], done=pages["donepage"])

    async def agents(self) -> Response:
        hosts = agents.by_name(self._tables.hosts)
        rows = await gently(self._agent_row, hosts)
        return await self._look.page("agents.html", agents=rows)

    def _agent_row(self, host: HostAttributes) -> AgentRow:
        row = agents.agent_row(host, self._ties.observer_url)
        if host.mode is not MaintenanceMode.DRAINING:
            return row
        return agents.draining_row(row, self._waits_for(host.host), self._tables)

    async def elsewhere(self, rest: str) -> Response:
        raise _Missing("No such page", f"Looked for: /scheduler/{rest}")

    def _key(self, role: str, environment: str, name: str) -> JobKey:
        for what, text in (("role", role), ("environment", environment), ("job", name)):
            _check(what, text)
        key = JobKey(role, environment, name)
        if not jobs.exists(self._tables, key):
            raise _Missing(
                "No such job",
                f"Looked for: {keys.canonical(key)}",
                "It was never created, or its last task has been pruned from the history.",
                link=(urls.role(role), f"See the jobs of {role}"),
            )
        return key


def _here() -> Here:
    return Here(request.path, request.args.to_dict())


def _check(what: str, text: str) -> None:
    if not keys.is_identifier(text):
        raise _Missing("No such page", f"{text!r} cannot be the name of {what}: {_NAMES} were expected.")


def _no_jobs(role: str, environment: str | None) -> _Missing:
    if environment is None:
        return _Missing("No such role", f"Looked for: jobs of role {role}", "It has none, and none in its history.")
    link = (urls.role(role), f"See the jobs of {role}")
    return _Missing("No such environment", f"Looked for: jobs of {role} in environment {environment}", link=link)
