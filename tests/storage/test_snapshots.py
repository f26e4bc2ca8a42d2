from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aurorad.storage import snapshots
from aurorad.storage.replay import Replay
from aurorad.storage.shared import Shared
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import LogFull, Storage, StorageNotReady
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars
from tests.storage.memory_log import MemoryLog
from tests.storage.samples import config, task

HOUR_S = 3600.0


class World:
    def __init__(self, log: MemoryLog, max_entry_bytes: int = 1 << 20) -> None:
        self.log = log
        self.stats = Vars()
        self.storage = Storage(log, Tables(), max_entry_bytes)
        self.snapshots = Snapshots(self.storage, log, self.stats, lambda: 1, HOUR_S, 0)

    async def save(self, *ids: str) -> None:
        await self.storage.write(lambda tx: tx.save_tasks(*map(task, ids)))

    async def remove(self, *ids: str) -> None:
        await self.storage.write(lambda tx: tx.remove_tasks(ids))


@asynccontextmanager
async def running(log: MemoryLog | None = None, max_entry_bytes: int = 1 << 20) -> AsyncIterator[World]:
    world = World(log or MemoryLog(), max_entry_bytes)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.storage.run)
        nursery.start_soon(world.snapshots.run)
        yield world
        nursery.cancel_scope.cancel()


def replayed(log: MemoryLog) -> Tables:
    """What the log alone says."""
    replay = Replay(Tables() if log.begin == 0 else None, Vars(), Shared())
    for position, record in log.entries:
        replay.feed(position, record)
    assert replay.tables is not None
    return replay.tables


async def test_the_log_alone_suffices_and_what_was_before_is_forgotten() -> None:
    async with running() as world:
        for number in range(10):
            await world.save(f"t{number}")
        await world.snapshots.write()
        await world.save("later")
        assert world.log.begin == 10
        assert replayed(world.log).copy() == world.storage.tables.copy()


@pytest.mark.parametrize("max_entry_bytes", [300, 1 << 20])
async def test_writers_go_on_while_a_snapshot_is_written(monkeypatch: pytest.MonkeyPatch, max_entry_bytes: int) -> None:
    monkeypatch.setattr(snapshots, "PART_ROWS", dict.fromkeys(Table, 2))
    async with running(max_entry_bytes=max_entry_bytes) as world:
        for number in range(20):
            await world.save(f"t{number}")

        async def others() -> None:
            for number in range(10):
                await world.save(f"new-{number}", "t3")
                await world.remove(f"t{number * 2}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            nursery.start_soon(world.snapshots.write)
        assert world.log.begin > 0
        assert replayed(world.log).copy() == world.storage.tables.copy()


async def test_a_snapshot_shows_nothing_that_the_log_refused() -> None:
    async with running() as world:
        await world.save("kept")
        world.log.gate = trio.Event()
        world.log.full = True

        async def refused(wait: Callable[[], Awaitable[object]]) -> None:
            with pytest.raises(LogFull):
                await wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refused, lambda: world.save("refused"))
            await world.log.reached.wait()
            nursery.start_soon(refused, world.snapshots.write)
            await wait_all_tasks_blocked()
            world.log.gate.set()
        assert world.log.begin == 0
        assert set(replayed(world.log).rows(Table.TASKS)) == {"kept"}


async def test_an_unfinished_snapshot_means_nothing() -> None:
    async with running() as world:
        await world.storage.write(lambda tx: tx.save_tasks(*(task(f"t{number}") for number in range(500))))
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.snapshots.write)
                while world.log.end < 3:
                    await trio.lowlevel.checkpoint()
                scope.cancel()
        await world.storage.settled()
        await world.save("later")
        assert world.log.begin == 0
        assert replayed(world.log).copy() == world.storage.tables.copy()
        await world.snapshots.write()
        assert replayed(world.log).copy() == world.storage.tables.copy()


async def test_snapshots_do_not_overlap() -> None:
    async with running() as world:
        await world.save("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.snapshots.write)
            nursery.start_soon(world.snapshots.write)
        assert world.stats.get("scheduler_log_snapshots") == 2
        assert replayed(world.log).copy() == world.storage.tables.copy()


async def test_one_is_taken_at_each_interval_if_anything_changed(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.save("a")
        assert world.stats.get("scheduler_log_un_snapshotted_transactions") == 1
        await trio.sleep(HOUR_S - 1)
        assert world.stats.get("scheduler_log_snapshots") == 0
        await trio.sleep(2)
        assert world.stats.get("scheduler_log_snapshots") == 1
        assert world.stats.get("scheduler_log_un_snapshotted_transactions") == 0
        await trio.sleep(HOUR_S * 3)
        assert world.stats.get("scheduler_log_snapshots") == 1
        await world.save("b")
        await trio.sleep(HOUR_S)
        assert world.stats.get("scheduler_log_snapshots") == 2


async def test_one_is_taken_early_when_the_log_has_grown(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "GROWTH_BYTES", 10_000)
    async with running() as world:
        large = task("a", config=config(data="x" * 3000))
        for _ in range(3):
            await world.storage.write(lambda tx: tx.save_tasks(large))
        await trio.sleep(10)
        assert world.stats.get("scheduler_log_snapshots") == 0
        await world.storage.write(lambda tx: tx.save_tasks(large))
        await trio.sleep(10)
        assert world.stats.get("scheduler_log_snapshots") == 1
        assert world.log.size < 5000


async def test_no_room_for_a_snapshot_is_told_and_not_tried_again_soon(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(snapshots, "GROWTH_BYTES", 1000)
    async with running() as world:
        await world.storage.write(lambda tx: tx.save_tasks(*(task(f"t{number}") for number in range(150))))
        world.log.full = True
        await trio.sleep(60)
        assert caplog.text.count("No room for a snapshot: No space left on device") == 1
        world.log.full = False
        await trio.sleep(HOUR_S)
        assert world.stats.get("scheduler_log_snapshots") == 1


async def test_one_can_be_ordered_at_any_time() -> None:
    async with running() as world:
        await world.save("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.snapshots.ordered)
            nursery.start_soon(world.snapshots.ordered)
        assert world.log.begin == 1
        assert world.stats.get("scheduler_log_snapshots") == 1
        world.log.full = True
        with pytest.raises(LogFull):
            await world.snapshots.ordered()


async def test_a_disk_that_fails_while_one_is_taken_by_order_ends_the_service_and_not_just_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(log: MemoryLog, before: int) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("sync failed")

    monkeypatch.setattr(MemoryLog, "truncate", fails)
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="sync failed")):
        async with running() as world:
            await world.save("a")
            await world.snapshots.ordered()


def other_tables() -> Tables:
    tables = Tables()
    tables.load(Row(Table.TASKS, task_id, task(task_id)) for task_id in ("x", "y"))
    return tables


async def test_tables_can_be_put_in_the_place_of_the_state_and_then_nothing_is_written_or_read() -> None:
    async with running() as world:
        await world.save("a")
        await world.snapshots.replace(other_tables())
        assert world.storage.replaced.is_set()
        end = world.log.end
        with trio.move_on_after(0.05) as scope:
            await world.save("later")
        assert scope.cancelled_caught
        with pytest.raises(StorageNotReady):
            await world.storage.settled()
        assert world.log.end == end
        assert replayed(world.log).copy() == other_tables().copy()


async def test_writers_go_on_while_the_state_is_being_replaced_and_what_they_did_is_void(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "PART_ROWS", dict.fromkeys(Table, 1))
    async with running() as world:
        await world.save("a")

        async def others() -> None:
            for number in range(10):
                await world.save(f"new-{number}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            await world.snapshots.replace(other_tables())
            nursery.cancel_scope.cancel()
        assert set(world.storage.tables.rows(Table.TASKS)) > {"a", "new-0"}
        assert replayed(world.log).copy() == other_tables().copy()


async def test_a_log_without_room_keeps_the_state_and_those_who_waited_go_on() -> None:
    async with running() as world:
        await world.save("a")

        async def sealed(expected: bool) -> None:
            while world.storage.sealed is not expected:
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:

            async def refused() -> None:
                with pytest.raises(LogFull):
                    await world.snapshots.replace(other_tables())

            nursery.start_soon(refused)
            await sealed(True)
            world.log.full = True  # for its end, which is just being written
            nursery.start_soon(world.save, "b")
            await sealed(False)
            world.log.full = False
        assert not world.storage.replaced.is_set()
        assert replayed(world.log).copy() == world.storage.tables.copy()
        assert set(replayed(world.log).rows(Table.TASKS)) == {"a", "b"}


async def test_whoever_waits_for_a_snapshot_hears_of_it() -> None:
    async with running() as world:
        taken = world.storage.snapshot_taken
        await world.save("a")
        assert not taken.is_set()
        await world.snapshots.ordered()
        assert taken.is_set()
        assert not world.storage.snapshot_taken.is_set()


async def test_a_crash_at_any_moment_leaves_the_old_state_or_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PART_ROWS", dict.fromkeys(Table, 1))
    async with running(max_entry_bytes=200) as world:  # so that entries are in frames
        await world.save("a")

        async def others() -> None:
            for number in range(5):
                await world.save(f"new-{number}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            await world.snapshots.replace(other_tables())
            nursery.cancel_scope.cancel()
    whole = world.log.entries
    ends = []
    for size in range(len(whole) + 1):
        world.log.entries = whole[:size]
        tables = replayed(world.log)
        if tables.copy() == other_tables().copy():
            ends.append(size)
        else:
            assert set(tables.rows(Table.TASKS)) <= {"a", *(f"new-{number}" for number in range(5))}
    assert ends == [len(whole)], "only the last entry makes it the new one"
