"""A task runs once it is healthy, and ends when it is not any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad.api.enums import ScheduleStatus
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import NewCluster
from tests.e2e.jobs import job_file, when

S = ScheduleStatus
KEY = "devcluster/www-data/devel/patient"


@pytest.fixture
def it(folder: Path, new_cluster: NewCluster) -> Iterator[Cluster]:
    """One in which a task that failed is soon tried again."""
    with new_cluster(folder, "-initial_flapping_task_delay=1ms", "-max_flapping_task_delay=1ms") as started:
        yield started


@pytest.fixture
def sign(folder: Path) -> Path:
    """Of health: the task is well as long as this file is there."""
    return folder / "healthy"


@pytest.fixture
def job(folder: Path, sign: Path) -> str:
    checker = f"HealthCheckerConfig(shell = ShellHealthChecker(shell_command = 'test -e {sign}'))"
    timing = "initial_interval_secs = 10, interval_secs = 0.2, max_consecutive_failures = 1"
    return job_file(
        folder,
        "patient",
        "exec sleep 1000",
        more=f"health_check_config = HealthCheckConfig(health_checker = {checker}, {timing}), "
        "update_config = UpdateConfig(watch_secs = 0)",
    )


def test_a_task_runs_once_healthy_and_one_that_falls_ill_fails_and_has_a_successor(
    it: Cluster, job: str, sign: Path
) -> None:
    assert it.aurora("job", "create", KEY, job).returncode == 0
    (first,) = when(it, "patient", "starts", lambda tasks: tasks[-1].status is S.STARTING)
    sign.touch()
    (well,) = when(it, "patient", "is well", lambda tasks: tasks[-1].status is S.RUNNING)
    assert well.assigned_task.task_id == first.assigned_task.task_id
    assert well.task_events[-1].message == "Task is healthy."
    assert [event.status for event in well.task_events] == [S.PENDING, S.ASSIGNED, S.STARTING, S.RUNNING]

    sign.unlink()
    ill, successor = when(it, "patient", "has a successor", lambda t: len(t) > 1 and t[1].status is S.STARTING)[:2]
    assert ill.status is S.FAILED
    assert "health check" in (ill.task_events[-1].message or "")
    assert successor.ancestor_id == ill.assigned_task.task_id
    assert successor.failure_count == 1
    sign.touch()
    when(it, "patient", "is well again", lambda tasks: tasks[-1].status is S.RUNNING)


def test_an_update_to_what_never_gets_healthy_is_rolled_back(it: Cluster, folder: Path, job: str, sign: Path) -> None:
    sign.touch()
    assert it.aurora("job", "create", "--wait-until", "RUNNING", KEY, job).returncode == 0
    worse = Path(job).read_text().replace(str(sign), str(folder / "never")).replace("_secs = 10,", "_secs = 1,")
    Path(job).write_text(worse)
    updated = it.aurora("update", "start", "--wait", KEY, job)
    assert updated.returncode == 4, updated.stdout
    tasks = when(it, "patient", "is as before", lambda tasks: tasks[-1].status is S.RUNNING)
    assert [task.status for task in tasks] == [S.KILLED, S.FAILED, S.RUNNING]
