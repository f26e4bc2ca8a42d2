"""What operators do to the scheduler itself: backups, recovery, snapshots, reconciliation."""

from __future__ import annotations

from typing import Annotated

from aurorad.api import named_json
from aurorad.api.calls import (
    Call,
    CommitRecovery,
    DeleteRecoveryTasks,
    ListBackups,
    PerformBackup,
    QueryRecovery,
    Snapshot,
    StageRecovery,
    TriggerExplicitTaskReconciliation,
    TriggerImplicitTaskReconciliation,
    UnloadRecovery,
)
from aurorad.api.results import ListBackupsResult, Response
from aurorad.api.struct import Id, ThriftStruct
from aurorad.api.tasks import ExplicitReconciliationSettings, ScheduledTask, TaskQuery
from aurorad.storage.tables import Tables
from aurorad.web.v1 import route as r
from aurorad.web.v1.reading import Asked, Body
from aurorad.web.v1.route import DONE, One, PageOf, Route, Shown, World


class Backup(ThriftStruct, frozen=True, cache_hash=True):
    """A backup, by the name that /v1/backups lists."""

    backup: Annotated[str | None, Id(1)] = None


async def _backups(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).list_backups_result
    assert result is not None
    return Shown({"backups": sorted(result.backups)})


async def _staged(asked: Asked, answer: Response, world: World) -> Shown:
    result = r.result_of(answer).query_recovery_result
    assert result is not None
    return await r.page(result.tasks, lambda task: task.assigned_task.task_id, asked, named_json.to_json)


def _explicitly(asked: Asked, tables: Tables) -> Call:
    return TriggerExplicitTaskReconciliation(asked.body(ExplicitReconciliationSettings))


ROUTES = (
    Route(
        "GET",
        "/v1/backups",
        "The backups that there are.",
        lambda asked, tables: ListBackups(),
        _backups,
        {200: One(ListBackupsResult)},
        makes=(ListBackups,),
    ),
    Route(
        "POST",
        "/v1/backups",
        "Make a backup.",
        lambda asked, tables: PerformBackup(),
        r.done,
        DONE,
        makes=(PerformBackup,),
    ),
    Route(
        "PUT",
        "/v1/recovery",
        "Stage a backup: nothing changes until it is committed.",
        lambda asked, tables: StageRecovery(asked.body(Backup).backup),
        r.done,
        DONE,
        body=Body(Backup),
        makes=(StageRecovery,),
    ),
    Route(
        "DELETE",
        "/v1/recovery",
        "Forget the staged backup.",
        lambda a, t: UnloadRecovery(),
        r.done,
        DONE,
        makes=(UnloadRecovery,),
    ),
    Route(
        "GET",
        "/v1/recovery/tasks",
        "The tasks of the staged backup.",
        lambda asked, tables: QueryRecovery(TaskQuery(role=asked.get("role", str))),
        _staged,
        {200: PageOf(ScheduledTask)},
        (r.ROLE_WANTED, *r.PAGE),
        makes=(QueryRecovery,),
    ),
    Route(
        "POST",
        "/v1/recovery/tasks/delete",
        "Remove tasks from the staged backup.",
        lambda asked, tables: DeleteRecoveryTasks(asked.body(TaskQuery)),
        r.done,
        DONE,
        body=Body(TaskQuery),
        makes=(DeleteRecoveryTasks,),
    ),
    Route(
        "POST",
        "/v1/recovery/commit",
        "Put the staged backup in the place of the state. The scheduler ends, and begins with that.",
        lambda asked, tables: CommitRecovery(),
        r.done,
        DONE,
        makes=(CommitRecovery,),
    ),
    Route(
        "POST",
        "/v1/snapshot",
        "Write a snapshot into the log.",
        lambda asked, tables: Snapshot(),
        r.done,
        DONE,
        makes=(Snapshot,),
    ),
    Route(
        "POST",
        "/v1/reconciliation/explicit",
        "Ask the engine about all tasks that should be there, some at a time.",
        _explicitly,
        r.done,
        DONE,
        body=Body(ExplicitReconciliationSettings, required=False),
        makes=(TriggerExplicitTaskReconciliation,),
    ),
    Route(
        "POST",
        "/v1/reconciliation/implicit",
        "Ask the engine about all tasks that it knows.",
        lambda asked, tables: TriggerImplicitTaskReconciliation(),
        r.done,
        DONE,
        makes=(TriggerImplicitTaskReconciliation,),
    ),
)
