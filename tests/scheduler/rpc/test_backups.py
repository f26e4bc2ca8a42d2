"""Codes and texts: storage sheet, A7, and thrift-api sheet, section 4."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from aurorad.api.calls import (
    Call,
    CommitRecovery,
    DeleteRecoveryTasks,
    ListBackups,
    PerformBackup,
    QueryRecovery,
    StageRecovery,
    UnloadRecovery,
)
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from aurorad.api.tasks import TaskQuery
from aurorad.flags import Flags
from aurorad.rules.tiers import BUILT_IN
from aurorad.scheduler.rpc import backups
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.storage.backup_folder import BackupFolder
from aurorad.storage.backups import Backups
from aurorad.storage.replay import Replay
from aurorad.storage.shared import Shared
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Table, Tables
from aurorad.vars import Vars
from tests.storage.memory_log import MemoryLog
from tests.storage.samples import task
from tests.waiting import until

EVERYTHING = TaskQuery()


class World:
    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.log = MemoryLog()
        self.storage = Storage(self.log, Tables())
        self.snapshots = Snapshots(self.storage, self.log, Vars(), lambda: 1, 3600, 0)
        self.storage.replace = self.snapshots.replace
        saved = Backups(self.storage, BackupFolder(folder, 5), 3600, BUILT_IN, lambda: 0, Vars())
        self.api = Api(backups.handlers(storage=self.storage, backups=saved), self.storage, Flags(), Vars())

    async def save(self, *ids: str) -> None:
        await self.storage.write(lambda tx: tx.save_tasks(*map(task, ids)))

    async def ok(self, call: Call) -> Response:
        response = await self.api.handle(call, "me")
        assert (response.response_code, response.details) == (ResponseCode.OK, ())
        return response

    async def refused(self, call: Call) -> str | None:
        response = await self.api.handle(call, "me")
        assert (response.response_code, response.result) == (ResponseCode.ERROR, None)
        (detail,) = response.details
        return detail.message

    async def saved(self) -> str:
        """The name of the only backup."""
        result = (await self.ok(ListBackups())).result
        assert result is not None
        assert result.list_backups_result is not None
        (name,) = result.list_backups_result.backups
        return name

    async def staged(self, query: TaskQuery = EVERYTHING) -> set[str]:
        result = (await self.ok(QueryRecovery(query))).result
        assert result is not None
        assert result.query_recovery_result is not None
        return {found.assigned_task.task_id for found in result.query_recovery_result.tasks}

    def in_log(self) -> set[str]:
        replay = Replay(Tables(), Vars(), Shared())
        for position, record in self.log.entries:
            replay.feed(position, record)
        assert replay.tables is not None
        return set(replay.tables.rows(Table.TASKS))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """With a backup of a and b, after which c was saved."""
    world = World(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.storage.run)
        nursery.start_soon(world.snapshots.run)
        await world.save("a", "b")
        await world.ok(PerformBackup())
        await world.save("c")
        yield world
        nursery.cancel_scope.cancel()


async def test_what_is_staged_is_nobody_elses(world: World) -> None:
    await world.ok(StageRecovery(await world.saved()))
    assert await world.staged() == {"a", "b"}
    assert set(world.storage.tables.rows(Table.TASKS)) == {"a", "b", "c"}
    assert await world.staged(TaskQuery(task_ids=frozenset({"b", "c"}))) == {"b"}
    assert await world.staged(TaskQuery(offset=1, limit=1)) == {"a", "b"}


async def test_tasks_can_be_taken_out_of_it(world: World) -> None:
    await world.ok(StageRecovery(await world.saved()))
    await world.ok(DeleteRecoveryTasks(TaskQuery(task_ids=frozenset({"a"}))))
    assert await world.staged() == {"b"}
    assert set(world.storage.tables.rows(Table.TASKS)) == {"a", "b", "c"}


async def test_committed_it_is_the_state_and_this_process_answers_no_more(world: World) -> None:
    await world.ok(StageRecovery(await world.saved()))
    await world.ok(DeleteRecoveryTasks(TaskQuery(task_ids=frozenset({"a"}))))
    await world.ok(CommitRecovery())
    assert world.storage.replaced.is_set()
    assert world.in_log() == {"b"}
    response = await world.api.handle(ListBackups(), "me")
    assert response.response_code is ResponseCode.ERROR_TRANSIENT
    assert [detail.message for detail in response.details] == ["Storage is not READY"]


async def test_a_log_without_room_leaves_everything_as_it_was(world: World) -> None:
    await world.ok(StageRecovery(await world.saved()))
    world.log.full = True
    response = await world.api.handle(CommitRecovery(), "me")
    assert response.response_code is ResponseCode.ERROR_TRANSIENT
    world.log.full = False
    assert world.in_log() == {"a", "b", "c"}
    assert await world.staged() == {"a", "b"}


async def test_a_client_that_goes_away_does_not_stop_a_commit(world: World) -> None:
    await world.ok(StageRecovery(await world.saved()))
    world.log.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.api.handle, CommitRecovery(), "me")
        await world.log.reached.wait()
        nursery.cancel_scope.cancel()
    world.log.gate.set()
    await until(world.storage.replaced.is_set)
    assert world.in_log() == {"a", "b"}


async def test_nothing_goes_without_one(world: World) -> None:
    for call in (QueryRecovery(EVERYTHING), DeleteRecoveryTasks(EVERYTHING), CommitRecovery()):
        assert await world.refused(call) == "No backup loaded."
    await world.ok(UnloadRecovery())


async def test_only_one_is_staged_at_a_time(world: World) -> None:
    name = await world.saved()
    await world.ok(StageRecovery(name))
    assert await world.refused(StageRecovery(name)) == "Another backup is already loaded."
    await world.ok(UnloadRecovery())
    assert await world.refused(QueryRecovery(EVERYTHING)) == "No backup loaded."
    await world.ok(StageRecovery(name))


async def test_what_is_no_backup_is_told(world: World) -> None:
    assert await world.refused(StageRecovery("none")) == f"Backup {world.path / 'none'} does not exist."
    (world.path / "rubbish").write_bytes(b"rubbish")
    text = await world.refused(StageRecovery("rubbish"))
    assert text is not None
    assert text.startswith(f"Failed to decode backup {world.path / 'rubbish'}: ")
    assert "does not exist" in str(await world.refused(StageRecovery("../rubbish")))
    assert await world.refused(StageRecovery(" ")) == "Argument cannot be blank"
    (world.path / "rubbish").unlink()
    await world.ok(StageRecovery(await world.saved()))
