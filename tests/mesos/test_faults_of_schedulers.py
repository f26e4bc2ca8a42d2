"""Schedulers end in the midst of it, others take over, and what they know is set right where it is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from aurorad.api.calls import CreateJob, ForceTaskState, KillTasks
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import ExecutorConfig, JobKey, ScheduledTask
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import call, running, shell_job, tasks_of, when
from tests.e2e.schedulers import schedulers
from tests.mesos.conftest import QUICK, NewSite, Site
from tests.mesos.notes import Notes, create, none_lost_none_doubled
from tests.mesos.workers import mesos_workers

pytestmark = pytest.mark.real_mesos
S = ScheduleStatus
MANY = 200
LIGHT = "LightExecutor"
ROOM_FOR_MANY = ("--cpus=200", "--mem=200000", "--disk=200000")


def test_a_second_scheduler_takes_over_200_tasks_and_none_is_lost_or_doubled(folder: Path) -> None:
    notes = Notes(folder)
    light = f"-custom_executor_config={light_executor(folder, notes)}"
    with (
        mesos_workers("--zookeeper", *ROOM_FOR_MANY, observed=False) as workers,
        schedulers(folder, workers.rig.zookeeper, *QUICK, light, engine=workers.flags) as them,
    ):
        first = them.by_name[them.leader()]
        create_light(first, "crowd", MANY)
        when(first, "crowd", "all run", all_run(MANY), within_s=240)
        frameworks = workers.rig.frameworks()
        assert len(frameworks) == 1

        create_light(first, "dying", 20)
        when(first, "dying", "all run", all_run(20))
        create_light(first, "launching", 20)
        eventually("some are launched", lambda: len(notes.starts()) > MANY + 20)
        call(first, KillTasks(JobKey("www-data", "devel", "dying"), frozenset()))
        first.stop(signal.SIGKILL)

        second = them.by_name[them.leader()]
        assert second is not first
        when(second, "launching", "all run", all_run(20))
        when(second, "dying", "all are killed", lambda tasks: {task.status for task in tasks} == {S.KILLED})
        none_lost_none_doubled(second, notes, "crowd", MANY)
        none_lost_none_doubled(second, notes, "launching", 20)
        assert workers.rig.frameworks() == frameworks
        believed = {task.assigned_task.task_id for task in running(second)}
        eventually("nothing else runs", lambda: set(notes.alive()) == believed)
        create_light(second, "more", 2)
        when(second, "more", "two run", all_run(2))


def light_executor(folder: Path, notes: Notes) -> Path:
    """The file that tells the scheduler of an executor that is cheap enough for many tasks on one machine."""
    file = folder / "executors.json"
    program = Path(__file__).with_name("light_executor.py")
    command = {"value": f"exec {sys.executable} -SE {program} {notes.folder}", "shell": True}
    executor = {"name": LIGHT, "executor_id": {"value": "PLACEHOLDER"}, "command": command, "resources": []}
    file.write_text(json.dumps([{"executor": executor, "task_prefix": "light-"}]))
    return file


def create_light(it: Cluster, name: str, instances: int) -> None:
    job = shell_job(name, "", cpus=0.01, instances=instances)
    config = msgspec.structs.replace(job.task_config, executor_config=ExecutorConfig(LIGHT, "{}"))
    created = call(it, CreateJob(msgspec.structs.replace(job, task_config=config)))
    assert created.response_code is ResponseCode.OK, created


def all_run(instances: int) -> Callable[[list[ScheduledTask]], bool]:
    return lambda tasks: Counter(task.status for task in tasks) == {S.RUNNING: instances}


def test_a_scheduler_that_was_killed_goes_on_where_it_was(site: Site) -> None:
    create(site.it, site.notes, "crowd", 4)
    framework = site.rig.frameworks()
    site.it.stop(signal.SIGKILL)
    (executor,) = executors_of(min(site.notes.alive()))
    os.kill(executor, signal.SIGKILL)
    site.it.start()
    when(
        site.it,
        "crowd",
        "the one whose executor ended has a successor",
        lambda tasks: Counter(t.status for t in tasks) == {S.RUNNING: 4, S.FAILED: 1},
    )
    assert site.rig.frameworks() == framework
    believed = {task.assigned_task.task_id for task in running(site.it)}
    eventually("just what it believes runs", lambda: set(site.notes.alive()) == believed)


def executors_of(task_id: str) -> list[int]:
    """Those who help one go by other names."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and (process / "comm").read_text().startswith("python"):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if b"-role=executor" in words and task_id in os.readlink(process / "cwd"):
                    found.append(int(process.name))
    return found


def test_what_changed_behind_a_schedulers_back_is_set_right(site: Site) -> None:
    """It is started with an older state of its own: some of the tasks there are gone, and others came since."""
    it, older = site.it, site.it.folder / "older"
    create(it, site.notes, "crowd", 3)
    assert it.stop() == 0
    shutil.copytree(it.work_dir, older)
    it.start()
    assert it.aurora("job", "kill", "--no-batching", "devcluster/www-data/devel/crowd/0-1").returncode == 0
    create(it, site.notes, "unknown", 2)
    assert it.stop() == 0
    shutil.rmtree(it.work_dir)
    older.rename(it.work_dir)

    it.start()
    tasks = when(
        it,
        "crowd",
        "what is gone was replaced",
        lambda tasks: Counter(task.status for task in tasks) == {S.RUNNING: 3, S.LOST: 2},
        within_s=60,
    )
    believed = {task.assigned_task.task_id for task in tasks if task.status is S.RUNNING}
    eventually("what it does not know is ended", lambda: set(site.notes.alive()) == believed)
    assert tasks_of(it, "unknown") == []


def test_a_task_that_is_declared_lost_does_not_go_on_for_long_beside_its_successor(new_site: NewSite) -> None:
    with new_site("-reconciliation_implicit_interval=2secs") as site:
        create(site.it, site.notes, "crowd", 1)
        (task,) = running(site.it, "crowd")
        forced = call(site.it, ForceTaskState(task.assigned_task.task_id, S.LOST))
        assert forced.response_code is ResponseCode.OK
        when(site.it, "crowd", "has a successor", lambda tasks: [t.status for t in tasks] == [S.LOST, S.RUNNING])
        (successor,) = running(site.it, "crowd")
        eventually("only that runs", lambda: set(site.notes.alive()) == {successor.assigned_task.task_id})
