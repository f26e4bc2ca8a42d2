"""Killing and restarting some instances of a job, and none of the others."""

from __future__ import annotations

from pathlib import Path

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import job_file, running, tasks_of, when

S = ScheduleStatus
KEY = "devcluster/www-data/devel/crowd"


def instances(tasks: list[ScheduledTask]) -> dict[int, str]:
    """Each one's task."""
    return {task.assigned_task.instance_id: task.assigned_task.task_id for task in tasks}


def test_some_instances_are_killed_or_restarted_and_the_others_go_on(devcluster: Cluster, folder: Path) -> None:
    job = job_file(
        folder, "crowd", "exec sleep 1000", more="instances = 4, update_config = UpdateConfig(watch_secs = 0)"
    )
    assert devcluster.aurora("job", "create", "--wait-until", "RUNNING", KEY, job).returncode == 0
    all_of_them = instances(running(devcluster, "crowd"))
    assert set(all_of_them) == {0, 1, 2, 3}
    assert len(devcluster.task_processes()) >= 4

    killed = devcluster.aurora("job", "kill", "--no-batching", f"{KEY}/1-2")
    assert killed.returncode == 0, killed.stdout
    assert instances(running(devcluster, "crowd")) == {0: all_of_them[0], 3: all_of_them[3]}
    assert {task.status for task in tasks_of(devcluster, "crowd")} == {S.RUNNING, S.KILLED}

    restarted = devcluster.aurora("job", "restart", "--watch-secs=1", f"{KEY}/3")
    assert restarted.returncode == 0, restarted.stdout
    when(devcluster, "crowd", "two run", lambda tasks: sum(task.status is S.RUNNING for task in tasks) == 2)
    left = instances(running(devcluster, "crowd"))
    assert left[0] == all_of_them[0]
    assert left[3] != all_of_them[3]

    assert devcluster.aurora("job", "killall", KEY).returncode == 0
    eventually("nothing of it is left", lambda: devcluster.task_processes() == [])
