"""Several frameworks on one Mesos: nobody starves another, and an operator may end one."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode, ScheduleStatus
from tests.e2e.cluster import Cluster, cluster, eventually
from tests.e2e.jobs import call, shell_job, when
from tests.mesos.conftest import QUICK, Site
from tests.mesos.notes import create
from tests.mesos.workers import mesos_workers

pytestmark = pytest.mark.real_mesos
S = ScheduleStatus
HELD_BRIEFLY = ("-min_offer_hold_time=1secs", "-offer_hold_jitter_window=1secs")
MOST_OF_AN_AGENT = 3.5  # of its 4 CPUs


def fill(it: Cluster, name: str) -> None:
    """Two tasks that need an agent each."""
    job = shell_job(name, "exec sleep 1000", cpus=MOST_OF_AN_AGENT, instances=2)
    assert call(it, CreateJob(job)).response_code is ResponseCode.OK
    when(it, name, "two run", lambda tasks: [task.status for task in tasks] == [S.RUNNING] * 2, within_s=60)


def test_what_one_scheduler_does_not_need_another_one_gets_and_back_again(folder: Path) -> None:
    flags = (*QUICK, *HELD_BRIEFLY)
    for name in ("one", "other"):
        (folder / name).mkdir(mode=0o755)
    with (
        mesos_workers(observed=False) as workers,
        cluster(folder / "one", *flags, workers=workers) as one,
    ):
        other = Cluster(folder / "other", *flags, workers=workers)
        other.start()
        try:
            for turn in range(2):
                for it in (one, other):
                    fill(it, f"large-{turn}")
                    killed = it.aurora("job", "killall", "--no-batching", f"devcluster/www-data/devel/large-{turn}")
                    assert killed.returncode == 0, killed.stdout
        finally:
            assert other.stop() == 0


def test_a_framework_that_an_operator_ends_is_not_replaced_unless_told_so(site: Site) -> None:
    it = site.it
    create(it, site.notes, "crowd", 2)
    (framework,) = site.rig.frameworks()
    site.rig.tear_down_frameworks()
    assert it.wait_for_end() != 0
    assert site.notes.alive() == {}
    with pytest.raises(AssertionError, match=r"aurorad did not start(.|\n)*-forget_framework"):
        it.start()

    it.flags = (*it.flags, f"-forget_framework={framework}")
    it.start()
    when(it, "crowd", "two run again", lambda tasks: sum(task.status is S.RUNNING for task in tasks) == 2)
    eventually("in truth, too", lambda: len(site.notes.alive()) == 2)
    assert site.rig.frameworks() != [framework]
