"""Which ended updates are forgotten (updates sheet, section 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateKey, JobUpdateState, JobUpdateSummary
from aurorad.rules.updates.transitions import ACTIVE


def prunable(
    summaries: Iterable[JobUpdateSummary], has_tasks: Callable[[JobKey], bool], created_before_ms: int, per_job: int
) -> list[JobUpdateKey]:
    """Of the ended updates: the old ones, those of jobs without tasks, and all but the newest `per_job` of a job."""
    pruned: list[JobUpdateKey] = []
    kept: dict[JobKey, int] = {}
    for created_ms, summary in sorted(_ended(summaries), key=lambda pair: pair[0], reverse=True):
        job = summary.key.job
        if created_ms < created_before_ms or not has_tasks(job) or kept.get(job, 0) >= per_job:
            pruned.append(summary.key)
        else:
            kept[job] = kept.get(job, 0) + 1
    return pruned


def _ended(summaries: Iterable[JobUpdateSummary]) -> Iterable[tuple[int, JobUpdateSummary]]:
    for summary in summaries:
        state: JobUpdateState | None = summary.state
        if state is not None and state.status not in ACTIVE:
            yield state.created_timestamp_ms, summary
