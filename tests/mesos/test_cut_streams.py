"""Every stream of ours is cut in the middle, again and again: each comes back, and nothing stops for good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from aurorad.api.enums import ScheduleStatus
from tests.e2e.cluster import eventually
from tests.e2e.jobs import job_file, tasks_of, when
from tests.mesos.conftest import NewSite, Site
from tests.mesos.cutting import cut, needs_cutting
from tests.mesos.notes import create, none_lost_none_doubled

pytestmark = pytest.mark.real_mesos
S = ScheduleStatus
CRON = "devcluster/www-data/devel/nightly"
EVERY_MINUTE = "cron_schedule = '* * * * *', cron_collision_policy = 'KILL_EXISTING'"


@pytest.fixture(autouse=True, scope="module")
def _cutting() -> None:
    needs_cutting()


@contextmanager
def cut_often(*addresses: str) -> Iterator[Callable[[], int]]:
    """Within, connections to these live no longer than a second; the number of those that were cut."""
    over, cuts = threading.Event(), [0]

    def go_on() -> None:
        while not over.wait(1.0):
            cuts[0] += sum(map(cut, addresses))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield lambda: cuts[0]
    finally:
        over.set()
        thread.join()


def test_scheduling_and_cron_go_on_whenever_the_masters_stream_is_cut(site: Site) -> None:
    it, master = site.it, site.rig.address("master")
    create(it, site.notes, "crowd", 2)
    job = job_file(it.folder, "nightly", "exec sleep 1000", kind="Job", more=EVERY_MINUTE)
    assert it.aurora("cron", "schedule", CRON, job).returncode == 0
    for number in range(3):
        before = site.variable("mesos_scheduler_subscription_attempts")
        assert cut(master) > 0
        eventually("another subscription", lambda: site.variable("mesos_scheduler_subscription_attempts") > before)  # noqa: B023
        create(it, site.notes, f"more-{number}", 1)
    with cut_often(master) as cuts:
        create(it, site.notes, "meanwhile", 4)
        eventually("a few were cut", lambda: cuts() > 5)
    killed = it.aurora("job", "killall", "devcluster/www-data/devel/meanwhile")
    assert killed.returncode == 0, killed.stdout
    before = len(tasks_of(it, "nightly"))
    when(it, "nightly", "runs when due", lambda t: len(t) > before and t[-1].status is S.RUNNING, within_s=100)
    none_lost_none_doubled(it, site.notes, "crowd", 2)


def test_executors_go_on_whenever_their_agents_stream_is_cut(site: Site) -> None:
    it, agents = site.it, [agent.address for agent in site.rig.agents]
    create(it, site.notes, "crowd", 4)
    with cut_often(*agents) as cuts:
        eventually("each was cut", lambda: cuts() > 8)
        create(it, site.notes, "meanwhile", 2)
    none_lost_none_doubled(it, site.notes, "crowd", 4)
    killed = it.aurora("job", "killall", "devcluster/www-data/devel/crowd")
    assert killed.returncode == 0, killed.stdout
    assert {task.status for task in tasks_of(it, "crowd")} == {S.KILLED}
    assert not [task_id for task_id in site.notes.alive() if "-crowd-" in task_id]


def test_masters_are_found_again_whenever_the_connection_to_zookeeper_is_cut(new_site: NewSite) -> None:
    with new_site(rig=("--zookeeper",)) as site:
        create(site.it, site.notes, "crowd", 2)
        for number in range(3):
            assert cut(site.rig.zookeeper) > 0
            cut(site.rig.leader())
            create(site.it, site.notes, f"more-{number}", 1)
        none_lost_none_doubled(site.it, site.notes, "crowd", 2)
