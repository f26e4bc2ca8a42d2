"""Which ended updates are forgotten: updates sheet, section 10."""

from aurorad.api.enums import JobUpdateStatus
from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateKey, JobUpdateState, JobUpdateSummary
from aurorad.rules.updates.history import prunable

WEB, GONE = JobKey("www", "prod", "web"), JobKey("www", "prod", "gone")


def summary(
    created_ms: int, job: JobKey = WEB, status: JobUpdateStatus = JobUpdateStatus.ROLLED_FORWARD
) -> JobUpdateSummary:
    return JobUpdateSummary(JobUpdateKey(job, str(created_ms)), state=JobUpdateState(status, created_ms, created_ms))


def pruned(*summaries: JobUpdateSummary, created_before_ms: int = 0, per_job: int = 10) -> list[str]:
    keys = prunable(summaries, lambda job: job == WEB, created_before_ms, per_job)
    return sorted(key.id for key in keys)


def test_those_created_before_the_cutoff_go() -> None:
    assert pruned(summary(99), summary(100), summary(101), created_before_ms=100) == ["99"]


def test_the_oldest_beyond_the_limit_of_a_job_go() -> None:
    other = JobKey("www", "prod", "other")
    found = prunable(
        [summary(1), summary(3), summary(2), summary(1, other)], lambda _: True, created_before_ms=0, per_job=2
    )
    assert found == [JobUpdateKey(WEB, "1")]


def test_expired_ones_do_not_use_up_the_limit() -> None:
    assert pruned(summary(1), summary(200), summary(300), created_before_ms=100, per_job=2) == ["1"]


def test_those_of_a_job_without_tasks_go() -> None:
    assert pruned(summary(5, GONE), summary(6)) == ["5"]


def test_an_active_update_stays_whatever_its_age() -> None:
    assert pruned(summary(1, GONE, JobUpdateStatus.ROLL_FORWARD_PAUSED), created_before_ms=100, per_job=0) == []
