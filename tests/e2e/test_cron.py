"""Jobs that run at set times."""

from __future__ import annotations

from pathlib import Path

from aurorad.api.enums import ScheduleStatus
from tests.e2e.cluster import Cluster
from tests.e2e.jobs import job_file, tasks_of, when

S = ScheduleStatus
KEY = "devcluster/www-data/devel/nightly"
EVERY_MINUTE = "cron_schedule = '* * * * *', cron_collision_policy = 'KILL_EXISTING'"


def test_a_cron_job_runs_when_told_and_when_due_in_the_place_of_the_run_before(
    devcluster: Cluster, folder: Path
) -> None:
    job = job_file(folder, "nightly", "exec sleep 1000", kind="Job", more=EVERY_MINUTE)
    scheduled = devcluster.aurora("cron", "schedule", KEY, job)
    assert scheduled.returncode == 0, scheduled.stdout
    assert "* * * * *" in devcluster.aurora("cron", "show", KEY).stdout
    assert devcluster.aurora("cron", "start", KEY).returncode == 0
    when(devcluster, "nightly", "runs as told", lambda tasks: tasks and tasks[-1].status is S.RUNNING)
    before = len(tasks_of(devcluster, "nightly"))  # one more if the minute began just now

    tasks = when(
        devcluster,
        "nightly",
        "runs when due",
        lambda tasks: len(tasks) > before and tasks[-1].status is S.RUNNING,
        within_s=100,
    )
    assert tasks[-2].status is S.KILLED
    assert tasks[-2].task_events[-2].message == "Killed by cronScheduler"
    assert len(devcluster.task_processes()) == len(_processes_of(devcluster, tasks[-1].assigned_task.task_id))

    assert devcluster.aurora("cron", "deschedule", KEY).returncode == 0
    assert devcluster.aurora("job", "killall", KEY).returncode == 0
    assert devcluster.task_processes() == []


def _processes_of(cluster: Cluster, task_id: str) -> list[int]:
    return [pid for pid in cluster.task_processes() if task_id in str(Path(f"/proc/{pid}/cwd").readlink())]
