"""The calls about backups, and about the one that shall be the state (storage sheet, A7, "Recovery RPCs")."""

from __future__ import annotations

import logging

import msgspec

from aurorad.api.calls import (
    CommitRecovery,
    DeleteRecoveryTasks,
    ListBackups,
    PerformBackup,
    QueryRecovery,
    StageRecovery,
    UnloadRecovery,
)
from aurorad.api.enums import ResponseCode
from aurorad.api.results import ListBackupsResult, QueryRecoveryResult, Response, Result
from aurorad.api.tasks import ScheduledTask, TaskQuery
from aurorad.pace import Pace
from aurorad.scheduler.rpc.answers import Handlers, Refused, given_text, ok
from aurorad.scheduler.rpc.finding import find, given_query
from aurorad.storage.backup_folder import NoSuchBackup
from aurorad.storage.backups import Backups, CannotLoad
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Changes, Table, Tables

_log = logging.getLogger(__name__)

_DELETED_AT_ONCE = 1000


def handlers(*, storage: Storage, backups: Backups) -> Handlers:
    calls = _BackupCalls(storage, backups)
    return {
        PerformBackup: calls.perform_backup,
        ListBackups: calls.list_backups,
        StageRecovery: calls.stage_recovery,
        QueryRecovery: calls.query_recovery,
        DeleteRecoveryTasks: calls.delete_recovery_tasks,
        CommitRecovery: calls.commit_recovery,
        UnloadRecovery: calls.unload_recovery,
    }


class _BackupCalls:
    """The staged state is this process's alone: nobody else sees it, and it is gone with the process."""

    def __init__(self, storage: Storage, backups: Backups) -> None:
        self._storage = storage
        self._backups = backups
        self._staged: Tables | None = None
        self._is_loading = False

    async def perform_backup(self, call: PerformBackup, user: str) -> Response:
        """OK whether or not it succeeded."""
        await self._backups.take()
        return ok()

    async def list_backups(self, call: ListBackups, user: str) -> Response:
        names = frozenset(await self._backups.names())
        return ok(Result(list_backups_result=ListBackupsResult(names)))

    async def stage_recovery(self, call: StageRecovery, user: str) -> Response:
        name = given_text(call.backup_id)
        if self._staged is not None or self._is_loading:
            raise Refused("Another backup is already loaded.", ResponseCode.ERROR)
        self._is_loading = True
        try:
            self._staged = await self._backups.load(name)
        except (NoSuchBackup, CannotLoad) as error:
            raise Refused(str(error), ResponseCode.ERROR) from None
        finally:
            self._is_loading = False
        _log.info("%s staged backup %s: %d tasks", user, name, len(self._staged.rows(Table.TASKS)))
        return ok()

    async def query_recovery(self, call: QueryRecovery, user: str) -> Response:
        tasks = await self._find(self._loaded(), call.query)
        pace = Pace()
        for task in tasks:  # values remember their hash, so that the set made of them next takes no time
            hash(task)
            await pace.breathe()
        return ok(Result(query_recovery_result=QueryRecoveryResult(frozenset(tasks))))

    async def delete_recovery_tasks(self, call: DeleteRecoveryTasks, user: str) -> Response:
        staged = self._loaded()
        ids = [task.assigned_task.task_id for task in await self._find(staged, call.query)]
        pace = Pace()
        for start in range(0, len(ids), _DELETED_AT_ONCE):
            staged.remove_tasks(ids[start : start + _DELETED_AT_ONCE], Changes())
            await pace.breathe()
        _log.info("%s deleted %d tasks of the staged backup", user, len(ids))
        return ok()

    async def commit_recovery(self, call: CommitRecovery, user: str) -> Response:
        """Once the log has it the storage says that it was replaced, and the process ends."""
        staged, self._staged = self._loaded(), None
        _log.warning("%s puts the staged backup in the place of the state", user)
        try:
            await self._storage.replace(staged)
        except Exception:
            self._staged = staged
            raise
        return ok()

    async def unload_recovery(self, call: UnloadRecovery, user: str) -> Response:
        self._staged = None
        return ok()

    def _loaded(self) -> Tables:
        if self._staged is None:
            raise Refused("No backup loaded.", ResponseCode.ERROR)
        return self._staged

    async def _find(self, staged: Tables, query: TaskQuery | None) -> list[ScheduledTask]:
        """All matches: offset and limit do not count here."""
        meant = msgspec.structs.replace(given_query(query), offset=0, limit=0)
        return await find(staged, meant, lambda task: task)
