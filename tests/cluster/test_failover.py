"""Three schedulers on three machines: what was acknowledged outlives whoever acknowledged it."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.calls import NotDone, create, jobs
from tests.cluster.network import cut
from tests.cluster.schedulers import Scheduler, Site, site
from tests.e2e.cluster import eventually


def test_a_leader_is_killed_and_the_job_is_still_there(three: Site) -> None:
    first = three.leader()
    assert create(first, "one")
    first.kill()
    second = eventually("another leads", lambda: found if (found := three.leading()) is not first else None)
    assert jobs(second) == {"one"}
    assert create(second, "two")
    assert three.settle() is second


def test_the_next_in_line_that_reaches_no_other_makes_room_for_one_that_does(tmp_path: Path) -> None:
    with site(tmp_path, "-native_log_initialize", "-native_log_election_timeout=3secs", zookeepers=1) as them:
        them.start()
        first = them.settle()
        second, third = them.followers()
        third.stop()  # and to the end of the line
        third.start()
        them.settle()
        assert create(first, "one")
        cut([second.machine], [first.machine, third.machine])
        first.kill()
        leader = eventually("one that reaches another leads", lambda: next(filter(leads, (first, third)), None), 40)
        attempt = "attempt 1 of 20 to lead the log: no quorum of 2 promised"
        eventually("the log says so", lambda: attempt in second.written())
        assert create(leader, "two")
        assert jobs(leader) == {"one", "two"}
        them.network.heal()
        # The one that was away may still try to lead, with a higher round, and so end whoever does.
        eventually("both are there again", lambda: known(them) == {"one", "two"}, 60)


def known(them: Site) -> set[str]:
    try:
        return jobs(them.settle())
    except NotDone:
        return set()


def leads(one: Scheduler) -> bool:
    return one.runs and one.leads()
