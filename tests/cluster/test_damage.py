"""Members that lose their disk, or get back an old or damaged one: they vote for nothing that they may have forgotten.

The stories happen to the same three schedulers, one after the other.
"""

from __future__ import annotations

import random
import shutil
import signal

import pytest

from tests.cluster.agreement import disagreements
from tests.cluster.conftest import Tell
from tests.cluster.damage import damage_every_page, empty, flip_everywhere, flip_some_bits, newest, written
from tests.cluster.ledger import Ledger
from tests.e2e.cluster import eventually


def test_an_empty_member_does_not_vote_before_it_has_learned_all(ledger: Ledger) -> None:
    """It and the leader are two of three. But what the leader has, the third one may have to confirm."""
    ledger.add()
    leader, (lost, other) = ledger.site.leader(), ledger.site.followers()
    other.stop(signal.SIGKILL)
    lost.stop(signal.SIGKILL)
    empty(lost.disk)
    lost.start()
    eventually("it serves", lambda: lost.variables().get("scheduler_lifecycle_STORAGE_PREPARED") == 1)
    assert ledger.try_one(leader) != ""
    assert lost.variables()["log/recovered"] == 0
    assert "cannot lead" in lost.get("/health")
    other.start()
    eventually("it votes", lambda: lost.variables().get("log/recovered") == 1, 60)
    ledger.site.settle()
    ledger.check_with([lost, other])


def test_an_old_disk_that_comes_back_is_told_to_forget(ledger: Ledger) -> None:
    ledger.add()
    old, other = ledger.site.followers()
    old.stop()
    shutil.copytree(old.disk, old.folder / "copy")
    old.start()
    ledger.site.settle()
    ledger.add()
    ledger.site.settle()
    old.stop(signal.SIGKILL)
    shutil.rmtree(old.disk)
    shutil.move(old.folder / "copy", old.disk)
    old.start()
    ledger.site.settle()
    ledger.check_with([old, other])


@pytest.mark.parametrize("seed", [1, 2])
def test_flipped_bits_in_the_log_are_told_where_and_mended_by_the_others(ledger: Ledger, tell: Tell, seed: int) -> None:
    rng = random.Random(seed)
    ledger.add()
    damaged, other = ledger.site.followers()
    damaged.stop(rng.choice([signal.SIGTERM, signal.SIGKILL]))
    file = rng.choice(written(damaged.log_folder))
    flip_some_bits(file, rng)
    status, said = tell("log", "verify", f"--path={damaged.log_folder}")
    assert status == 2, said
    assert f"DAMAGE: {file} is damaged at byte " in said
    damaged.start()
    ledger.site.settle()
    assert (damaged.log_folder / f"{file.name}.damaged").exists()
    assert f"{file} is damaged at byte " in damaged.written()
    ledger.check_with([damaged, other])
    ledger.site.settle()
    damaged.stop()
    status, said = tell("log", "verify", f"--path={damaged.log_folder}")
    assert status == 0, said


def test_bits_that_flip_under_a_leader_are_never_served(ledger: Ledger) -> None:
    """It finds them when it reads for a member that is behind, ends, and comes back as one who must learn."""
    behind = ledger.site.followers()[0]
    behind.stop()
    ledger.add(10)
    before = ledger.site.leader()
    before.stop()  # whoever leads next has to read from its disk what was written before
    before.start()
    leader = ledger.site.leader()
    ledger.check(leader)
    flip_everywhere(newest(leader.log_folder))
    endings = len(leader.endings)
    behind.start()
    eventually("it ends", lambda: len(leader.endings) > endings, 60)
    assert leader.endings[-1] == 75, leader.tail()
    ledger.site.settle()
    assert "is damaged at byte " in leader.written()
    ledger.check_with([leader, behind])


@pytest.mark.parametrize("part", ["the head", "all but the head", "its end"])
def test_a_damaged_database_is_made_again(ledger: Ledger, part: str) -> None:
    ledger.add()
    damaged, other = ledger.site.followers()
    damaged.stop()
    match part:
        case "the head":
            flip_some_bits(damaged.database, random.Random(4))
        case "all but the head":
            damage_every_page(damaged.database)
        case _:
            damaged.database.write_bytes(damaged.database.read_bytes()[:5000])
    damaged.start()
    ledger.site.settle()
    assert damaged.endings[-1] in (0, 75), damaged.tail()
    ledger.check_with([damaged, other])


def test_after_all_that_the_logs_and_databases_of_all_agree(ledger: Ledger) -> None:
    ledger.site.quiet()
    for one in ledger.site.schedulers:
        one.stop(signal.SIGKILL)
    assert list(disagreements(ledger.site.schedulers)) == []


def test_with_two_damaged_members_nobody_pretends_until_the_last_good_log_is_restored(
    ledger: Ledger, tell: Tell
) -> None:
    """What the damaged ones took, nobody can know any more. The operator decides that the third one's log counts."""
    ledger.add()
    leader, damaged = ledger.site.leader(), ledger.site.followers()
    for one in damaged:
        one.stop(signal.SIGKILL)
        flip_some_bits(newest(one.log_folder), random.Random(5))
        one.start()
    eventually("the last one leads no more", lambda: not leader.leads(), 60)
    for one in damaged:
        eventually("it serves", lambda one=one: one.status_of("/health"), 60)  # type: ignore[misc]
        assert "RECOVERING" in one.get("/health")
    assert ledger.site.leading() is None
    assert ledger.try_one(leader) != ""

    for one in ledger.site.schedulers:
        one.stop()
        one.log_folder.rename(one.folder / "lost")
        one.database.unlink()
    good = leader.folder / "lost"
    status, said = tell("log", "restore", f"--from-log={good}", f"--path={leader.log_folder}")
    assert status == 0, said
    shutil.copytree(leader.log_folder, damaged[0].log_folder)
    leader.start()
    damaged[0].start()
    ledger.check(ledger.site.leader())
    damaged[1].start()
    ledger.site.settle()
    ledger.check_with(damaged)
