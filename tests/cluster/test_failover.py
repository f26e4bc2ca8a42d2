"""Three schedulers on three machines: what was acknowledged outlives whoever acknowledged it."""

from __future__ import annotations

from tests.cluster.calls import create, jobs
from tests.cluster.schedulers import Site
from tests.e2e.cluster import eventually


def test_a_leader_is_killed_and_the_job_is_still_there(three: Site) -> None:
    first = three.leader()
    assert create(first, "one")
    first.kill()
    second = eventually("another leads", lambda: (found := three.leading()) is not first and found)
    assert jobs(second) == {"one"}
    assert create(second, "two")
    assert three.settle() is second
