"""What becomes of tasks when agents go away, for a while or for good."""

from __future__ import annotations

import pytest

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from tests.e2e.cluster import eventually
from tests.e2e.jobs import job_file, running, when
from tests.mesos.conftest import NewSite, Site
from tests.mesos.notes import create, none_lost_none_doubled
from tests.mesos.rig import GIVEN_UP_SOON, Agent

pytestmark = pytest.mark.real_mesos
S = ScheduleStatus
KEY = "devcluster/www-data/devel/crowd"


def agent_of(site: Site, task: ScheduledTask) -> Agent:
    return next(agent for agent in site.rig.agents if agent.hostname == task.assigned_task.slave_host)


def lose_machine(site: Site, agent: Agent) -> None:
    """The agent and all that runs there, at once."""
    site.rig.kill(agent.name)
    agent.kill_processes()


def test_tasks_live_on_while_their_agent_is_restarted(site: Site) -> None:
    create(site.it, site.notes, "crowd", 4)
    for agent in site.rig.agents:
        site.rig.kill(agent.name)
        site.rig.revive(agent.name)
    eventually("the agents are back", lambda: site.rig.active_agents() == 2)
    eventually(
        "executors are subscribed again",
        lambda: sum(agent.executors() for agent in site.rig.agents) == 4,
    )
    none_lost_none_doubled(site.it, site.notes, "crowd", 4)
    create(site.it, site.notes, "more", 2)
    killed = site.it.aurora("job", "killall", KEY)
    assert killed.returncode == 0, killed.stdout
    assert {task_id for task_id in site.notes.alive() if "-crowd-" in task_id} == set()


def test_tasks_of_an_agent_that_is_gone_for_good_are_lost_and_run_elsewhere(new_site: NewSite) -> None:
    with new_site(rig=GIVEN_UP_SOON) as site:
        it = site.it
        create(it, site.notes, "crowd", 2)
        victim = running(it, "crowd")[0]
        gone = agent_of(site, victim)
        there = [task for task in running(it, "crowd") if task.assigned_task.slave_host == gone.hostname]
        lose_machine(site, gone)
        tasks = when(
            it,
            "crowd",
            "two run again, elsewhere",
            lambda tasks: (
                [t.assigned_task.slave_host != gone.hostname for t in tasks if t.status is S.RUNNING] == [True] * 2
            ),
        )
        lost = [task for task in tasks if task.status is S.LOST]
        assert {task.assigned_task.task_id for task in lost} == {task.assigned_task.task_id for task in there}
        alive = {task.assigned_task.task_id for task in tasks if task.status is S.RUNNING}
        eventually("just those are alive", lambda: set(site.notes.alive()) == alive)  # one may be about to say so


def test_tasks_that_cannot_be_reached_are_replaced_as_their_policy_says_and_taken_back_if_they_were_not(
    new_site: NewSite,
) -> None:
    with new_site("-partition_aware", rig=GIVEN_UP_SOON) as site:
        it, (agent, other) = site.it, site.rig.agents
        site.rig.kill(other.name)  # until the tasks run
        eventually("one agent is left", lambda: site.rig.active_agents() == 1)
        policies = {
            "soon": "reschedule = True, delay_secs = 1",
            "late": "reschedule = True, delay_secs = 3600",
            "never": "reschedule = False",
        }
        for name, policy in policies.items():
            more = f"partition_policy = PartitionPolicy({policy})"
            file = job_file(it.folder, name, site.notes.command, cpus=0.01, more=more)
            created = it.aurora("job", "create", "--wait-until", "RUNNING", f"devcluster/www-data/devel/{name}", file)
            assert created.returncode == 0, created.stdout
        before = {task.assigned_task.task_id for task in running(it)}
        site.rig.revive(other.name)

        site.rig.kill(agent.name)  # the tasks go on, unseen
        when(it, "late", "is partitioned", lambda tasks: tasks[-1].status is S.PARTITIONED)
        when(it, "never", "is partitioned", lambda tasks: tasks[-1].status is S.PARTITIONED)
        when(it, "soon", "was replaced", lambda tasks: [t.status for t in tasks] == [S.LOST, S.RUNNING])
        eventually("the replacement is there besides", lambda: before < set(site.notes.alive()))

        site.rig.revive(agent.name)
        for name in ("late", "never"):
            (task,) = when(it, name, "is back", lambda tasks: tasks[-1].status is S.RUNNING)
            assert task.assigned_task.task_id in before
        believed = {task.assigned_task.task_id for task in running(it)}
        assert len(believed) == 3
        eventually("what was replaced is ended", lambda: set(site.notes.alive()) == believed)
