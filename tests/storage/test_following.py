"""Who follows a log has the state of who leads it, and can take its place at any moment."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ResourceAggregate, TaskEvent
from aurorad.log.errors import LogFailed, LogLost
from aurorad.log.face import Batches
from aurorad.storage import entries, materialise, operations
from aurorad.storage.database import Database
from aurorad.storage.entries import UnreadableLog
from aurorad.storage.following import Following, Settings, following
from aurorad.storage.operations import InsertTasks, NewTasks, SaveTasks, inserted
from aurorad.storage.shared import Shared
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Changes, Row, Table, Tables
from aurorad.vars import Vars
from tests.storage.memory_log import FollowedLog
from tests.storage.samples import CONFIG, config, task
from tests.waiting import until

SETTINGS = Settings(lambda: 1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialise, "INTERVAL_S", 0.005)


class Leader:
    """Somebody else, who writes to the log."""

    def __init__(self, log: FollowedLog) -> None:
        self.storage = Storage(log, Tables())
        self.snapshots = Snapshots(self.storage, log, Vars(), lambda: 1, 3600.0, 0)

    async def save(self, *ids: str) -> None:
        await self.storage.write(lambda tx: tx.save_tasks(*map(task, ids)))

    async def remove(self, *ids: str) -> None:
        await self.storage.write(lambda tx: tx.remove_tasks(ids))


@asynccontextmanager
async def led(log: FollowedLog) -> AsyncIterator[Leader]:
    leader = Leader(log)
    async with trio.open_nursery() as nursery:
        await nursery.start(leader.storage.run)
        nursery.start_soon(leader.snapshots.run)
        yield leader
        nursery.cancel_scope.cancel()


def followed(
    log: FollowedLog, folder: Path, stats: Vars | None = None, *, alone: bool = False
) -> AbstractAsyncContextManager[Following]:
    return following(log, folder / "state.db", SETTINGS, stats or Vars(), alone=alone)


def ids(tables: Tables) -> set[str]:
    return set(tables.rows(Table.TASKS))


async def materialised(stats: Vars) -> None:
    await wait_all_tasks_blocked()
    await until(lambda: stats.get("storage_database_lag") == 0)


def content(folder: Path) -> tuple[int | None, set[str]]:
    database = Database(folder / "state.db")
    rows = {row.key for some in database.load(Shared()) for row in some if row.table is Table.TASKS}
    position = database.position()
    database.close()
    return position, rows


async def test_a_follower_has_what_the_leader_wrote_as_soon_as_it_is_in_the_log(tmp_path: Path) -> None:
    log = FollowedLog()
    async with led(log) as leader:
        await leader.save("a")
        async with followed(log, tmp_path) as state:
            assert ids(state.tables) == {"a"}
            await leader.save("b")
            await leader.remove("a")
            await leader.storage.write(lambda tx: tx.save_quota("www", ResourceAggregate()))
            await wait_all_tasks_blocked()
            assert state.tables.copy() == leader.storage.tables.copy()
            assert state.position == 3


async def test_its_database_follows_and_the_next_start_reads_nothing_again(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with led(log) as leader, followed(log, tmp_path, stats):
        await leader.save("a")
        await leader.save("b")
        await materialised(stats)
    assert content(tmp_path) == (1, {"a", "b"})
    log.entries.clear()
    async with followed(log, tmp_path) as state:
        assert ids(state.tables) == {"a", "b"}


async def test_a_database_where_the_log_does_not_know_yet_what_stays_is_used(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with led(log) as leader, followed(log, tmp_path, stats):
        await leader.save("a")
        await leader.save("b")
        await materialised(stats)
        log.end, log.unknown = 1, 1  # after a crash: that "b" stays was not written down
        known, log.entries = log.entries, log.entries[:1]
        async with followed(log, tmp_path) as state:
            assert (state.position, ids(state.tables)) == (1, {"a", "b"})
            log.entries, log.end, log.unknown = known, 2, 0
            await leader.remove("b")
            await wait_all_tasks_blocked()
            assert (state.position, ids(state.tables)) == (2, {"a"})


async def test_a_database_beside_another_log_is_built_anew(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with led(log) as leader, followed(log, tmp_path, stats):
        await leader.save("a")
        await leader.save("b")
        await materialised(stats)
    other = FollowedLog()
    async with led(other) as leader:
        await leader.save("c")
        async with followed(other, tmp_path) as state:
            assert ids(state.tables) == {"c"}


async def test_who_leads_goes_on_with_the_very_tables_that_followed(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with followed(log, tmp_path, stats) as state:
        tables = state.tables
        async with led(log) as leader:
            await leader.save("a")
            await wait_all_tasks_blocked()
        log.skip(2)
        saved = entries.transaction([SaveTasks([task("b")])])
        log.entries.append((log.end, entries.records(saved, 1000)[0]))  # what only an election brings to light
        log.end += 1
        log.skip(1)
        async with state.leading() as storage:
            assert storage.tables is tables
            assert ids(tables) == {"a", "b"}
            await storage.write(lambda tx: tx.save_tasks(task("mine")))
            await materialised(stats)
    position, rows = content(tmp_path)
    assert (position, rows) == (log.end - 1, ids(tables))
    async with followed(log, tmp_path) as state:
        assert ids(state.tables) == rows


async def test_positions_without_entries_do_not_leave_the_database_of_a_leader_behind(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with followed(log, tmp_path, stats) as state:
        async with led(log) as leader:
            await leader.save("a")
            await materialised(stats)
        log.skip(3)
        async with state.leading():
            await materialised(stats)
    assert content(tmp_path) == (3, {"a"})


async def test_who_is_behind_the_beginning_of_the_log_begins_anew_with_the_snapshot(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with led(log) as leader, followed(log, tmp_path, stats) as state:
        tables = state.tables
        await leader.save("a", "b")
        await wait_all_tasks_blocked()
        missed = FollowedLog()  # what it does not see for a while
        missed.entries, missed.end = list(log.entries), log.end
        async with led(missed) as later:
            later.storage.tables.load([Row(Table.TASKS, i, task(i)) for i in ("a", "b")])
            await later.remove("a")
            await later.snapshots.write()
            await later.save("c")
        log.entries, log.begin, log.end = missed.entries, missed.begin, missed.end
        await leader.storage.write(lambda tx: tx.save_quota("www", ResourceAggregate()))
        await until(lambda: "www" in tables.quotas)
        assert state.tables is tables
        assert ids(tables) == {"b", "c"}
        await materialised(stats)
    assert content(tmp_path) == (log.end - 1, {"b", "c"})


async def test_a_log_that_is_truncated_while_a_start_reads_it_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, read, reads = FollowedLog(), FollowedLog.read, 0

    async def read_late(self: FollowedLog, position: int) -> Batches:
        nonlocal reads
        reads += 1
        if reads == 1:
            await leader.snapshots.write()
            raise LookupError(f"position {position} is not there")
        async for some in read(self, position):
            yield some

    async with led(log) as leader:
        await leader.save("a", "b")
        monkeypatch.setattr(FollowedLog, "read", read_late)
        async with followed(log, tmp_path) as state:
            assert (log.begin, ids(state.tables)) == (1, {"a", "b"})


async def test_half_a_snapshot_is_waited_for(tmp_path: Path) -> None:
    log = FollowedLog()
    async with led(log) as leader:
        await leader.save("a", "b")
        await leader.snapshots.write()
    whole, log.entries = log.entries, log.entries[:-1]
    log.end -= 1
    assert log.begin == 1
    async with followed(log, tmp_path) as state:
        assert ids(state.tables) == set()
        await log.submit([whole[-1][1]])
        await wait_all_tasks_blocked()
        assert ids(state.tables) == {"a", "b"}
    assert not (tmp_path / "state.db").exists() or content(tmp_path)[1] == {"a", "b"}


async def test_a_log_with_half_a_snapshot_cannot_be_led(tmp_path: Path) -> None:
    log = FollowedLog()
    log.begin = log.end = 5
    async with followed(log, tmp_path) as state:
        with pytest.raises(UnreadableLog, match="The log begins at position 5 and holds no whole snapshot"):
            async with state.leading():
                pass
    with pytest.raises(UnreadableLog):
        async with followed(log, tmp_path, alone=True):
            pass


async def test_a_state_that_was_replaced_is_replaced_for_followers(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with followed(log, tmp_path, stats) as state:
        tables = state.tables
        async with led(log) as leader:
            await leader.save("a", "b")
            instead = Tables()
            instead.load([Row(Table.TASKS, "z", task("z"))])
            await leader.snapshots.replace(instead)
        await wait_all_tasks_blocked()
        assert state.tables is tables
        assert ids(tables) == {"z"}
        await materialised(stats)
        async with state.leading() as storage:
            await storage.write(lambda tx: tx.save_tasks(task("after")))
    async with followed(log, tmp_path) as state:
        assert ids(state.tables) == {"z", "after"}


async def test_a_member_whose_log_was_lost_gets_it_from_the_others(tmp_path: Path) -> None:
    log, stats = FollowedLog(), Vars()
    async with led(log) as leader, followed(log, tmp_path, stats):
        await leader.save("a")
        await materialised(stats)
    shutil.copytree(tmp_path, tmp_path / "alone")
    with pytest.raises(UnreadableLog, match=r"Put that log back, or remove state\.db"):
        async with followed(FollowedLog(), tmp_path / "alone", alone=True):
            pass
    empty = FollowedLog()
    async with followed(empty, tmp_path) as state:
        assert ids(state.tables) == set()
        await empty.submit([record for _, record in log.entries])
        await wait_all_tasks_blocked()
        assert ids(state.tables) == {"a"}


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_entry_of_which_a_part_came_before_a_restart_is_not_lost(tmp_path: Path, restarted: bool) -> None:
    """The database must not stand in the midst of it: who goes on there would not see its beginning."""
    log = FollowedLog()
    large = entries.transaction([SaveTasks([task("a", config=config(data="x" * 3000))])])
    parts = entries.records(large, 1000)
    assert len(parts) > 3
    await log.submit(entries.records(entries.transaction([SaveTasks([task("first")])]), 1000))
    if restarted:
        await log.submit(parts[:2])
    async with followed(log, tmp_path, stats := Vars()) as state:
        if not restarted:
            await log.submit(parts[:2])
        await wait_all_tasks_blocked()
        await materialised(stats)
        assert state.position == 2
    assert content(tmp_path) == (0, {"first"})
    await log.submit(parts[2:])
    async with followed(log, tmp_path, stats := Vars()) as state:
        assert ids(state.tables) == {"first", "a"}
        await materialised(stats)
    assert content(tmp_path) == (log.end - 1, {"first", "a"})


async def test_large_entries_are_applied_in_bites_and_yet_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FollowedLog()
    many = InsertTasks(CONFIG, "i-", "-x", tuple(range(5 * operations.BITE + 1)), _event())
    pauses = 0

    async def breathe(_: object) -> None:
        nonlocal pauses
        pauses += 1
        scope.cancel()
        await trio.lowlevel.checkpoint()

    async with led(log) as leader:
        await leader.storage.write(lambda tx: tx.insert_tasks(NewTasks(many, inserted(many, many.instance_ids))))
    (record,) = [record for _, record in log.entries]
    log = FollowedLog()
    with trio.CancelScope() as scope:
        async with followed(log, tmp_path) as state:
            monkeypatch.setattr("aurorad.storage.following.Pace.breathe", breathe)
            await log.submit([record])
            await trio.sleep_forever()
    assert pauses >= 6
    assert state.position == 0
    assert len(ids(state.tables)) == 5 * operations.BITE + 1


def test_in_bites_or_not_the_same_becomes_of_it() -> None:
    many = InsertTasks(CONFIG, "i-", "-x", tuple(range(3 * operations.BITE)), _event())
    whole, bitten, changes = Tables(), Tables(), (Changes(), Changes())
    whole.apply(many, changes[0])
    for bite in operations.bites(many):
        bitten.apply(bite, changes[1])
    assert whole.copy() == bitten.copy()
    assert changes[0].after == changes[1].after
    assert len(list(operations.bites(operations.RemoveTasks(sorted(ids(whole)))))) == 3


async def test_a_lost_log_and_a_failing_disk_end_the_storage_of_a_leader(tmp_path: Path) -> None:
    for failure, told in ((LogLost("a later proposal"), LogLost), (OSError(5, "Input/output error"), LogFailed)):
        log = FollowedLog()
        with pytest.raises(BaseExceptionGroup) as caught:
            await _write_on(log, tmp_path / told.__name__, failure)
        assert caught.value.split(told)[0] is not None


async def _write_on(log: FollowedLog, folder: Path, failure: Exception) -> None:
    async with followed(log, folder) as state, state.leading() as storage:
        log.failure = failure
        await storage.write(lambda tx: tx.save_tasks(task("a")))


def test_who_reads_on_for_long_forgets_what_it_has_seen() -> None:
    shared = Shared()
    first = shared.text("a")
    shared.forget_if_many()
    assert shared.text("a") is first
    for number in range(30_000):
        shared.text(str(number))
    shared.forget_if_many()
    assert not shared._texts


def _event() -> TaskEvent:
    return TaskEvent(1, ScheduleStatus.PENDING, None, "h")
