"""A short `make chaos-cluster`: faults of different kinds under load, then what all members hold."""

from __future__ import annotations

import pytest

from tests.cluster import chaos
from tests.cluster.schedulers import Site

FAULTS = ("leader killed", "leader stopped", "leader without members", "leader not heard by ZooKeeper")


def test_no_write_is_lost_and_no_read_goes_back_whatever_happens_to_the_leader(three: Site) -> None:
    try:
        outages = chaos.run(three, FAULTS, seed=0, tell=print)
    except chaos.Broken as broken:
        pytest.fail(str(broken), pytrace=False)
    print("\n".join(chaos.table(outages)))
    assert set(outages) == set(FAULTS)
