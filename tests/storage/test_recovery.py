from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ResourceAggregate
from aurorad.log import batches
from aurorad.log.disk import Folder
from aurorad.log.errors import LogDamaged, LogInUse
from aurorad.log.journal import initialize
from aurorad.log.local import LocalLog
from aurorad.log.replicated import LogSettings, replicated_log
from aurorad.storage import commits, materialise, snapshots
from aurorad.storage.database import discard
from aurorad.storage.entries import UnreadableLog
from aurorad.storage.following import Following, Settings, following
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars
from tests.log.small_disk import small_disk
from tests.log.test_cancelled import Nobody, group
from tests.storage.opened import open_storage
from tests.storage.samples import JOB, config, task
from tests.waiting import until


def opened(folder: Path, stats: Vars | None = None) -> AbstractAsyncContextManager[Storage]:
    return open_storage(folder, stats=stats or Vars(), now_ms=lambda: 1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialise, "INTERVAL_S", 0.005)


async def materialised(stats: Vars) -> None:
    """Until the database has all rows."""
    await until(lambda: stats.get("storage_database_lag") == 0)


async def save(storage: Storage, *ids: str) -> None:
    await storage.write(lambda tx: tx.save_tasks(*map(task, ids)))


def ids(storage: Storage) -> set[str]:
    return set(storage.tables.rows(Table.TASKS))


async def test_a_new_folder_is_an_empty_state(tmp_path: Path) -> None:
    async with opened(tmp_path / "state") as storage:
        assert not any(storage.tables.copy().values())
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("wait", [False, True])
async def test_what_was_written_is_there_after_reopening(tmp_path: Path, wait: bool) -> None:
    stats = Vars()
    async with opened(tmp_path, stats) as storage:
        await save(storage, "a", "b")
        if wait:
            await materialised(stats)
        await storage.write(lambda tx: tx.remove_tasks(["a"]))
        await storage.write(lambda tx: tx.save_quota("www", ResourceAggregate()))
        before = storage.tables.copy()
    async with opened(tmp_path) as storage:
        assert storage.tables.copy() == before


@asynccontextmanager
async def three_written(folder: Path) -> AsyncIterator[None]:
    """A folder whose database is complete, to be spoiled; then it must come back as it was."""
    stats = Vars()
    async with opened(folder, stats) as storage:
        await save(storage, "a", "b")
        await save(storage, "c")
        await materialised(stats)
        before = storage.tables.copy()
    yield
    stats = Vars()
    async with opened(folder, stats) as storage:
        assert storage.tables.copy() == before
        await materialised(stats)
    with sqlite3.connect(folder / "state.db") as reader:
        assert reader.execute("SELECT count(*) FROM tasks").fetchone() == (3,)
        assert reader.execute("SELECT position FROM applied").fetchone() == (1,)
    reader.close()


async def test_a_database_that_is_up_to_date_is_used(tmp_path: Path) -> None:
    async with three_written(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("UPDATE applied SET position = 1")
        other.execute("DELETE FROM tasks WHERE id = 'a'")
    other.close()
    async with opened(tmp_path) as storage:
        assert ids(storage) == {"b", "c"}


async def test_a_missing_database_is_built_anew(tmp_path: Path) -> None:
    async with three_written(tmp_path):
        (tmp_path / "state.db").unlink()


async def test_a_database_of_rubbish_is_built_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with three_written(tmp_path):
        (tmp_path / "state.db").write_bytes(b"rubbish" * 1000)
    assert "is of no use and is built anew from the log: file is not a database" in caplog.text


async def test_a_database_with_a_row_of_rubbish_is_built_anew(tmp_path: Path) -> None:
    async with three_written(tmp_path):
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute("UPDATE tasks SET data = x'00ff'")
        other.close()


@pytest.mark.parametrize("harm", ["bit flipped", "byte missing", "write missing"])
async def test_a_log_that_lost_what_its_database_has_is_refused_and_left_as_it_is(tmp_path: Path, harm: str) -> None:
    """A last write that is damaged looks like one that a crash cut short, but for the database that followed it."""
    async with three_written(tmp_path):
        (file,) = (tmp_path / "log").iterdir()
        good = file.read_bytes()
        flipped = good[:-20] + bytes([good[-20] ^ 1]) + good[-19:]
        first = batches.decode(good, 0)
        assert first is not None
        bad = {"bit flipped": flipped, "byte missing": good[:-1], "write missing": good[: first.end_offset]}[harm]
        file.write_bytes(bad)
        for _ in range(2):
            with pytest.raises(UnreadableLog) as refused:
                async with opened(tmp_path):
                    pass
            assert "position 1 of a log that now ends with position 0: what was behind is lost" in str(refused.value)
            assert file.read_bytes() == bad
        shutil.copytree(tmp_path, tmp_path / "given up")
        file.write_bytes(good)
    discard(tmp_path / "given up" / "state.db")
    async with opened(tmp_path / "given up") as storage:
        assert ids(storage) == {"a", "b"}
        await save(storage, "d")
    async with opened(tmp_path / "given up") as storage:
        assert ids(storage) == {"a", "b", "d"}


async def test_a_database_beside_a_lost_log_is_kept_and_the_start_refused(tmp_path: Path) -> None:
    stats = Vars()
    async with opened(tmp_path, stats) as storage:
        await save(storage, "a")
        await materialised(stats)
    shutil.move(tmp_path / "log", tmp_path / "elsewhere")
    with pytest.raises(UnreadableLog, match=r"Put that log back, or remove state\.db to begin with nothing"):
        async with opened(tmp_path):
            pass
    shutil.rmtree(tmp_path / "log")
    shutil.move(tmp_path / "elsewhere", tmp_path / "log")
    async with opened(tmp_path) as storage:
        assert ids(storage) == {"a"}


async def test_a_database_that_was_never_filled_is_built_anew(tmp_path: Path) -> None:
    async with three_written(tmp_path):
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute("DELETE FROM applied")
            other.execute("DELETE FROM tasks WHERE id = 'b'")
        other.close()


async def _snapshotted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log whose first segments are gone, and no database."""
    monkeypatch.setattr("aurorad.log.segments.SEGMENT_BYTES", 1000)
    monkeypatch.setattr("aurorad.log.segments.Segments.__init__.__defaults__", (1000,))
    monkeypatch.setattr(snapshots, "_CHECK_S", 0.01)
    stats = Vars()
    async with opened(folder, stats) as storage:
        for number in range(20):
            await save(storage, f"t{number}")
        monkeypatch.setattr(snapshots, "GROWTH_BYTES", 1)  # not before: it shall begin in a later segment
        await until(lambda: stats.get("scheduler_log_snapshots"))
        await save(storage, "last")
    (folder / "state.db").unlink(missing_ok=True)


async def test_a_truncated_log_without_a_database_begins_with_its_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _snapshotted(tmp_path, monkeypatch)
    assert not (tmp_path / "log" / f"{0:020d}.log").exists()
    async with opened(tmp_path) as storage:
        assert ids(storage) == {f"t{number}" for number in range(20)} | {"last"}


async def test_a_truncated_log_that_lost_its_snapshot_is_refused(tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path / "log", Vars())
    await log.aclose()
    (tmp_path / "log" / f"{0:020d}.log").rename(tmp_path / "log" / f"{5:020d}.log")
    with pytest.raises(UnreadableLog, match="The log begins at position 5 and holds no whole snapshot"):
        async with opened(tmp_path):
            pass


async def test_a_damaged_log_is_refused_with_file_and_offset(tmp_path: Path) -> None:
    async with opened(tmp_path) as storage:
        await save(storage, "a")
        await save(storage, "b")
    file = tmp_path / "log" / f"{0:020d}.log"
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    with pytest.raises(LogDamaged, match=f"^{file} is damaged at byte 0: "):
        async with opened(tmp_path):
            pass


async def test_two_cannot_share_a_folder(tmp_path: Path) -> None:
    async with opened(tmp_path) as storage:
        with pytest.raises(LogInUse, match=f"^{tmp_path}/log is in use by another aurorad"):
            async with opened(tmp_path):
                pass
        await save(storage, "a")
    async with opened(tmp_path) as storage:
        assert ids(storage) == {"a"}


async def test_equal_configurations_are_one_object_however_they_were_read(tmp_path: Path) -> None:
    stats = Vars()
    async with opened(tmp_path, stats) as storage:
        await save(storage, "a", "b")
        await materialised(stats)
        await save(storage, "c")
    async with opened(tmp_path) as storage:
        assert len({id(found.assigned_task.task) for found in storage.tables.job_tasks(JOB)}) == 1


async def test_gauges_tell_what_the_tables_hold(tmp_path: Path) -> None:
    stats = Vars()
    async with opened(tmp_path, stats) as storage:
        await storage.write(lambda tx: tx.save_tasks(task("a"), task("b", ScheduleStatus.RUNNING, "h1")))
        await storage.write(lambda tx: tx.save_quota("www", ResourceAggregate()))
        values = stats.snapshot()
    assert (values["task_store_PENDING"], values["task_store_RUNNING"], values["task_store_LOST"]) == (1, 1, 0)
    assert values["mem_storage_quota_size"] == 1
    assert values["mem_storage_attribute_size"] == 0
    assert (values["task_store_index_job_items"], values["task_store_index_host_items"]) == (1, 1)
    assert values["scheduler_log_un_snapshotted_transactions"] == 2
    assert values["scheduler_log_entries_written"] == 2
    assert values["task_queries_all"] == 0


async def test_cancelling_the_block_closes_everything(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with opened(tmp_path) as storage:
            await save(storage, "a")
            scope.cancel()
            await trio.sleep_forever()
    async with opened(tmp_path) as storage:
        assert ids(storage) == {"a"}


async def test_a_full_disk_refuses_writes_loses_nothing_and_recovers_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "PROBE_S", 0.01)
    with small_disk(tmp_path, "2m"):
        ballast = tmp_path / "ballast"
        _write(ballast, bytes(1 << 20))
        async with opened(tmp_path / "state") as storage:
            kept = await _save_until_refused(storage)
            assert "No space left on device" in str(storage.refusing)
            assert ids(storage) == kept
        async with opened(tmp_path / "state") as storage:
            assert ids(storage) == kept, "a disk that is full keeps nobody from reading"
            with pytest.raises(LogFull):
                await storage.write(lambda tx: tx.save_tasks(task("x", config=config(data="x" * 500_000))))
            _write(ballast, b"")
            await until(lambda: storage.refusing is None)
            await save(storage, "later")
        async with opened(tmp_path / "state") as storage:
            assert ids(storage) == kept | {"later"}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def _save_until_refused(storage: Storage) -> set[str]:
    """The ids of the tasks that got in."""

    async def save_large(name: str) -> None:
        await storage.write(lambda tx: tx.save_tasks(task(name, config=config(data="x" * 50_000 + name))))

    kept: set[str] = set()
    while True:
        name = f"t{len(kept)}"
        try:
            await save_large(name)
        except LogFull:
            return kept
        kept.add(name)


async def test_wherever_the_database_stood_when_the_state_was_replaced_the_next_start_has_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PART_ROWS", dict.fromkeys(Table, 1))
    instead = Tables()
    instead.load(Row(Table.TASKS, name, task(name)) for name in ("x", "y", "z"))
    stats = Vars()
    async with opened(tmp_path / "whole", stats) as storage:
        await save(storage, "a", "b")
        await materialised(stats)
        await storage.replace(instead)
    for position in range(6):  # of the transaction, the beginning, three parts and the end
        folder = tmp_path / str(position)
        shutil.copytree(tmp_path / "whole", folder)
        with sqlite3.connect(folder / "state.db") as database:
            database.execute("UPDATE applied SET position = ?", (min(position, 4),))
        database.close()
        async with opened(folder) as storage:
            assert ids(storage) == {"x", "y", "z"}
            await save(storage, "later")
        async with opened(folder) as storage:
            assert ids(storage) == {"x", "y", "z", "later"}


async def test_a_member_that_ends_right_after_a_write_uses_its_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That a write stays is noted in a member's journal up to a second later."""
    stats = Vars()
    initialize(Folder(tmp_path / "log"), random.Random(1))
    async with member(tmp_path, stats) as state:
        await state.log.lead()
        async with state.leading() as storage:
            await save(storage, "a", "b")
            await materialised(stats)
    async with member(tmp_path, Vars()) as state:
        assert state.log.end < state.log.reach == state.position + 1
        assert set(state.tables.rows(Table.TASKS)) == {"a", "b"}
        await state.log.lead()
        async with state.leading() as storage:
            assert ids(storage) == {"a", "b"}
    assert "built anew" not in caplog.text


@asynccontextmanager
async def member(folder: Path, stats: Vars) -> AsyncIterator[Following]:
    """The only one of a replicated log."""
    rng, database = random.Random(1), folder / "state.db"
    log_settings = LogSettings("example")
    async with (
        replicated_log(folder / "log", Nobody(), group(), log_settings, stats, rng) as log,
        following(log, database, Settings(lambda: 1), stats, alone=True) as state,
    ):
        yield state
