"""Masters end, others take over: tasks go on, and scheduling does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aurorad.api.calls import CreateJob, KillTasks
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import JobKey
from tests.e2e.cluster import eventually
from tests.e2e.jobs import call, tasks_of, when
from tests.mesos.conftest import NewSite, Site
from tests.mesos.notes import create, none_lost_none_doubled

pytestmark = pytest.mark.real_mesos
S = ScheduleStatus


@pytest.fixture
def site(new_site: NewSite) -> Iterator[Site]:
    """Whose agents soon go back to a master that did not ping them: without ZooKeeper nobody tells them of one."""
    often = ("--master-flag=agent_ping_timeout=1secs", "--master-flag=max_agent_ping_timeouts=8")
    with new_site(rig=often) as started:
        yield started


def test_a_master_that_is_started_again_finds_all_as_it_was(site: Site) -> None:
    create(site.it, site.notes, "crowd", 3)
    site.rig.kill("master")
    site.rig.revive("master")
    create(site.it, site.notes, "more", 2)
    none_lost_none_doubled(site.it, site.notes, "crowd", 3)
    assert site.it.aurora("job", "killall", "devcluster/www-data/devel/crowd").returncode == 0


def test_what_is_asked_for_while_there_is_no_master_is_done_once_there_is_one(site: Site) -> None:
    create(site.it, site.notes, "crowd", 2)
    (first, second) = tasks_of(site.it, "crowd")
    site.rig.kill("master")
    eventually("the scheduler has noticed", lambda: site.variable("framework_registered") == 0)
    call(site.it, CreateJob(site.notes.job("more", 2)))
    call(site.it, KillTasks(JobKey("www-data", "devel", "crowd"), frozenset({first.assigned_task.instance_id})))
    site.rig.revive("master")
    when(site.it, "more", "two run", lambda tasks: [task.status for task in tasks] == [S.RUNNING] * 2)
    when(site.it, "crowd", "one is killed", lambda tasks: {task.status for task in tasks} == {S.KILLED, S.RUNNING})
    assert {task_id for task_id in site.notes.alive() if "-crowd-" in task_id} == {second.assigned_task.task_id}


def test_another_master_takes_over_and_tasks_notice_nothing(new_site: NewSite) -> None:
    with new_site(rig=("--masters=3",)) as site:
        create(site.it, site.notes, "crowd", 3)
        first = site.rig.leading_part()
        site.rig.kill(first)
        eventually("another master leads", lambda: site.rig.leading_part() != first, within_s=60)
        create(site.it, site.notes, "more", 2)
        none_lost_none_doubled(site.it, site.notes, "crowd", 3)

        site.rig.revive(first)
        site.rig.kill("zookeeper")
        site.rig.revive("zookeeper")
        second = site.rig.leading_part()
        site.rig.kill(second)
        eventually("a third time one leads", lambda: site.rig.leading_part() != second, within_s=60)
        create(site.it, site.notes, "last", 2)
        none_lost_none_doubled(site.it, site.notes, "crowd", 3)
        assert site.it.aurora("job", "killall", "devcluster/www-data/devel/crowd").returncode == 0
