"""`aurora_admin` about single tasks (admin-commands sheet, sections 3.3 and 5)."""

from __future__ import annotations

import pytest

from aurorad.api.calls import (
    Call,
    ForceTaskState,
    GetTasksStatus,
    PruneTasks,
    TriggerExplicitTaskReconciliation,
    TriggerImplicitTaskReconciliation,
)
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.results import ScheduleStatusResult
from aurorad.api.tasks import ExplicitReconciliationSettings, TaskQuery
from tests.client.conftest import Runner
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import task

TWO = ScheduleStatusResult((task(10, ScheduleStatus.RUNNING), task(2, ScheduleStatus.RUNNING, task_id="its-id")))


def test_tasks_are_told_a_line_each_in_order(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksStatus, ok(schedule_status_result=TWO))
    ran = aurora_admin("query", "west", "bozo", "hello")
    assert (ran.code, ran.out) == (0, "bozo/hello/2 RUNNING\nbozo/hello/10 RUNNING\n")
    query = TaskQuery(role="bozo", job_name="hello", statuses=frozenset({ScheduleStatus.RUNNING}))
    assert scheduler.calls == [GetTasksStatus(query)]


def test_the_line_may_be_made_of_any_field_and_instances_chosen(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksStatus, ok(schedule_status_result=ScheduleStatusResult(TWO.tasks[1:])))
    form = "%taskId% %environment% %maxTaskFailures% %tier% 100%"
    ran = aurora_admin("query", "-l", form, "--shards=2", "--states=RUNNING,failed", "--force", "west", "bozo", "hello")
    assert (ran.code, ran.out) == (0, "its-id test 1 preemptible 100%\n")
    (call,) = scheduler.of(GetTasksStatus)
    assert call.query.instance_ids == {2}
    assert call.query.statuses == {ScheduleStatus.RUNNING, ScheduleStatus.FAILED}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("west",), "--force is required for expensive queries (no role specified)\n"),
        (("west", "bozo"), "--force is required for expensive queries (no job specified)\n"),
        (
            ("--states=LOST", "west", "bozo", "hello"),
            "--force is required for expensive queries (states outside ACTIVE states)\n",
        ),
        (("--states=UP", "west", "bozo", "hello"), "Unknown state 'UP' specified.  Valid states are: INIT,"),
        (("-l", "%color%", "west", "bozo", "hello"), "Unknown key in format string.  Valid keys are: ancestorId,"),
    ],
)
def test_a_bad_or_expensive_query_is_not_asked(
    aurora_admin: Runner, scheduler: FakeScheduler, arguments: tuple[str, ...], words: str
) -> None:
    ran = aurora_admin("query", *arguments)
    assert (ran.code, ran.err.startswith(words), scheduler.calls) == (1, True, [])


def test_a_failed_query_says_why(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksStatus, refused("no", ResponseCode.ERROR))
    ran = aurora_admin("query", "west", "bozo", "hello")
    assert (ran.code, ran.err) == (1, "Failed to query scheduler: no\n")


def test_ended_tasks_are_pruned_by_what_is_given(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(PruneTasks, ok())
    ran = aurora_admin("prune_tasks", "--states=LOST,FAILED", "--role=www", "--env=prod", "--limit=5", "west")
    assert (ran.code, ran.out) == (0, "Tasks pruned.\n")
    statuses = frozenset({ScheduleStatus.LOST, ScheduleStatus.FAILED})
    assert scheduler.calls == [PruneTasks(TaskQuery(role="www", environment="prod", statuses=statuses, limit=5))]


def test_a_refused_pruning_says_why(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    words = "Tasks in non-terminal state cannot be pruned."
    scheduler.on(PruneTasks, refused(words))
    ran = aurora_admin("prune_tasks", "--states=RUNNING", "west")
    assert (ran.code, ran.err) == (1, f"Failed to prune tasks: {words}\n")


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ((), TriggerExplicitTaskReconciliation(ExplicitReconciliationSettings())),
        (("-b", "7"), TriggerExplicitTaskReconciliation(ExplicitReconciliationSettings(7))),
        (("--type=explicit",), TriggerExplicitTaskReconciliation(ExplicitReconciliationSettings())),
        (("-t", "implicit"), TriggerImplicitTaskReconciliation()),
    ],
)
def test_a_reconciliation_is_one_call(
    aurora_admin: Runner, scheduler: FakeScheduler, options: tuple[str, ...], call: Call
) -> None:
    scheduler.on(type(call), ok())
    assert aurora_admin("reconcile_tasks", "west", *options).code == 0
    assert scheduler.calls == [call]


def test_a_task_may_be_forced_into_a_state(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(ForceTaskState, ok())
    ran = aurora_admin("force_task_state", "west", "its-id", "lost")
    assert (ran.code, scheduler.calls) == (0, [ForceTaskState("its-id", ScheduleStatus.LOST)])
    assert aurora_admin("force_task_state", "west", "its-id", "GONE").code == 1
