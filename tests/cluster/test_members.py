"""Members that lose their disk, or get an old or damaged one back: they vote for nothing they may have forgotten."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

from tests.cluster.calls import create, jobs
from tests.cluster.damage import flip_a_bit, newest
from tests.cluster.schedulers import SESSION_S, Scheduler, Site
from tests.e2e.cluster import eventually


def names(site: Site, prefix: str, count: int = 5) -> set[str]:
    """Jobs that were created, acknowledged."""
    leader = site.leader()
    made = {f"{prefix}-{n}" for n in range(count)}
    for name in sorted(made):
        assert create(leader, name)
    return made


def leads_with(site: Site, these: list[Scheduler], wanted: set[str]) -> None:
    """Those alone, the others being gone: all that was acknowledged is there, and more can be done."""
    for one in site.schedulers:
        if one not in these:
            one.stop(signal.SIGKILL)
    leader = eventually("one of those left leads", lambda: next((one for one in these if one.leads()), None), 40.0)
    assert jobs(leader) == wanted
    assert create(leader, "afterwards")


def test_an_empty_disk_votes_once_it_has_learned_all(three: Site) -> None:
    made = names(three, "before")
    lost, other = three.followers()
    lost.stop(signal.SIGKILL)
    shutil.rmtree(lost.disk)
    lost.disk.mkdir()
    made |= names(three, "meanwhile")
    lost.flags.remove("-native_log_initialize")
    lost.start()
    three.settle()
    assert lost.log_folder.exists()
    leads_with(three, [lost, other], made)


def test_an_old_disk_that_comes_back_forgets_nothing(three: Site) -> None:
    made = names(three, "before")
    old, other = three.followers()
    old.stop(signal.SIGKILL)
    shutil.copytree(old.disk, old.folder / "copy")
    old.start()
    made |= names(three, "between")
    three.settle()
    made |= names(three, "later")
    three.settle()
    old.stop(signal.SIGKILL)
    shutil.rmtree(old.disk)
    shutil.move(old.folder / "copy", old.disk)
    old.start()
    three.settle()
    leads_with(three, [old, other], made)


def test_a_flipped_bit_in_the_log_is_noticed_and_mended_by_the_others(three: Site) -> None:
    made = names(three, "before", 20)
    damaged, other = three.followers()
    damaged.stop(signal.SIGKILL)
    flip_a_bit(newest(damaged.log_folder))
    damaged.start()
    three.settle()
    assert "damage" in damaged.written()
    assert [path for path in damaged.log_folder.iterdir() if "damaged" in path.name]
    leads_with(three, [damaged, other], made)


def test_a_flipped_bit_in_the_database_is_noticed_and_it_is_made_again(three: Site) -> None:
    made = names(three, "before", 20)
    damaged, other = three.followers()
    eventually("its database has all", lambda: str(damaged.variables().get("storage_database_lag")) == "0")
    damaged.stop()
    assert damaged.endings[-1] == 0, damaged.tail()
    damage_every_page(damaged.database)
    damaged.start()
    three.settle()
    leads_with(three, [damaged, other], made)
    assert damaged.endings[-1] in (0, 75), damaged.tail()


def test_two_damaged_members_stand_still_rather_than_vote(three: Site) -> None:
    """Nobody can know any more what they took. The one that is left makes room, though it had nothing to write."""
    names(three, "before")
    leader = three.leader()
    for one in three.followers():
        one.stop(signal.SIGKILL)
        flip_a_bit(newest(one.log_folder))
        one.start()
    eventually("the last one leads no more", lambda: 75 in leader.endings, 60.0)
    assert "No quorum answered" in leader.written()
    eventually("all are back", lambda: all(one.status_of("/health") for one in three.schedulers))
    time.sleep(2 * SESSION_S)
    assert three.leading() is None
    for one in three.schedulers:
        if one is not leader:
            assert one.variables()["log/recovered"] == 0
            assert "RECOVERING" in str(one.variables()["scheduler_unfit_to_lead_because"])


def damage_every_page(database: Path) -> None:
    """Not the first, without which it is no database at all."""
    content = bytearray(database.read_bytes())
    for at in range(4096 + 200, len(content), 4096):
        content[at] ^= 0xFF
    database.write_bytes(content)
