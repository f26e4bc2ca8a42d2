"""Disks of members that are full or fail: the others go on, nothing is lost, and all is well again afterwards."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.cluster.calls import NotDone, Unknown, create, jobs
from tests.cluster.disks import Disk, disk
from tests.cluster.ledger import Ledger
from tests.cluster.schedulers import Scheduler, Site, site
from tests.e2e.cluster import eventually

PADDING = "x" * 280_000


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[list[Disk]]:
    with ExitStack() as stack:
        yield [stack.enter_context(disk(tmp_path / f"disk-{name}", 300)) for name in "abc"]


@pytest.fixture
def small(disks: list[Disk], tmp_path: Path) -> Iterator[Site]:
    """Three schedulers with small disks of their own."""
    with site(tmp_path, "-native_log_initialize", disks=[one.path for one in disks]) as them:
        them.start()
        yield them


def of(scheduler: Scheduler, disks: list[Disk]) -> Disk:
    (its,) = [one for one in disks if one.path == scheduler.disk]
    return its


def test_a_full_disk_holds_nobody_else_up_and_refuses_in_words(small: Site, disks: list[Disk]) -> None:
    leader = small.settle()
    follower = small.followers()[0]
    made: set[str] = set()
    names = map("job-{}".format, itertools.count())

    of(follower, disks).fill()
    for name in itertools.islice(names, 120):  # more than what it has in reserve
        assert create(leader, name, padding=PADDING)
        made.add(name)
    of(follower, disks).make_room()
    assert small.settle() is leader

    of(leader, disks).fill()
    for padding in (200_000, 20_000, 2_000, 0):  # the smaller ones have room where the larger have none

        def refusal(padding: int = padding) -> str | None:
            name = next(names)
            try:
                assert create(leader, name, padding="x" * padding)
            except NotDone as why:
                return str(why)
            made.add(name)
            return None

        assert "disk is full" in eventually("a refusal", refusal, 60.0)
    assert jobs(leader) == made
    eventually("it says so", lambda: leader.status_of("/health") == 503)
    of(leader, disks).make_room()

    def accepted() -> bool:
        name = next(names)
        try:
            create(leader, name)
        except NotDone:
            return False
        made.add(name)
        return True

    eventually("room is noticed", accepted, 30.0)
    eventually("health", lambda: leader.status_of("/health") == 200)
    assert small.settle() is leader
    leader.kill()
    second = eventually("another leads", lambda: (found := small.leading()) is not leader and found, 40.0)
    assert isinstance(second, Scheduler)
    assert jobs(second) == made
    small.settle()


def test_a_follower_without_room_says_so_and_counts_for_nothing(small: Site, disks: list[Disk]) -> None:
    leader = small.settle()
    full, other = small.followers()
    ledger = Ledger(small)
    of(full, disks).fill()
    why = "Its disk has no room for the log"

    ledger.add(120, PADDING)  # more than what it has in reserve
    eventually("it says so", lambda: why in str(full.variables()["scheduler_unfit_to_lead_because"]))
    assert full.get("/health") == f"OK\nThis scheduler cannot lead: {why}\n"
    other.stop(signal.SIGKILL)
    assert ledger.try_one(leader) != ""
    of(full, disks).make_room()
    small.leader()
    ledger.add()
    other.start()
    small.settle()
    ledger.check_with([full, other])


def test_a_disk_that_fails_ends_its_scheduler_and_no_other(small: Site, disks: list[Disk]) -> None:
    leader = small.settle()
    follower = small.followers()[0]
    made = set()

    of(follower, disks).fail()
    for n in range(5):
        assert create(leader, f"early-{n}")
        made.add(f"early-{n}")
    follower.wait()  # its supervisor gives up: it cannot start on such a disk
    assert follower.endings[-1] == 1
    last = follower.written().splitlines()[-1]
    assert last.startswith(f"aurorad: the log in {follower.log_folder} cannot be opened: "), follower.tail()
    assert "Read-only file system" in last
    of(follower, disks).repair()
    follower.start()
    assert small.settle() is leader

    of(leader, disks).fail()
    with suppress(NotDone, Unknown):
        create(leader, "perhaps")
    second = eventually("another leads", lambda: (found := small.leading()) is not leader and found, 40.0)
    assert isinstance(second, Scheduler)
    assert create(second, "late")
    assert jobs(second) - {"perhaps"} == made | {"late"}
    leader.wait()
    assert leader.endings[-1] == 1, leader.endings
    of(leader, disks).repair()
    leader.start()
    assert small.settle() is second
