from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from aurorad.rules.tiers import BUILT_IN
from aurorad.storage import backup_format
from aurorad.storage.backup_folder import BackupFolder, NewBackup, NoSuchBackup
from aurorad.storage.backups import Backups, CannotLoad
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.tables import Table, Tables
from aurorad.vars import Vars
from tests.storage.memory_log import MemoryLog
from tests.storage.samples import task
from tests.waiting import until

HOUR_S = 3600.0


class World:
    def __init__(self, folder: Path) -> None:
        self.log = MemoryLog()
        self.stats = Vars()
        self.storage = Storage(self.log, Tables())
        self.snapshots = Snapshots(self.storage, self.log, self.stats, self.now_ms, HOUR_S, 0)
        self.folder = BackupFolder(folder / "backups", 3)
        self.folder.prepare()
        self.backups = Backups(self.storage, self.folder, HOUR_S, BUILT_IN, self.now_ms, self.stats)

    def now_ms(self) -> int:
        return int(trio.current_time() * 1000)

    async def save(self, *ids: str) -> None:
        await self.storage.write(lambda tx: tx.save_tasks(*map(task, ids)))

    def counted(self) -> tuple[object, object]:
        return self.stats.get("scheduler_backup_success"), self.stats.get("scheduler_backup_failed")

    async def has_taken(self, backups: int) -> None:
        await until(lambda: self.counted() == (backups, 0))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[World]:
    world = World(folder)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.storage.run)
        nursery.start_soon(world.snapshots.run)
        nursery.start_soon(world.backups.run)
        yield world
        nursery.cancel_scope.cancel()


async def ids(world: World, name: str) -> set[str]:
    return set((await world.backups.load(name)).rows(Table.TASKS))


async def test_what_was_saved_can_be_loaded(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.save("a", "b")
        await world.backups.take()
        (name,) = await world.backups.names()
        assert name.startswith("scheduler-backup-")
        assert await ids(world, name) == {"a", "b"}
        assert world.counted() == (1, 0)


async def test_one_is_taken_with_a_snapshot_once_the_interval_has_passed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path) as world:
        for number in range(6):
            await world.save(f"t{number}")
            await trio.sleep(HOUR_S / 2)
            await world.snapshots.ordered()
            await world.has_taken((number + 1) // 2)
        assert int(str(world.stats.get("scheduler_log_snapshots"))) > 4


async def test_writers_go_on_and_what_they_do_is_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_format, "STEP", 1)
    monkeypatch.setattr("aurorad.storage.backups._WRITE_BYTES", 1)  # so that others have their turn after each
    async with running(tmp_path) as world:
        await world.save(*(f"t{number}" for number in range(20)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.backups.take)
            await until(lambda: list((tmp_path / "backups").glob("temp_*")))
            await world.storage.write(lambda tx: tx.remove_tasks(["t3", "t19"]))
            await world.save("new")
        (name,) = await world.backups.names()
        assert await ids(world, name) == {f"t{number}" for number in range(20)}


async def test_what_the_log_refuses_is_in_no_backup(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as world:
        world.log.gate = trio.Event()
        world.log.full = True
        async with trio.open_nursery() as nursery:

            async def refused() -> None:
                with pytest.raises(LogFull):
                    await world.save("refused")

            nursery.start_soon(refused)
            await world.log.reached.wait()
            nursery.start_soon(world.backups.take)
            await until(lambda: list((tmp_path / "backups").glob("temp_*")))
            world.log.gate.set()
        assert await world.backups.names() == []
        assert world.counted() == (0, 1)
        assert "There is no new backup" in caplog.text


async def test_a_failure_is_counted_and_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: NewBackup, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    async with running(tmp_path) as world:
        with monkeypatch.context() as patched:
            patched.setattr(NewBackup, "write", full)
            await world.backups.take()
        assert world.counted() == (0, 1)
        assert "No space left on device" in caplog.text
        assert not list((tmp_path / "backups").iterdir())
        await world.backups.take()
        assert world.counted() == (1, 1)


async def test_one_that_is_cancelled_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as world:
        monkeypatch.setattr(world.storage, "settled", trio.sleep_forever)
        with trio.move_on_after(0.05):
            await world.backups.take()
        assert not list((tmp_path / "backups").iterdir())


async def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        path = tmp_path / "backups" / "rubbish"
        path.write_bytes(b"\x0b\x00\x01rubbish")
        with pytest.raises(CannotLoad, match=f"^Failed to decode backup {path}: "):
            await world.backups.load("rubbish")
        with pytest.raises(NoSuchBackup):
            await world.backups.load("none")
