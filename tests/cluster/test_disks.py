"""Disks that are full, or can only be read: told in words, and all goes on as soon as it can."""

from __future__ import annotations

from tests.cluster.calls import NOT_DONE
from tests.cluster.disks import on_a_failing_disk, on_a_small_disk
from tests.cluster.ledger import Ledger
from tests.cluster.schedulers import Scheduler
from tests.e2e.cluster import eventually

LARGE = "# " + "x" * 700_000


def lag(leader: Scheduler, of: Scheduler) -> int:
    return int(str(leader.variables().get(f"scheduler_log_native_lag_{of.machine.address}_8083", 0)))


def test_a_follower_without_room_takes_no_part_until_it_has_some(ledger: Ledger) -> None:
    full, other = ledger.site.followers()
    with on_a_small_disk(full, 24) as disk:
        leader = ledger.site.settle()
        ledger.add(24, LARGE)
        assert lag(leader, full) > 0
        assert "hardly any room" in full.written()
        assert full.variables()["log/recovered"] == 1
        other.stop()
        assert ledger.try_one(leader) != ""
        disk.grow(400)
        ledger.add()
        other.start()
        ledger.site.settle()
        ledger.check_with([full, other])
        ledger.site.settle()


def test_a_leader_without_room_refuses_writes_in_words(ledger: Ledger) -> None:
    full = ledger.site.followers()[0]
    with on_a_small_disk(full, 400) as disk:
        ledger.site.settle()
        ledger.site.have_lead(full)
        ledger.add()
        disk.shrink()
        refusal = eventually("a refusal", lambda: ledger.try_one(full, LARGE), 60)
        assert refusal == NOT_DONE[1]
        assert full.status_of("/health") == 503
        assert full.get("/health").startswith("SICK\n")
        ledger.check(full)
        disk.grow(600)
        eventually("there is room", lambda: ledger.try_one(full, LARGE) == "")
        eventually("it is well", lambda: full.get("/health") == "OK\n")
        assert full.leads()
        ledger.check(full)


def test_a_follower_whose_disk_fails_ends_and_comes_back_with_all(ledger: Ledger) -> None:
    failing, other = ledger.site.followers()
    with on_a_failing_disk(failing) as disk:
        ledger.site.settle()
        disk.fail()
        ledger.add()
        eventually("it ends", lambda: not failing.supervised, 60)
        assert failing.tail() == ""
        failing.wait()
        ledger.add()
        disk.repair()
        failing.start()
        ledger.site.settle()
        ledger.check_with([failing, other])
        ledger.site.settle()


def test_a_leader_whose_disk_fails_makes_room_for_another(ledger: Ledger) -> None:
    failing = ledger.site.followers()[0]
    with on_a_failing_disk(failing) as disk:
        ledger.site.settle()
        ledger.site.have_lead(failing)
        ledger.add()
        disk.fail()
        ledger.add()
        assert ledger.site.leader() is not failing
        failing.stop()
        disk.repair()
        failing.start()
        ledger.site.settle()
        ledger.check(ledger.site.leader())
