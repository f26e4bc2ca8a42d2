"""`aurora_admin` about backups and recovery (admin-commands sheet, sections 1.2, 5 and 9)."""

from __future__ import annotations

import pytest

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
from aurorad.api.enums import ACTIVE_STATES, ResponseCode, ScheduleStatus
from aurorad.api.results import ListBackupsResult, QueryRecoveryResult
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig, TaskQuery
from tests.client.conftest import Runner
from tests.client.fake_scheduler import FakeScheduler, ok, refused

BACKUP = "scheduler-backup-2016-04-16-00-00"
OK_LINE = " INFO] Response from scheduler: OK (message: )\n"


def task(task_id: str, instance: int) -> ScheduledTask:
    config = TaskConfig(JobKey("www", "prod", "hello"))
    return ScheduledTask(AssignedTask(task_id, task=config, instance_id=instance), ScheduleStatus.RUNNING)


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (("scheduler_backup_now", "west"), PerformBackup()),
        (("scheduler_snapshot", "west"), Snapshot()),
        (("scheduler_stage_recovery", "west", BACKUP), StageRecovery(BACKUP)),
        (("scheduler_commit_recovery", "west"), CommitRecovery()),
        (("scheduler_unload_recovery", "west"), UnloadRecovery()),
        (
            ("scheduler_delete_recovery_tasks", "west", "a, b,"),
            DeleteRecoveryTasks(TaskQuery(task_ids=frozenset({"a", "b"}))),
        ),
    ],
)
def test_each_is_one_call_and_a_log_line(
    aurora_admin: Runner, scheduler: FakeScheduler, arguments: tuple[str, ...], call: Call
) -> None:
    scheduler.on(type(call), ok())
    ran = aurora_admin(*arguments)
    assert (ran.code, ran.out, ran.err) == (0, "", OK_LINE)
    assert scheduler.calls == [call]


def test_backups_are_listed(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    names = frozenset({"scheduler-backup-2016-04-16-00-00", "scheduler-backup-2016-04-15-23-00"})
    scheduler.on(ListBackups, ok(list_backups_result=ListBackupsResult(names)))
    ran = aurora_admin("scheduler_list_backups", "west")
    assert ran.out == ("2 available backups:\nscheduler-backup-2016-04-15-23-00\nscheduler-backup-2016-04-16-00-00\n")


def test_active_tasks_of_the_staged_backup_are_log_lines(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    tasks = frozenset({task("t10", 10), task("t2", 2)})
    scheduler.on(QueryRecovery, ok(query_recovery_result=QueryRecoveryResult(tasks)))
    ran = aurora_admin("scheduler_print_recovery_tasks", "west")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == OK_LINE + (
        " INFO] Role\tJob\tShard\tStatus\tTask ID\n"
        " INFO] www\thello\t2\tRUNNING\tt2\n"
        " INFO] www\thello\t10\tRUNNING\tt10\n"
    )
    assert scheduler.of(QueryRecovery) == [QueryRecovery(TaskQuery(statuses=ACTIVE_STATES))]


def test_a_refusal_is_a_log_line_and_status_1(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(CommitRecovery, refused("No backup loaded.", ResponseCode.ERROR))
    ran = aurora_admin("scheduler_commit_recovery", "west")
    assert (ran.code, ran.err) == (1, " INFO] Response from scheduler: ERROR (message: No backup loaded.)\n")


def test_the_addressed_scheduler_can_be_made_to_answer(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(StageRecovery, ok())
    assert aurora_admin("scheduler_stage_recovery", "--bypass-leader-redirect", "west", BACKUP).code == 0
    assert aurora_admin("scheduler_stage_recovery", "west", BACKUP).code == 0
    headers = [headers.get("Bypass-Leader-Redirect") for _, headers in scheduler.requests]
    assert headers == ["true", None]


def test_quiet_says_nothing_of_its_own(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(PerformBackup, ok())
    ran = aurora_admin("scheduler_backup_now", "-q", "west")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (("scheduler_stage_recovery", "west"), "scheduler_stage_recovery cluster backup_id"),
        (("scheduler_stage_recovery", "west", "a", "b"), "scheduler_stage_recovery cluster backup_id"),
        (("scheduler_snapshot",), "scheduler_snapshot cluster"),
    ],
)
def test_the_number_of_arguments_is_checked(
    aurora_admin: Runner, scheduler: FakeScheduler, arguments: tuple[str, ...], usage: str
) -> None:
    ran = aurora_admin(*arguments)
    expected = f"Incorrect parameters for {arguments[0]}\n\n{usage} see the help subcommand for more details.\n"
    assert (ran.code, ran.err) == (1, expected)


def test_no_task_ids_never_means_all(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    assert aurora_admin("scheduler_delete_recovery_tasks", "west", " , ").code == 1
    assert scheduler.calls == []


def test_an_unknown_option_is_a_usage_error(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    assert aurora_admin("scheduler_snapshot", "west", "--what").code == 2
