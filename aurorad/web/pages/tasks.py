"""Tasks as rows and timelines (web-ui sheet, sections 4 and 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from aurorad.api.enums import (
    ACTIVE_STATES,
    AURORA_EXECUTOR_NAME,
    SLAVE_ASSIGNED_STATES,
    TERMINAL_STATES,
    ScheduleStatus,
)
from aurorad.api.tasks import JobConfiguration, JobKey, ScheduledTask, TaskQuery
from aurorad.pages import tones
from aurorad.pages.paging import Here, Page, paginate
from aurorad.pages.tones import Tone
from aurorad.rules.task_states import last_change_ms
from aurorad.storage.tables import Tables
from aurorad.web.pages import urls

EVENTS_SHOWN = 30
NEIGHBOURS_SHOWN = 50


class Ties(msgspec.Struct, frozen=True):
    """What pages ask of others: why a task is pending, the base address of a host's observer, a cron job's next run."""

    pending_reason: Callable[[ScheduledTask], str]
    observer_url: Callable[[str], str | None]
    next_run_ms: Callable[[JobConfiguration], int | None] = lambda _: None


class EventRow(msgspec.Struct, frozen=True):
    timestamp_ms: int
    word: str
    message: str
    tone: Tone


class ObserverLinks(msgspec.Struct, frozen=True):
    """Where a task can be looked into on its host."""

    task: str
    sandbox: str
    stdout: str
    stderr: str


class TaskRow(msgspec.Struct, frozen=True):
    """`ran_ms` is how long a task that ended ran, None for one that has not ended or never began."""

    task_id: str
    instance_id: int
    instance_url: str
    url: str
    status: str
    tone: Tone
    since_ms: int
    ran_ms: int | None
    message: str
    host: str
    links: ObserverLinks | None
    events: tuple[EventRow, ...]
    events_left_out: int
    ports: tuple[tuple[str, int], ...]


class StatusFilter(msgspec.Struct, frozen=True):
    """The states that a list of tasks is in; `sentence` when there is only one."""

    counts: tuple[tuple[str, int, Tone], ...]
    sentence: str


class TaskList(msgspec.Struct, frozen=True):
    page: Page[TaskRow]
    total: int
    statuses: StatusFilter


def active_tasks(tasks: Sequence[ScheduledTask]) -> list[ScheduledTask]:
    """By instance."""
    return sorted((t for t in tasks if t.status in ACTIVE_STATES), key=lambda t: t.assigned_task.instance_id)


def completed_tasks(tasks: Sequence[ScheduledTask]) -> list[ScheduledTask]:
    """Newest first."""
    return sorted((t for t in tasks if t.status not in ACTIVE_STATES), key=last_change_ms, reverse=True)


def task_list(tasks: Sequence[ScheduledTask], here: Here, ties: Ties, size: int, paged: bool = True) -> TaskList:
    """The tasks that `q` and `status` ask for, ordered by `sort` (``instance`` or ``updated``) and `order`.

    Without `sort` they stay as they come; not `paged`, only the first `size` are shown.
    """
    words, status = here.get("q").strip().lower(), here.get("status")
    found = [t for t in tasks if (not status or t.status.name == status) and _asked_for(t, words)]
    if here.get("sort") == "instance":
        found.sort(key=lambda t: t.assigned_task.instance_id, reverse=here.get("order") == "desc")
    elif here.get("sort") == "updated":
        found.sort(key=last_change_ms, reverse=here.get("order") != "asc")
    page = paginate(found, here.number("page", 1) if paged else 1, size)
    rows = tuple(task_row(task, ties) for task in page.rows)
    return TaskList(Page(rows, page.number, page.size, page.total), len(tasks), _statuses(tasks))


def _asked_for(task: ScheduledTask, words: str) -> bool:
    assigned = task.assigned_task
    return (
        not words
        or str(assigned.instance_id).startswith(words)
        or task.status.name.lower().startswith(words)
        or words in (assigned.slave_host or "").lower()
    )


def _statuses(tasks: Sequence[ScheduledTask]) -> StatusFilter:
    counts = Counter(task.status for task in tasks)
    named = tuple((status.name, n, tones.of_task(status.name)) for status, n in counts.most_common())
    sentence = ""
    if len(named) == 1:
        word, n, _ = named[0]
        sentence = f"One task is {word}" if n == 1 else f"All {n} tasks are {word}"
    return StatusFilter(named, sentence)


def task_row(task: ScheduledTask, ties: Ties) -> TaskRow:
    assigned, key = task.assigned_task, task.assigned_task.task.job
    events = task.task_events
    return TaskRow(
        task_id=assigned.task_id,
        instance_id=assigned.instance_id,
        instance_url=urls.instance(key, assigned.instance_id),
        url=urls.task(key, assigned.task_id),
        status=task.status.name,
        tone=tones.of_task(task.status.name),
        since_ms=last_change_ms(task),
        ran_ms=_ran_ms(task),
        message=_message(task, ties),
        host=assigned.slave_host or "",
        links=observer_links(task, ties),
        events=event_rows(task),
        events_left_out=max(0, len(events) - EVENTS_SHOWN),
        ports=tuple(sorted(assigned.assigned_ports.items())),
    )


def _ran_ms(task: ScheduledTask) -> int | None:
    """From when it had a host to its end; waiting for one, or out a penalty, is not running."""
    begun = [event.timestamp for event in task.task_events if event.status in SLAVE_ASSIGNED_STATES]
    if not begun or task.status in ACTIVE_STATES:
        return None
    return task.task_events[-1].timestamp - begun[0]


def _message(task: ScheduledTask, ties: Ties) -> str:
    """The last event's; of a pending task why it is; of one that ended without a word the latest there was."""
    last = (task.task_events[-1].message if task.task_events else None) or ""
    if task.status is ScheduleStatus.PENDING:
        return ties.pending_reason(task) or last
    if task.status in TERMINAL_STATES and not last:
        return next((event.message for event in reversed(task.task_events) if event.message), "")
    return last


def event_rows(task: ScheduledTask) -> tuple[EventRow, ...]:
    """The latest events, oldest first."""
    return tuple(
        EventRow(event.timestamp, event.status.name, event.message or "", tones.of_task(event.status.name))
        for event in task.task_events[-EVENTS_SHOWN:]
    )


def observer_links(task: ScheduledTask, ties: Ties) -> ObserverLinks | None:
    """None for a task without a host or observer, or of another executor than ours, of which observers know nothing."""
    assigned = task.assigned_task
    executor = assigned.task.executor_config
    if not assigned.slave_host or executor is None or executor.name != AURORA_EXECUTOR_NAME:
        return None
    base, task_id = ties.observer_url(assigned.slave_host), assigned.task_id
    if base is None:
        return None
    return ObserverLinks(
        urls.observer_task(base, task_id),
        urls.observer_sandbox(base, task_id),
        urls.observer_output(base, task_id, "stdout"),
        urls.observer_output(base, task_id, "stderr"),
    )


def neighbours(tables: Tables, task: ScheduledTask) -> tuple[list[tuple[str, str]], int]:
    """Other tasks running on the same host, as name and address, and how many more there are."""
    assigned = task.assigned_task
    if not assigned.slave_host:
        return [], 0
    query = TaskQuery(slave_hosts=frozenset({assigned.slave_host}), statuses=frozenset({ScheduleStatus.RUNNING}))
    others = [t.assigned_task for t in tables.tasks(query) if t.assigned_task.task_id != assigned.task_id]
    named = sorted(
        (_instance_name(a.task.job, a.instance_id), urls.instance(a.task.job, a.instance_id)) for a in others
    )
    return named[:NEIGHBOURS_SHOWN], max(0, len(named) - NEIGHBOURS_SHOWN)


def _instance_name(key: JobKey, instance_id: int) -> str:
    return f"{key.role}/{key.environment}/{key.name}/{instance_id}"
