"""Tasks that note when they start, so that tests can count what really runs, whatever anybody believes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import JobConfiguration
from tests.e2e.cluster import Cluster
from tests.e2e.jobs import call, shell_job, tasks_of, when


class Notes:
    """A folder in which each task leaves a file, ``<instance>@<task id>``, with a pid for each of its starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "notes"
        self.folder.mkdir()
        self.folder.chmod(0o777)  # tasks run as their role's users
        self.command = f"echo $$ >> {self.folder}/{{{{mesos.instance}}}}@{{{{thermos.task_id}}}}; exec sleep 100000"

    def job(self, name: str, instances: int, *, cpus: float = 0.01) -> JobConfiguration:
        """A service of such tasks."""
        return shell_job(name, self.command, cpus=cpus, instances=instances)

    def starts(self) -> Mapping[str, list[int]]:
        """The pids of each task that ever started, by its id."""
        files = [file for file in self.folder.iterdir() if "@" in file.name]
        return {file.name.partition("@")[2]: [int(pid) for pid in file.read_text().split()] for file in files}

    def alive(self) -> Mapping[str, list[int]]:
        """Those of which a process lives, by their ids."""
        living = {task_id: [pid for pid in pids if lives(pid)] for task_id, pids in self.starts().items()}
        return {task_id: pids for task_id, pids in living.items() if pids}


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def create(it: Cluster, notes: Notes, name: str, instances: int, *, within_s: float = 60.0) -> None:
    """Such a job, all of whose instances run, perhaps not at the first attempt: an agent may be away at the moment."""
    assert call(it, CreateJob(notes.job(name, instances))).response_code is ResponseCode.OK
    when(
        it,
        name,
        f"{instances} run",
        lambda tasks: Counter(task.status for task in tasks)[ScheduleStatus.RUNNING] == instances,
        within_s,
    )


def none_lost_none_doubled(it: Cluster, notes: Notes, name: str, instances: int) -> None:
    """Each instance runs once and was never ended, for the scheduler and in truth."""
    tasks = tasks_of(it, name)
    assert Counter(task.status for task in tasks) == {ScheduleStatus.RUNNING: instances}
    assert {task.assigned_task.instance_id for task in tasks} == set(range(instances))
    ids = {task.assigned_task.task_id for task in tasks}
    starts = {task_id: pids for task_id, pids in notes.starts().items() if f"-{name}-" in task_id}
    assert set(starts) == ids
    assert {task_id: len(pids) for task_id, pids in starts.items()} == dict.fromkeys(ids, 1), "started once"
    assert ids <= set(notes.alive())
