"""Finding and following updates (client-commands sheet, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from aurorad.api.calls import GetJobUpdateDetails, GetJobUpdateSummaries
from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, JobUpdateAction, JobUpdateStatus
from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateDetails, JobUpdateKey, JobUpdateQuery, JobUpdateSummary
from client.errors import CommandError, Exit
from client.scheduler import Scheduler

_POLL_S = 5.0

_ROLLING_BACK = (
    JobUpdateStatus.ROLLING_BACK,
    JobUpdateStatus.ROLL_BACK_PAUSED,
    JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
)

Ends = Mapping[JobUpdateStatus, Exit]

_NEITHER = {
    JobUpdateStatus.ABORTED: Exit.UNKNOWN_ERROR,
    JobUpdateStatus.ERROR: Exit.UNKNOWN_ERROR,
    JobUpdateStatus.FAILED: Exit.UNKNOWN_ERROR,
}
FORWARD: Ends = {JobUpdateStatus.ROLLED_FORWARD: Exit.OK, JobUpdateStatus.ROLLED_BACK: Exit.COMMAND_FAILURE, **_NEITHER}
BACK: Ends = {JobUpdateStatus.ROLLED_FORWARD: Exit.COMMAND_FAILURE, JobUpdateStatus.ROLLED_BACK: Exit.OK, **_NEITHER}


def summaries(scheduler: Scheduler, query: JobUpdateQuery, *, repeatable: bool = True) -> tuple[JobUpdateSummary, ...]:
    """Raises `CommandError`."""
    result = scheduler.ask(GetJobUpdateSummaries(query), repeatable=repeatable).get_job_update_summaries_result
    return result.update_summaries if result is not None else ()


def active(scheduler: Scheduler, key: JobKey, none: str) -> JobUpdateKey:
    """The job's active update. Raises `CommandError`, with `none` for its text when there is not any."""
    found = summaries(scheduler, JobUpdateQuery(job_key=key, update_statuses=ACTIVE_JOB_UPDATE_STATES))
    if not found:
        raise CommandError(Exit.INVALID_PARAMETER, none)
    if len(found) > 1:
        text = "The scheduler returned multiple active updates for this job."
        raise CommandError(Exit.API_ERROR, text)
    return found[0].key


def status(summary: JobUpdateSummary) -> JobUpdateStatus | None:
    return summary.state.status if summary.state is not None else None


def wait(scheduler: Scheduler, key: JobUpdateKey, ends: Ends) -> Exit:
    """Follow the update until it ends; each new status is a line on stdout. Raises `CommandError`."""
    last = None
    with scheduler.terminal.display() as display:
        while True:
            found = summaries(scheduler, JobUpdateQuery(key=key), repeatable=False)
            if not found:
                raise CommandError(Exit.INVALID_PARAMETER, "Job update not found.")
            if len(found) > 1:
                raise CommandError(Exit.API_ERROR, f"Scheduler returned multiple updates: {found}")
            now = status(found[0])
            if now is not None and now is not last:
                scheduler.terminal.out(f"Current state {now.name}")
                last = now
            if now is not None and now in ends:
                return ends[now]
            details = _details(scheduler, key)
            if now is not None and details is not None:
                display.show(now.name, *progress(details))
            scheduler.clock.sleep(_POLL_S)


def _details(scheduler: Scheduler, key: JobUpdateKey) -> JobUpdateDetails | None:
    """None if the scheduler will not tell: the update goes on all the same. Raises `CommandError`."""
    response = scheduler.call(GetJobUpdateDetails(None, JobUpdateQuery(key=key)))
    result = response.result.get_job_update_details_result if response.result is not None else None
    return result.details_list[0] if result is not None and result.details_list else None


def progress(details: JobUpdateDetails) -> tuple[int, int]:
    """How many instances are where the update takes them, and how many it concerns; rolling back, of those it had."""
    instructions = details.update.instructions
    groups = [*instructions.initial_state, *filter(None, [instructions.desired_state])]
    concerned = {i for group in groups for r in group.instances for i in range(r.first, r.last + 1)}
    only = instructions.settings.update_only_these_instances
    if only:
        concerned &= {i for r in only for i in range(r.first, r.last + 1)}
    in_order = sorted(details.instance_events, key=lambda event: event.timestamp_ms)
    latest = {event.instance_id: event.action for event in in_order}
    if status(details.update.summary) in _ROLLING_BACK:
        return sum(action is JobUpdateAction.INSTANCE_ROLLED_BACK for action in latest.values()), len(latest)
    return sum(action is JobUpdateAction.INSTANCE_UPDATED for action in latest.values()), len(concerned)


def utc(timestamp_ms: int) -> str:
    """``YYYY-MM-DDTHH:MM:SS``."""
    return datetime.fromtimestamp(timestamp_ms // 1000, UTC).replace(tzinfo=None).isoformat()
