"""Members that lose their disk, or get back an old or damaged one: they vote for nothing that they may have forgotten.

The stories happen to the same three schedulers, one after the other.
"""

from __future__ import annotations

import random
import shutil
import signal
from functools import partial

import pytest

from aurorad.lifecycle import START_AGAIN
from tests.cluster.agreement import disagreements
from tests.cluster.conftest import Tell
from tests.cluster.damage import damage_every_page, empty, flip_some_bits, newest, written
from tests.cluster.ledger import Ledger
from tests.e2e.cluster import eventually

PADDING = "x" * 280_000


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
    eventually("it is told", lambda: old.variables().get("scheduler_log_native_distrusted") == 1, 60)
    older = "the disk of this log member is older than what it had confirmed to "
    eventually("the log says so", lambda: older in old.written())
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
    eventually("the log says so", lambda: f"{file} is damaged at byte " in damaged.written())
    ledger.check_with([damaged, other])
    ledger.site.settle()
    damaged.stop()
    status, said = tell("log", "verify", f"--path={damaged.log_folder}")
    assert status == 0, said


def test_damage_that_is_found_while_it_runs_ends_a_scheduler_whose_next_start_is_mended(ledger: Ledger) -> None:
    """By a leader, asked by a member that was away for what it has on its disk only: nothing damaged is served."""
    leader, (away, other) = ledger.site.leader(), ledger.site.followers()
    away.stop()
    ledger.add(70, PADDING)  # more than a leader has in memory
    assert ledger.site.leader() is leader
    files, endings = written(leader.log_folder), len(leader.endings)
    for file in files:
        flip_some_bits(file, random.Random(6))
    away.start()
    eventually("it has ended", lambda: len(leader.endings) > endings, 60)
    assert leader.endings[endings] == START_AGAIN
    said = leader.written()
    assert any(f"the log's disk failed: {file} is damaged at byte " in said for file in files), leader.tail()
    ledger.site.settle()
    assert any((leader.log_folder / f"{file.name}.damaged").exists() for file in files)
    ledger.check_with([leader, away])
    ledger.site.settle()
    ledger.check_with([leader, other])


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
        eventually("it serves", partial(one.status_of, "/health"), 60)
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
