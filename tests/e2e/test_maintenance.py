"""Hosts are emptied for maintenance, and used again after it."""

from __future__ import annotations

from pathlib import Path

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from tests.e2e.conftest import NewCluster
from tests.e2e.jobs import job_file, running, when

S = ScheduleStatus
KEY = "devcluster/www-data/devel/resident"


def test_a_drained_host_is_left_by_its_tasks_and_used_again_once_activated(
    folder: Path, new_cluster: NewCluster
) -> None:
    with new_cluster(folder, "-host_maintenance_polling_interval=1secs") as it:
        job = job_file(folder, "resident", "exec sleep 1000", more="instances = 2")
        assert it.aurora("job", "create", "--wait-until", "RUNNING", KEY, job).returncode == 0
        before = running(it, "resident")
        hosts = ",".join(it.hosts)

        drained = it.aurora_admin("sla_host_drain", f"--hosts={hosts}", "--force_drain_timeout=1s", "devcluster")
        assert drained.returncode == 0, drained.stdout
        tasks = when(it, "resident", "nothing runs", lambda tasks: {t.status for t in tasks} == {S.KILLED, S.PENDING})
        assert {task.assigned_task.task_id for task in tasks if task.status is S.KILLED} == {
            task.assigned_task.task_id for task in before
        }
        assert all(S.DRAINING in {e.status for e in task.task_events} for task in tasks if task.status is S.KILLED)
        assert it.task_processes() == []
        for host in it.hosts:
            status = it.aurora_admin("host_status", f"--hosts={host}", "devcluster").stdout
            assert f"{host} is in state: DRAINED" in status

        assert it.aurora_admin("host_activate", f"--hosts={hosts}", "devcluster").returncode == 0
        when(it, "resident", "runs again", lambda tasks: sum(task.status is S.RUNNING for task in tasks) == 2)


def test_tasks_of_a_drained_host_go_to_another_if_there_is_one(folder: Path, new_cluster: NewCluster) -> None:
    with new_cluster(folder, "-host_maintenance_polling_interval=1secs") as it:
        job = job_file(folder, "resident", "exec sleep 1000", more="instances = 2")
        assert it.aurora("job", "create", "--wait-until", "RUNNING", KEY, job).returncode == 0
        host = running(it, "resident")[0].assigned_task.slave_host
        assert host is not None
        others = {other for other in it.hosts if other != host}
        drained = it.aurora_admin("sla_host_drain", f"--hosts={host}", "--force_drain_timeout=1s", "devcluster")
        assert drained.returncode == 0, drained.stdout
        expected = 2 if others else 0

        def moved(tasks: list[ScheduledTask]) -> bool:
            at = [task.assigned_task.slave_host for task in tasks if task.status is S.RUNNING]
            return len(at) == expected and others.issuperset(at)

        when(it, "resident", f"{expected} run, on {others}", moved)
        assert it.aurora_admin("host_activate", f"--hosts={host}", "devcluster").returncode == 0
        when(it, "resident", "two run", lambda tasks: sum(task.status is S.RUNNING for task in tasks) == 2)
