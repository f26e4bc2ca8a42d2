"""The commands of `aurora_admin` about backups and recovery (admin-commands sheet, sections 1.2 and 5)."""

from __future__ import annotations

from argparse import Namespace

from aurorad.api.calls import (
    CommitRecovery,
    DeleteRecoveryTasks,
    ListBackups,
    PerformBackup,
    QueryRecovery,
    Snapshot,
    StageRecovery,
    UnloadRecovery,
)
from aurorad.api.enums import ACTIVE_STATES
from aurorad.api.tasks import ScheduledTask, TaskQuery
from client.admin_commands.command import AdminCommand, ask
from client.errors import CommandError, Exit
from client.session import Session


def _backup_now(given: Namespace, session: Session) -> None:
    ask(session.scheduler(given.cluster), PerformBackup())


def _list_backups(given: Namespace, session: Session) -> None:
    result = ask(session.scheduler(given.cluster), ListBackups()).list_backups_result
    names = sorted(result.backups) if result is not None else []
    session.terminal.out("\n".join([f"{len(names)} available backups:", *names]))


def _stage(given: Namespace, session: Session) -> None:
    ask(session.scheduler(given.cluster), StageRecovery(given.backup_id), repeatable=False)


def _print_tasks(given: Namespace, session: Session) -> None:
    result = ask(
        session.scheduler(given.cluster), QueryRecovery(TaskQuery(statuses=ACTIVE_STATES))
    ).query_recovery_result
    session.terminal.info("\t".join(("Role", "Job", "Shard", "Status", "Task ID")))
    for row in sorted(map(_row, result.tasks if result is not None else ())):
        role, job, _, instance, status, task_id = row
        session.terminal.info("\t".join((role, job, str(instance), status, task_id)))


def _row(task: ScheduledTask) -> tuple[str, str, str, int, str, str]:
    assigned, job = task.assigned_task, task.assigned_task.task.job
    return job.role, job.name, job.environment, assigned.instance_id, task.status.name, assigned.task_id


def _delete_tasks(given: Namespace, session: Session) -> None:
    ids = frozenset(filter(None, (task_id.strip() for task_id in given.task_ids.split(","))))
    if not ids:  # a query without ids would mean all tasks
        raise CommandError(Exit.FATAL, "Task ids were expected, with commas between")
    ask(session.scheduler(given.cluster), DeleteRecoveryTasks(TaskQuery(task_ids=ids)))


def _commit(given: Namespace, session: Session) -> None:
    ask(session.scheduler(given.cluster), CommitRecovery(), repeatable=False)


def _unload(given: Namespace, session: Session) -> None:
    ask(session.scheduler(given.cluster), UnloadRecovery())


def _snapshot(given: Namespace, session: Session) -> None:
    ask(session.scheduler(given.cluster), Snapshot())


BACKUP_NOW = AdminCommand("cluster", _backup_now)
LIST_BACKUPS = AdminCommand("cluster", _list_backups)
STAGE = AdminCommand("cluster backup_id", _stage)
PRINT_TASKS = AdminCommand("cluster", _print_tasks)
DELETE_TASKS = AdminCommand("cluster task_ids", _delete_tasks)
COMMIT = AdminCommand("cluster", _commit)
UNLOAD = AdminCommand("cluster", _unload)
SNAPSHOT = AdminCommand("cluster", _snapshot)
