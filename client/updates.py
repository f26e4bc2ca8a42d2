"""Finding and following updates (client-commands sheet, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from aurorad.api.calls import GetJobUpdateSummaries
from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, JobUpdateStatus
from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateKey, JobUpdateQuery, JobUpdateSummary
from client.errors import CommandError, Exit
from client.scheduler import Scheduler

_POLL_S = 5.0

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
        scheduler.clock.sleep(_POLL_S)


def utc(timestamp_ms: int) -> str:
    """``YYYY-MM-DDTHH:MM:SS``."""
    return datetime.fromtimestamp(timestamp_ms // 1000, UTC).replace(tzinfo=None).isoformat()
