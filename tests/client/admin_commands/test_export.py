"""`aurora_admin backup export`: what people can ask of a backup, or of a scheduler."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aurorad.api.calls import GetJobs, GetJobUpdateDetails, GetQuota, GetRoleSummary, GetTasksStatus, MaintenanceStatus
from aurorad.api.enums import JobUpdateStatus, MaintenanceMode, ScheduleStatus
from aurorad.api.results import (
    GetJobsResult,
    GetJobUpdateDetailsResult,
    GetQuotaResult,
    HostStatus,
    MaintenanceStatusResult,
    RoleSummary,
    RoleSummaryResult,
    ScheduleStatusResult,
)
from aurorad.api.tasks import JobConfiguration, Resource, ResourceAggregate
from aurorad.api.updates import JobUpdateDetails, JobUpdateEvent, JobUpdateKey
from tests.client.conftest import Runner
from tests.client.fake_scheduler import FakeScheduler, ok
from tests.storage.samples import CONFIG, JOB, task, update

BACKUP = Path(__file__).parents[2] / "contract" / "recordings" / "backup-1.bin"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def test_a_backup_of_the_original_can_be_queried(aurora_admin: Runner, tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite"
    ran = aurora_admin("backup", "export", f"--backup={BACKUP}", f"--sqlite={file}")
    assert (ran.code, ran.out) == (0, f"49 tasks of {BACKUP} are in {file}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert rows(file, "SELECT count(*), count(DISTINCT job) FROM tasks") == [(49, 10)]
    assert rows(file, "SELECT job, tasks, running FROM jobs WHERE name = 'api'") == [("ads/prod/api", 5, 3)]
    assert rows(file, "SELECT cpus, ram_mb, disk_mb FROM quotas WHERE role = 'web'") == [(16.0, 8192, 20000)]
    assert rows(file, "SELECT mode FROM hosts WHERE host = 'host-4'") == [("DRAINING",)]
    assert rows(file, "SELECT value FROM host_attributes WHERE host = 'host-3' AND name = 'rack'") == [("r0",)]
    assert rows(file, "SELECT status FROM updates WHERE job = 'web/prod/front'") == [("ROLLED_FORWARD",)]
    assert rows(file, "SELECT count(*) FROM instance_events WHERE job = 'web/prod/front'") == [(10,)]
    assert rows(file, "SELECT schedule, collision_policy FROM cron_jobs WHERE job = 'web/prod/nightly'") == [
        ("30 3 * * MON-FRI", "CANCEL_NEW")
    ]
    assert rows(file, "SELECT timeout_secs FROM maintenance") == [(86400,)]
    assert rows(file, "SELECT value FROM about WHERE name = 'at'") == [("2026-11-21 03:35:47.651",)]
    assert rows(file, "SELECT DISTINCT tier FROM tasks JOIN configs USING (config) ORDER BY tier") == [
        ("preemptible",),
        ("preferred",),
    ]


def test_so_can_the_state_of_a_scheduler(aurora_admin: Runner, scheduler: FakeScheduler, tmp_path: Path) -> None:
    key = JobUpdateKey(JOB, "u")
    details = JobUpdateDetails(update(key), (JobUpdateEvent(JobUpdateStatus.ABORTED, 5, "bob", "enough"),))
    quota = ResourceAggregate(frozenset({Resource(num_cpus=2.0), Resource(ram_mb=3), Resource(disk_mb=4)}))
    jobs = frozenset({JobConfiguration(JOB, cron_schedule="* * * * *", task_config=CONFIG), JobConfiguration()})
    tasks = (task("a", ScheduleStatus.RUNNING, "h1"), task("b"))
    scheduler.on(GetTasksStatus, ok(schedule_status_result=ScheduleStatusResult(tasks)))
    scheduler.on(GetJobs, ok(get_jobs_result=GetJobsResult(jobs)))
    scheduler.on(
        GetJobUpdateDetails, ok(get_job_update_details_result=GetJobUpdateDetailsResult(details_list=(details,)))
    )
    hosts = MaintenanceStatusResult(frozenset({HostStatus("h1", MaintenanceMode.DRAINED)}))
    scheduler.on(MaintenanceStatus, ok(maintenance_status_result=hosts))
    roles = RoleSummaryResult(frozenset({RoleSummary("www", 1, 1)}))
    scheduler.on(GetRoleSummary, ok(role_summary_result=roles))
    scheduler.on(GetQuota, ok(get_quota_result=GetQuotaResult(quota)))
    file = tmp_path / "state.sqlite"
    assert aurora_admin("backup", "export", "west", f"--sqlite={file}").code == 0
    assert rows(file, "SELECT task, status, host, ports FROM tasks ORDER BY task") == [
        ("a", "RUNNING", "h1", '{"http":31000}'),
        ("b", "PENDING", None, "{}"),
    ]
    assert rows(file, "SELECT task, at, status, message FROM task_events WHERE task = 'a'") == [
        ("a", "1970-01-01 00:00:00.001", "PENDING", "why")
    ]
    assert rows(file, "SELECT user, message FROM update_events") == [("bob", "enough")]
    assert rows(file, "SELECT * FROM hosts") == [("h1", None, "DRAINED")]
    assert rows(file, "SELECT * FROM quotas") == [("www", 2.0, 3, 4)]
    assert rows(file, "SELECT job, schedule FROM cron_jobs") == [("www/prod/hello", "* * * * *")]
    assert rows(file, "SELECT cpus, ports FROM configs") == [(0.5, "http")]


def test_nothing_is_overwritten_and_nothing_left_half_done(aurora_admin: Runner, tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite"
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish")
    ran = aurora_admin("backup", "export", f"--backup={rubbish}", f"--sqlite={file}")
    assert (ran.code, "is no backup" in ran.err) == (1, True)
    assert sorted(tmp_path.iterdir()) == [rubbish]
    assert "is there already" in aurora_admin("backup", "export", f"--backup={BACKUP}", f"--sqlite={rubbish}").err
    missing = tmp_path / "none"
    assert "cannot be read" in aurora_admin("backup", "export", f"--backup={missing}", f"--sqlite={file}").err


@pytest.mark.parametrize("more", [(), ("west", "--backup=x")])
def test_either_a_cluster_or_a_file_is_exported(aurora_admin: Runner, tmp_path: Path, more: tuple[str, ...]) -> None:
    ran = aurora_admin("backup", "export", f"--sqlite={tmp_path / 'new'}", *more)
    assert (ran.code, ran.err) == (1, "Please specify either a cluster or --backup=FILE\n")
