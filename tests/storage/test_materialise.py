from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.storage import materialise
from aurorad.storage.database import Database
from aurorad.storage.materialise import Materialiser
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Changes, Table
from aurorad.vars import Vars
from tests.storage.samples import task
from tests.waiting import until

RUNNING = task("a", ScheduleStatus.RUNNING)


def change(before: ScheduledTask | None, after: ScheduledTask | None) -> Changes:
    changes = Changes()
    changes.before.append(before)
    changes.after.append(after)
    return changes


@asynccontextmanager
async def running(materialiser: Materialiser) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(materialiser.run)
        yield
        nursery.cancel_scope.cancel()
    materialiser.close()


def content(path: Path) -> tuple[int | None, dict[str, ScheduledTask]]:
    database = Database(path)
    rows = {row.key: row.value for some in database.load(Shared()) for row in some}
    position = database.position()
    database.close()
    return position, rows


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialise, "INTERVAL_S", 0.005)
    monkeypatch.setattr(materialise, "RETRY_S", 0.005)


async def written(stats: Vars) -> None:
    await until(lambda: stats.get("storage_database_lag") == 0)


async def test_what_it_is_told_gets_into_the_database_with_its_position(tmp_path: Path) -> None:
    stats = Vars()
    materialiser = Materialiser(tmp_path / "state.db", None, {Table.TASKS: {"z": task("z")}}, 3, stats)
    async with running(materialiser):
        materialiser.follow(4, change(None, task("a")))
        materialiser.follow(5, change(task("a"), RUNNING))
        materialiser.follow(7, change(task("z"), None))
        await written(stats)
    assert content(tmp_path / "state.db") == (7, {"a": RUNNING})


async def test_however_much_is_noted_the_last_that_was_said_of_a_task_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materialise, "MOST_TOGETHER", 2)
    stats, names = Vars(), "abcdefg"
    materialiser = Materialiser(tmp_path / "state.db", None, {}, 0, stats)
    for position, name in enumerate(names, 1):
        materialiser.follow(position, change(None, task(name)))
    materialiser.follow(8, change(task("a"), RUNNING))
    materialiser.follow(9, change(task("b"), None))
    async with running(materialiser):
        await written(stats)
    assert content(tmp_path / "state.db") == (9, {name: task(name) for name in "cdefg"} | {"a": RUNNING})


async def test_a_database_that_is_locked_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stats, path = Vars(), tmp_path / "state.db"
    database = Database(path)
    database.apply([{}], 0)
    database._connection.execute("PRAGMA busy_timeout = 1")
    materialiser = Materialiser(path, database, {}, 0, stats)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with running(materialiser):
        materialiser.follow(1, change(None, task("a")))
        await until(lambda: stats.get("storage_database_failures"))
        materialiser.follow(2, change(task("a"), RUNNING))
        other.execute("ROLLBACK")
        other.close()
        await written(stats)
    assert content(path) == (2, {"a": RUNNING})
    assert f"{path} cannot be written now: database is locked" in caplog.text


async def test_a_database_that_is_damaged_is_thrown_away_and_all_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stats, path = Vars(), tmp_path / "state.db"

    class Damaged(Database):
        def apply(self, dirty: object, position: int) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

    materialiser = Materialiser(path, Damaged(path), {}, 0, stats)
    async with running(materialiser):
        materialiser.follow(1, change(None, task("a")))
        await until(lambda: not os.path.lexists(path))
        materialiser.follow(2, change(None, task("b")))
        await wait_all_tasks_blocked()
    assert os.listdir(tmp_path) == []
    assert "is damaged; it is thrown away" in caplog.text


async def test_a_database_that_cannot_be_created_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats, folder = Vars(), trio.Path(tmp_path / "missing")
    path = tmp_path / "missing" / "state.db"
    materialiser = Materialiser(path, None, {Table.TASKS: {"a": task("a")}}, 0, stats)
    async with running(materialiser):
        await until(lambda: stats.get("storage_database_failures"))
        await folder.mkdir()
        await written(stats)
    assert content(path) == (0, {"a": task("a")})


async def test_begun_anew_nothing_of_before_is_left(tmp_path: Path) -> None:
    stats, path = Vars(), tmp_path / "state.db"
    materialiser = Materialiser(path, None, {Table.TASKS: {"z": task("z")}}, 3, stats)
    async with running(materialiser):
        await written(stats)
        materialiser.follow(4, change(None, task("y")))
        materialiser.begin_anew(7, {Table.TASKS: {"a": task("a")}})
        materialiser.follow(8, change(task("a"), RUNNING))
        await written(stats)
    assert content(path) == (8, {"a": RUNNING})
