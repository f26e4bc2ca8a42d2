"""The job page (web-ui sheet, section 4): what runs, what ended, what changed, and how it is configured."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from aurorad.api.tasks import JobKey, ScheduledTask
from aurorad.api.updates import JobUpdateDetails
from aurorad.pages.paging import PAGE_SIZE, Here, Page, paginate
from aurorad.rules.task_states import last_change_ms
from aurorad.storage.tables import Tables
from aurorad.web.pages import configs, roles, tasks, updates
from aurorad.web.pages.configs import ConfigView, DiffLine
from aurorad.web.pages.tasks import TaskList, Ties
from aurorad.web.pages.updates import UpdateRow

TABS = ("overview", "active", "completed", "all", "updates", "config")
COMPLETED_IN_OVERVIEW = 10
UPDATES_IN_OVERVIEW = 5
CONFIGS_SHOWN = 10  # groups; the rest is counted


class Tab(msgspec.Struct, frozen=True):
    name: str
    words: str
    count: int | None


class JobPage(msgspec.Struct, frozen=True):
    """A part that the chosen tab does not show is None."""

    row: roles.JobRow
    resources: str
    tab: str
    tabs: tuple[Tab, ...]
    in_progress: tuple[UpdateRow, ...]
    active: TaskList | None
    completed: TaskList | None
    updates: Page[UpdateRow] | None
    configs: tuple[ConfigView, ...]
    configs_left_out: int
    diffs: tuple[tuple[str, tuple[DiffLine, ...]], ...]
    has_cron: bool
    next_run_ms: int | None


def exists(tables: Tables, key: JobKey) -> bool:
    """Whether anything is known of the job: a task, a cron schedule or an update."""
    return bool(tables.job_tasks(key)) or key in tables.cron_jobs or bool(tables.job_updates(key))


def tab_of(here: Here) -> str:
    """The tab that the address asks for, in the words of any version of the interface."""
    if here.get("tab") in TABS:
        return here.get("tab")
    if here.get("jobView") == "history":
        return "completed"
    return "config" if here.get("taskView") == "config" else "overview"


def job_page(tables: Tables, key: JobKey, here: Here, ties: Ties) -> JobPage:
    everything = tables.job_tasks(key)
    active, completed = tasks.active_tasks(everything), tasks.completed_tasks(everything)
    all_updates = updates.newest(tables.job_updates(key), len(tables.updates))
    groups = configs.config_groups(active)
    cron = tables.cron_jobs.get(key)
    next_run_ms = ties.next_run_ms(cron) if cron is not None else None
    tab = tab_of(here)
    shown = groups[:CONFIGS_SHOWN] if tab == "config" else []
    views = [configs.config_view(config, instances) for config, instances in shown]
    newest = active[-1] if active else completed[0] if completed else None
    config = newest.assigned_task.task if newest else cron.task_config if cron else None
    return JobPage(
        row=roles.job_row(tables, key),
        resources=configs.resources_text(config) if config is not None else "",
        tab=tab,
        tabs=(
            Tab("overview", "Overview", None),
            Tab("active", "Active Tasks", len(active)),
            Tab("completed", "Completed Tasks", len(completed)),
            Tab("all", "All Tasks", len(everything)),
            Tab("updates", "Update History", sum(not updates.is_active(u) for u in all_updates)),
            Tab("config", "Configuration", len(groups) + (cron is not None)),
        ),
        in_progress=tuple(updates.update_row(u) for u in all_updates if updates.is_active(u)),
        active=_active(tab, active, everything, here, ties),
        completed=_completed(tab, completed, here, ties),
        updates=_history(tab, [u for u in all_updates if not updates.is_active(u)], here),
        configs=(*((configs.cron_view(cron, next_run_ms),) if cron is not None and tab == "config" else ()), *views),
        configs_left_out=max(0, len(groups) - CONFIGS_SHOWN) if tab == "config" else 0,
        diffs=tuple(
            (f"{before.title} → {after.title}", tuple(configs.diff(before.json, after.json)))
            for before, after in itertools.pairwise(views)
        ),
        has_cron=cron is not None,
        next_run_ms=next_run_ms,
    )


def _active(
    tab: str, active: Sequence[ScheduledTask], everything: Sequence[ScheduledTask], here: Here, ties: Ties
) -> TaskList | None:
    if tab == "overview":
        return tasks.task_list(active, Here(here.path, {}), ties, PAGE_SIZE, paged=False)
    if tab == "active":
        return tasks.task_list(active, here, ties, PAGE_SIZE)
    if tab == "all":
        newest_first = sorted(everything, key=last_change_ms, reverse=True)
        return tasks.task_list(newest_first, here, ties, PAGE_SIZE)
    return None


def _completed(tab: str, completed: Sequence[ScheduledTask], here: Here, ties: Ties) -> TaskList | None:
    if tab == "overview":
        return tasks.task_list(completed, Here(here.path, {}), ties, COMPLETED_IN_OVERVIEW, paged=False)
    return tasks.task_list(completed, here, ties, PAGE_SIZE) if tab == "completed" else None


def _history(tab: str, ended: Sequence[JobUpdateDetails], here: Here) -> Page[UpdateRow] | None:
    if tab not in ("overview", "updates"):
        return None
    size = UPDATES_IN_OVERVIEW if tab == "overview" else PAGE_SIZE
    page = paginate(ended, 1 if tab == "overview" else here.number("page", 1), size)
    return Page(tuple(map(updates.update_row, page.rows)), page.number, page.size, page.total)
