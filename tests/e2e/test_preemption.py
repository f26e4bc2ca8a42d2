"""A full cluster makes room for what matters more."""

from __future__ import annotations

import os
from pathlib import Path

from aurorad.api.calls import SetQuota
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import Resource, ResourceAggregate
from tests.e2e.conftest import NewCluster
from tests.e2e.jobs import call, job_file, running, stories, tasks_of, when

S = ScheduleStatus
QUICK = (
    "-preemption_delay=1secs",
    "-preemption_slot_search_initial_delay=1secs",
    "-preemption_slot_search_interval=1secs",
)
CPUS = 0.9
MORE_THAN_FIT = (os.cpu_count() or 1) + 8


def test_a_preferred_task_takes_the_place_of_a_preemptible_one(folder: Path, new_cluster: NewCluster) -> None:
    with new_cluster(folder, *QUICK) as it:
        less = job_file(
            folder, "less", "exec sleep 1000", cpus=CPUS, more=f"tier = 'preemptible', instances = {MORE_THAN_FIT}"
        )
        assert it.aurora("job", "create", "devcluster/www-data/devel/less", less).returncode == 0
        when(it, "less", "fills the cluster", lambda tasks: {task.status for task in tasks} == {S.RUNNING, S.PENDING})
        before = running(it, "less")

        amounts = frozenset({Resource(num_cpus=1.0), Resource(ram_mb=100), Resource(disk_mb=100)})
        assert call(it, SetQuota("www-data", ResourceAggregate(amounts))).response_code is ResponseCode.OK
        more = job_file(folder, "more", "exec sleep 1000", cpus=CPUS, more="tier = 'preferred'")
        created = it.aurora("job", "create", "devcluster/www-data/devel/more", more)
        assert created.returncode == 0, created.stdout
        (winner,) = when(it, "more", "runs", lambda tasks: tasks[-1].status is S.RUNNING)
        ended = [task for task in tasks_of(it, "less") if S.PREEMPTING in {e.status for e in task.task_events}]
        assert len(ended) == 1, stories(tasks_of(it, "less"))
        (victim,) = ended
        assert victim.status is S.KILLED
        assert victim.assigned_task.slave_host == winner.assigned_task.slave_host
        assert victim.assigned_task.task_id in {task.assigned_task.task_id for task in before}
        waiting = [task for task in tasks_of(it, "less") if task.ancestor_id == victim.assigned_task.task_id]
        assert [task.status for task in waiting] == [S.PENDING]
