"""Schedulers end in the midst of it, others take over, and what they know is set right where it is wrong."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob, ForceTaskState, KillTasks
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import JobKey
from tests.e2e.cluster import eventually
from tests.e2e.jobs import call, running, tasks_of, when
from tests.e2e.schedulers import schedulers
from tests.mesos.conftest import QUICK, Site
from tests.mesos.notes import Notes, create, none_lost_none_doubled
from tests.mesos.workers import mesos_workers

pytestmark = pytest.mark.real_mesos
S = ScheduleStatus
MANY = 200
ROOM_FOR_MANY = ("--cpus=200", "--mem=200000", "--disk=200000")


def test_a_second_scheduler_takes_over_200_tasks_and_none_is_lost_or_doubled(folder: Path) -> None:
    with mesos_workers("--zookeeper", *ROOM_FOR_MANY, observed=False) as workers:
        with schedulers(folder, workers.rig.zookeeper, *QUICK, engine=workers.flags) as them:
            notes = Notes(folder)
            first = them.by_name[them.leader()]
            create(first, notes, "crowd", MANY, within_s=240)
            framework = workers.rig.frameworks()
            assert len(framework) == 1
            for name in ("launching", "dying"):
                assert call(first, CreateJob(notes.job(name, 4))).response_code is ResponseCode.OK
            eventually("some are launched", lambda: len(notes.starts()) > MANY)
            call(first, KillTasks(JobKey("www-data", "devel", "dying"), frozenset()))
            first.stop(signal.SIGKILL)

            second = them.by_name[them.leader()]
            assert second is not first
            when(second, "launching", "all run", lambda t: Counter(task.status for task in t) == {S.RUNNING: 4})
            none_lost_none_doubled(second, notes, "crowd", MANY)
            when(second, "dying", "all are killed", lambda t: not [task for task in t if task.status is not S.KILLED])
            assert workers.rig.frameworks() == framework
            believed = {task.assigned_task.task_id for task in running(second)}
            eventually("nothing else runs", lambda: set(notes.alive()) == believed)
            assert all(len(pids) == 1 for pids in notes.starts().values())
        workers.clean_up()


def test_a_scheduler_that_was_killed_goes_on_where_it_was(site: Site) -> None:
    create(site.it, site.notes, "crowd", 4)
    framework = site.rig.frameworks()
    site.it.stop(signal.SIGKILL)
    site.notes.kill(min(site.notes.alive()))
    site.it.start()
    when(
        site.it,
        "crowd",
        "the one that ended has a successor",
        lambda tasks: Counter(t.status for t in tasks) == {S.RUNNING: 4, S.FAILED: 1},
    )
    assert site.rig.frameworks() == framework
    believed = {task.assigned_task.task_id for task in running(site.it)}
    assert set(site.notes.alive()) == believed


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


def test_a_task_that_is_declared_lost_does_not_go_on_beside_its_successor(site: Site) -> None:
    create(site.it, site.notes, "crowd", 1)
    (task,) = running(site.it, "crowd")
    forced = call(site.it, ForceTaskState(task.assigned_task.task_id, S.LOST))
    assert forced.response_code is ResponseCode.OK
    when(site.it, "crowd", "has a successor", lambda tasks: [t.status for t in tasks] == [S.LOST, S.RUNNING])
    (successor,) = running(site.it, "crowd")
    eventually("only that runs", lambda: set(site.notes.alive()) == {successor.assigned_task.task_id})
