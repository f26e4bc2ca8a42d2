"""The commands of `aurora_admin` about backups and recovery (admin-commands sheet, sections 1.2 and 5)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aurorad.api.calls import (
    Call,
    CommitRecovery,
    DeleteRecoveryTasks,
    ListBackups,
    PerformBackup,
    QueryRecovery,
    Snapshot,
    StageRecovery,
    UnloadRecovery,
)
from aurorad.api.enums import ACTIVE_STATES, ResponseCode
from aurorad.api.results import Result
from aurorad.api.tasks import ScheduledTask, TaskQuery
from client.errors import CommandError, Exit
from client.scheduler import Scheduler, messages
from client.session import Session


class StorageCommand(NamedTuple):
    arguments: tuple[str, ...]
    words: str
    run: Callable[[Namespace, Scheduler], None]


def run(name: str, arguments: Sequence[str], session: Session) -> int:
    """Carry out one of `COMMANDS`. Raises `CommandError`."""
    command = COMMANDS[name]
    parser = ArgumentParser(f"aurora_admin {name}", description=command.words, allow_abbrev=False)
    for argument in command.arguments:
        parser.add_argument(argument, nargs="?")
    given, more = parser.parse_known_args(arguments)
    if any(word.startswith("-") for word in more):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more or None in vars(given).values():
        usage = f"{name} {' '.join(command.arguments)}"
        raise CommandError(
            Exit.FATAL, f"Incorrect parameters for {name}\n\n{usage} see the help subcommand for more details."
        )
    command.run(given, session.scheduler(given.cluster))
    return Exit.OK


def _ask(scheduler: Scheduler, call: Call, *, repeatable: bool = True) -> Result:
    """Raises `CommandError` if the answer is not OK; what it says is in the log line."""
    response = scheduler.call(call, repeatable=repeatable)
    line = f"Response from scheduler: {response.response_code.name} (message: {messages(response)})"
    if response.response_code is not ResponseCode.OK:
        raise CommandError(Exit.FATAL, f" INFO] {line}")
    scheduler.terminal.info(line)
    return response.result or Result()


def _backup_now(given: Namespace, scheduler: Scheduler) -> None:
    _ask(scheduler, PerformBackup())


def _list_backups(given: Namespace, scheduler: Scheduler) -> None:
    result = _ask(scheduler, ListBackups()).list_backups_result
    names = sorted(result.backups) if result is not None else []
    scheduler.terminal.out("\n".join([f"{len(names)} available backups:", *names]))


def _stage(given: Namespace, scheduler: Scheduler) -> None:
    _ask(scheduler, StageRecovery(given.backup_id), repeatable=False)


def _print_tasks(given: Namespace, scheduler: Scheduler) -> None:
    result = _ask(scheduler, QueryRecovery(TaskQuery(statuses=ACTIVE_STATES))).query_recovery_result
    scheduler.terminal.info("\t".join(("Role", "Job", "Shard", "Status", "Task ID")))
    for row in sorted(map(_row, result.tasks if result is not None else ())):
        role, job, _, instance, status, task_id = row
        scheduler.terminal.info("\t".join((role, job, str(instance), status, task_id)))


def _row(task: ScheduledTask) -> tuple[str, str, str, int, str, str]:
    assigned, job = task.assigned_task, task.assigned_task.task.job
    return job.role, job.name, job.environment, assigned.instance_id, task.status.name, assigned.task_id


def _delete_tasks(given: Namespace, scheduler: Scheduler) -> None:
    ids = frozenset(filter(None, (task_id.strip() for task_id in given.task_ids.split(","))))
    if not ids:  # a query without ids would mean all tasks
        raise CommandError(Exit.FATAL, "Task ids were expected, with commas between")
    _ask(scheduler, DeleteRecoveryTasks(TaskQuery(task_ids=ids)))


def _commit(given: Namespace, scheduler: Scheduler) -> None:
    _ask(scheduler, CommitRecovery(), repeatable=False)


def _unload(given: Namespace, scheduler: Scheduler) -> None:
    _ask(scheduler, UnloadRecovery())


def _snapshot(given: Namespace, scheduler: Scheduler) -> None:
    _ask(scheduler, Snapshot())


COMMANDS = {
    "scheduler_backup_now": StorageCommand(
        ("cluster",), "Have the scheduler save its state into a backup now.", _backup_now
    ),
    "scheduler_list_backups": StorageCommand(("cluster",), "List the backups that the scheduler has.", _list_backups),
    "scheduler_stage_recovery": StorageCommand(
        ("cluster", "backup_id"), "Load a backup beside the scheduler's state, to be looked at and committed.", _stage
    ),
    "scheduler_print_recovery_tasks": StorageCommand(
        ("cluster",), "Show the active tasks of the backup that is staged.", _print_tasks
    ),
    "scheduler_delete_recovery_tasks": StorageCommand(
        ("cluster", "task_ids"), "Take tasks (ID,ID,...) out of the backup that is staged.", _delete_tasks
    ),
    "scheduler_commit_recovery": StorageCommand(
        ("cluster",),
        "Put the backup that is staged in the place of the scheduler's state. The scheduler stops then; the next one "
        "that leads begins with it.",
        _commit,
    ),
    "scheduler_unload_recovery": StorageCommand(("cluster",), "Forget the backup that is staged.", _unload),
    "scheduler_snapshot": StorageCommand(
        ("cluster",), "Have the scheduler write its whole state into its log, and wait for that.", _snapshot
    ),
}
