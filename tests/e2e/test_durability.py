"""What was answered OK is kept, whatever happens to the daemon."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from aurorad.api.calls import CreateJob, GetJobs, GetTasksStatus
from aurorad.api.enums import ACTIVE_STATES, ResponseCode, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskQuery
from tests.e2e.cluster import Cluster, Workers, eventually
from tests.e2e.conftest import NewCluster
from tests.e2e.jobs import call, shell_job

TOO_MANY_CPUS = 1000.0  # so that these jobs stay pending


def test_kill_9_in_the_middle_of_200_creates_loses_nothing_that_was_answered_ok(
    folder: Path, new_cluster: NewCluster
) -> None:
    with new_cluster(folder) as it:
        runners = start_runners(it, folder, 4)
        answered: set[str] = set()
        enough = threading.Event()

        def create(name: str) -> None:
            try:
                answer = call(it, CreateJob(shell_job(name, "sleep 600", cpus=TOO_MANY_CPUS)))
            except requests.RequestException:
                return  # the daemon is gone: this one was not answered
            assert answer.response_code is ResponseCode.OK
            answered.add(name)
            if len(answered) >= 80:
                enough.set()

        with ThreadPoolExecutor(8) as threads:
            created = [threads.submit(create, f"job-{number}") for number in range(200)]
            assert enough.wait(30)
            it.stop(signal.SIGKILL)
        for one in created:
            one.result()
        assert 80 <= len(answered) < 200

        it.start()
        assert answered <= job_names(it)
        eventually("the engine has told what runs", lambda: reconciled(it))
        assert {pid_file.name: pids(pid_file) for pid_file in folder.glob("notes/*")} == runners
        assert it.task_processes()


def test_tasks_survive_an_orderly_restart(folder: Path, new_cluster: NewCluster, workers: Workers | None) -> None:
    it = Cluster(folder, workers=workers)
    it.start()
    runners = start_runners(it, folder, 2)
    assert it.stop() == 0
    alive = it.task_processes()
    assert alive
    with new_cluster(folder) as again:
        eventually("the engine has told what runs", lambda: reconciled(again))
        assert again.task_processes() == alive
        assert {pid_file.name: pids(pid_file) for pid_file in folder.glob("notes/*")} == runners
        (task, _) = active_tasks(again)
        assert task.status is ScheduleStatus.RUNNING
    assert it.task_processes() == []  # all were ended with it


def start_runners(it: Cluster, folder: Path, count: int) -> dict[str, list[str]]:
    """Jobs that write a line with their pid whenever they are started; the lines there are, once all run."""
    notes = folder / "notes"
    notes.mkdir()
    notes.chmod(0o777)  # as root, tasks run as the user of their role
    for number in range(count):
        command = f"echo $$ >> {notes}/runner-{number}; exec sleep 600"
        assert call(it, CreateJob(shell_job(f"runner-{number}", command))).response_code is ResponseCode.OK
    files = [notes / f"runner-{number}" for number in range(count)]
    eventually("the runners run", lambda: all(file.exists() and len(pids(file)) == 1 for file in files))
    eventually("the scheduler knows", lambda: all(t.status is ScheduleStatus.RUNNING for t in active_tasks(it)))
    return {file.name: pids(file) for file in files}


def pids(file: Path) -> list[str]:
    return file.read_text().split()


def reconciled(it: Cluster) -> bool:
    return " 0" not in f" {variable(it, 'reconciliation_explicit_runs')}"


def variable(it: Cluster, name: str) -> str:
    values = dict(line.split(" ", 1) for line in it.get("/vars").splitlines())
    return values.get(name, "0")


def job_names(it: Cluster) -> set[str]:
    result = call(it, GetJobs()).result
    assert result is not None
    assert result.get_jobs_result is not None
    return {job.key.name for job in result.get_jobs_result.configs}


def active_tasks(it: Cluster) -> tuple[ScheduledTask, ...]:
    result = call(it, GetTasksStatus(TaskQuery(statuses=ACTIVE_STATES))).result
    assert result is not None
    assert result.schedule_status_result is not None
    return result.schedule_status_result.tasks
