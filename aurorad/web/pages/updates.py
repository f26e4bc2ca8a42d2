"""Updates as rows, progress, instance grids and timelines (web-ui sheet, sections 4, 7 and 8)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, JobUpdateAction, JobUpdateStatus
from aurorad.api.ranges import numbers
from aurorad.api.tasks import TaskConfig
from aurorad.api.updates import (
    InstanceTaskConfig,
    JobInstanceUpdateEvent,
    JobUpdateDetails,
    JobUpdateInstructions,
    JobUpdateSettings,
    JobUpdateState,
)
from aurorad.pages import formats, tones
from aurorad.pages.paging import Here, Page, paginate
from aurorad.pages.tones import Tone
from aurorad.web.pages import configs, urls
from aurorad.web.pages.tasks import EventRow

LISTED = 100  # updates in each half of /updates
INSTANCE_EVENTS_PAGE = 10
EVENTS_SHOWN = 100

_TITLES = {
    "good": "Update Successful",
    "wait": "Update Paused",
    "bad": "Update Failed",
    "work": "Update In Progress",
    "quiet": "Update In Progress",
}


class Progress(msgspec.Struct, frozen=True):
    """How many of all instances that the update touches carry the new configuration."""

    updated: int
    total: int

    @property
    def percent(self) -> int:
        return 100 * self.updated // self.total if self.total else 100


class UpdateRow(msgspec.Struct, frozen=True):
    id: str
    url: str
    job: str
    job_url: str
    title: str
    status: str
    tone: Tone
    active: bool
    user: str
    started_ms: int
    modified_ms: int
    message: str
    progress: Progress


class Square(msgspec.Struct, frozen=True):
    """One instance in the grid."""

    instance_id: int
    url: str
    word: str
    tone: Tone | str


class InstanceEvents(msgspec.Struct, frozen=True):
    """What the update did to one instance."""

    instance_id: int
    url: str
    word: str
    tone: Tone
    last_ms: int
    events: tuple[EventRow, ...]


class UpdatePage(msgspec.Struct, frozen=True):
    row: UpdateRow
    events: tuple[EventRow, ...]
    events_left_out: int
    settings: tuple[tuple[str, str], ...]
    squares: tuple[Square, ...]
    square_size: str
    instances: Page[InstanceEvents]
    config: str
    diffs: tuple[tuple[str, tuple[configs.DiffLine, ...]], ...]


def state(details: JobUpdateDetails) -> JobUpdateState:
    return details.update.summary.state or JobUpdateState()


def is_active(details: JobUpdateDetails) -> bool:
    return state(details).status in ACTIVE_JOB_UPDATE_STATES


def newest(updates: Iterable[JobUpdateDetails], limit: int) -> list[JobUpdateDetails]:
    """The `limit` most recently changed, newest first."""
    return heapq.nlargest(limit, updates, key=lambda details: state(details).last_modified_timestamp_ms)


def update_row(details: JobUpdateDetails) -> UpdateRow:
    summary, now = details.update.summary, state(details)
    tone = tones.of_update(now.status.name)
    return UpdateRow(
        id=summary.key.id,
        url=urls.update(summary.key),
        job=keys.canonical(summary.key.job),
        job_url=urls.job(summary.key.job),
        title=_title(now.status, tone),
        status=now.status.name,
        tone=tone,
        active=now.status in ACTIVE_JOB_UPDATE_STATES,
        user=summary.user or "",
        started_ms=now.created_timestamp_ms,
        modified_ms=now.last_modified_timestamp_ms,
        message=next((event.message for event in reversed(details.update_events) if event.message), ""),
        progress=progress(details),
    )


def _title(status: JobUpdateStatus, tone: Tone) -> str:
    """The original calls an update that is rolling back failed, and one whose rollback is paused too."""
    if status is JobUpdateStatus.ROLLING_BACK:
        return "Update Rolling Back"
    if status in (JobUpdateStatus.ROLL_BACK_PAUSED, JobUpdateStatus.ROLL_BACK_AWAITING_PULSE):
        return "Update Rollback Paused"
    if status is JobUpdateStatus.ABORTED:
        return "Update Aborted"
    return _TITLES[tone]


def progress(details: JobUpdateDetails) -> Progress:
    instances = _instances(details.update.instructions)
    updated = {e.instance_id for e in details.instance_events if e.action is JobUpdateAction.INSTANCE_UPDATED}
    return Progress(len(updated & instances), len(instances))


def _instances(instructions: JobUpdateInstructions) -> set[int]:
    ids = {i for group in instructions.initial_state for i in numbers(group.instances)}
    if instructions.desired_state is not None:
        ids.update(numbers(instructions.desired_state.instances))
    return ids


def update_page(details: JobUpdateDetails, here: Here) -> UpdatePage:
    instructions = details.update.instructions
    by_instance: dict[int, list[JobInstanceUpdateEvent]] = {}
    for event in details.instance_events:
        by_instance.setdefault(event.instance_id, []).append(event)
    squares = _squares(details, by_instance)
    newest_first = sorted(by_instance, key=lambda i: by_instance[i][-1].timestamp_ms, reverse=True)
    page = paginate(newest_first, here.number("page", 1), INSTANCE_EVENTS_PAGE)
    rows = tuple(_instance_events(details, i, by_instance[i]) for i in page.rows)
    before, desired = instructions.initial_state, instructions.desired_state
    return UpdatePage(
        row=update_row(details),
        events=tuple(
            EventRow(e.timestamp_ms, e.status.name, _by(e.message, e.user), tones.of_update(e.status.name))
            for e in details.update_events[-EVENTS_SHOWN:]
        ),
        events_left_out=max(0, len(details.update_events) - EVENTS_SHOWN),
        settings=tuple(_settings(instructions.settings)),
        squares=squares,
        square_size="big" if len(squares) <= 100 else "medium" if len(squares) <= 1000 else "small",
        instances=Page(rows, page.number, page.size, page.total),
        config=configs.config_json(desired.task) if desired is not None and not before else "",
        diffs=_diffs(before, desired.task) if desired is not None else (),
    )


def _by(message: str | None, user: str | None) -> str:
    return " ".join(part for part in (message or "", f"(by {user})" if user else "") if part)


def _squares(details: JobUpdateDetails, by_instance: dict[int, list[JobInstanceUpdateEvent]]) -> tuple[Square, ...]:
    instructions, job_url = details.update.instructions, urls.job(details.update.summary.key.job)
    kept = set(numbers(instructions.desired_state.instances)) if instructions.desired_state is not None else set()
    squares: list[Square] = []
    for i in sorted(_instances(instructions)):
        events = by_instance.get(i)
        word, tone = "Pending", "none"
        if events:
            word, tone = _words(events[-1].action), tones.of_instance(events[-1].action.name)
            if events[-1].action is JobUpdateAction.INSTANCE_UPDATED and i not in kept:
                word, tone = "Instance Removed", "quiet"
        squares.append(Square(i, f"{job_url}/{i}", word, tone))
    return tuple(squares)


def _words(action: JobUpdateAction) -> str:
    """``Instance Updating``."""
    return action.name.replace("_", " ").title()


def _instance_events(
    details: JobUpdateDetails, instance_id: int, events: list[JobInstanceUpdateEvent]
) -> InstanceEvents:
    last = events[-1]
    return InstanceEvents(
        instance_id,
        urls.instance(details.update.summary.key.job, instance_id),
        _words(last.action),
        tones.of_instance(last.action.name),
        last.timestamp_ms,
        tuple(
            EventRow(e.timestamp_ms, e.action.name, e.message or "", tones.of_instance(e.action.name))
            for e in events[-EVENTS_SHOWN:]
        ),
    )


def _settings(settings: JobUpdateSettings) -> list[tuple[str, str]]:
    rows = _strategy(settings)
    rows += [
        ("Max Failures Per Instance", str(settings.max_per_instance_failures)),
        ("Max Failed Instances", str(settings.max_failed_instances)),
        ("Minimum Waiting Time in Running", formats.duration(settings.min_wait_in_instance_running_ms)),
        ("Rollback On Failure?", _yes(settings.rollback_on_failure)),
        ("SLA-Aware?", _yes(settings.sla_aware)),
    ]
    if settings.update_only_these_instances:
        rows.append(("Only Instances", formats.ranges(numbers(settings.update_only_these_instances))))
    if settings.block_if_no_pulses_after_ms:
        rows.append(("Paused Without Pulses After", formats.duration(settings.block_if_no_pulses_after_ms)))
    return rows


def _strategy(settings: JobUpdateSettings) -> list[tuple[str, str]]:
    strategy = settings.update_strategy
    if strategy is not None and strategy.var_batch_strategy is not None:
        variable = strategy.var_batch_strategy
        return [
            ("Strategy", "Variable Batch"),
            ("Batch Sizes", ", ".join(map(str, variable.group_sizes))),
            ("Auto Pause after Batch", _yes(variable.autopause_after_batch)),
        ]
    if strategy is not None and strategy.batch_strategy is not None:
        batch = strategy.batch_strategy
        return [
            ("Strategy", "Batch"),
            ("Batch Size", str(batch.group_size)),
            ("Auto Pause after Batch", _yes(batch.autopause_after_batch)),
        ]
    if strategy is None and settings.wait_for_batch_completion:
        return [("Strategy", "Batch"), ("Batch Size", str(settings.update_group_size))]
    queue = strategy.queue_strategy if strategy is not None else None
    parallel = queue.group_size if queue is not None else settings.update_group_size
    return [("Strategy", "Queue"), ("Max Parallel Updates", str(parallel))]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _diffs(
    before: frozenset[InstanceTaskConfig], desired: TaskConfig
) -> tuple[tuple[str, tuple[configs.DiffLine, ...]], ...]:
    """Per group of instances, what the update changes; groups that already were as desired are left out."""
    after = configs.config_json(desired)
    groups = sorted((sorted(numbers(group.instances)), group.task) for group in before if group.task != desired)
    return tuple((formats.ranges(ids), tuple(configs.diff(configs.config_json(task), after))) for ids, task in groups)
