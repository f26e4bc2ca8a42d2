"""The table of the task-state-machine sheet, transcribed cell by cell, and what the sheet says around it."""

from __future__ import annotations

import msgspec
import pytest

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from aurorad.engine.base import StatusUpdate, TaskState
from aurorad.rules import task_states
from aurorad.rules.task_states import Action, Decision, StateChangeResult

S = ScheduleStatus
TARGETS: tuple[ScheduleStatus | None, ...] = (
    S.THROTTLED,
    S.PENDING,
    S.ASSIGNED,
    S.STARTING,
    S.RUNNING,
    S.FINISHED,
    S.FAILED,
    S.KILLED,
    S.LOST,
    S.KILLING,
    S.PREEMPTING,
    S.RESTARTING,
    S.DRAINING,
    S.PARTITIONED,
    None,
)

# As in the sheet, section 3. A cell that depends on the task is written <for a service>/<for an ad-hoc task>; the
# ad-hoc task has maxTaskFailures = 1, neither was ever asked to end.
SHEET: dict[ScheduleStatus | None, str] = {
    S.INIT: "S | S | — | — | — | — | — | — | — | — | — | — | — | — | —",
    S.THROTTLED: "= | S | — | — | — | — | — | — | — | D | — | — | — | — | —",
    S.PENDING: "— | = | S | — | — | — | — | — | — | D | — | — | — | — | —",
    S.ASSIGNED: "— | — | = | S | S | S R/S | F S R/F S | S R | S R K | S K | S K | S K | S K | — | —",
    S.STARTING: "— | — | — | = | S | S R/S | F S R/F S | S R | S R | S K | S K | S K | S K | S | —",
    S.RUNNING: "— | — | — | — | = | S R/S | F S R/F S | S R | S R | S K | S K | S K | S K | S | —",
    S.PARTITIONED: "— | — | S | S | S | S | F S R/F S | — | S R K | S L | S L | S L | S L | = | —",
    S.PREEMPTING: "— | — | xK | xK | xK | S R | S R | S R | S R K | S | = | — | — | S L | —",
    S.RESTARTING: "— | — | xK | xK | xK | S R | S R | S R | S R K | S | — | = | — | S L | —",
    S.DRAINING: "— | — | xK | xK | xK | S R | S R | S R | S R K | S | — | — | = | S L | —",
    S.KILLING: "— | — | xK | xK | xK | S | S | S | S | = | — | — | — | S L | D",
    S.FINISHED: "— | — | xK | xK | xK | = | — | — | — | — | — | — | — | — | D",
    S.FAILED: "— | — | xK | xK | xK | — | = | — | — | — | — | — | — | — | D",
    S.KILLED: "— | — | xK | xK | xK | — | — | = | — | — | — | — | — | — | D",
    S.LOST: "— | — | xK | xK | xK | — | — | — | = | — | — | — | — | — | D",
    None: "— | — | xK | xK | xK | — | — | — | — | — | — | — | — | — | =",
}
LETTERS = {
    "F": Action.INCREMENT_FAILURES,
    "S": Action.SAVE_STATE,
    "R": Action.RESCHEDULE,
    "L": Action.TRANSITION_TO_LOST,
    "K": Action.KILL,
    "D": Action.DELETE,
}


def expected_of(cell: str) -> Decision:
    if cell == "=":
        return Decision(StateChangeResult.NOOP)
    if cell == "—":
        return Decision(StateChangeResult.ILLEGAL)
    if cell == "xK":
        return Decision(StateChangeResult.ILLEGAL_WITH_SIDE_EFFECTS, (Action.KILL,))
    return Decision(StateChangeResult.SUCCESS, tuple(LETTERS[letter] for letter in cell.split()))


def cells() -> list[tuple[ScheduleStatus | None, ScheduleStatus | None, bool, str]]:
    return [
        (source, target, service, cell.strip().split("/")[0 if service else -1])
        for source, row in SHEET.items()
        for target, cell in zip(TARGETS, row.split("|"), strict=True)
        for service in (True, False)
    ]


def task(
    status: ScheduleStatus, *, service: bool = False, max_failures: int = 1, failures: int = 0, events: str = ""
) -> ScheduledTask:
    config = TaskConfig(is_service=service, max_task_failures=max_failures)
    history = tuple(TaskEvent(1000 + i, ScheduleStatus[name]) for i, name in enumerate(events.split()))
    return ScheduledTask(AssignedTask("a-task", task=config), status, failures, task_events=history)


@pytest.mark.parametrize(("source", "target", "service", "cell"), cells())
def test_every_cell_of_the_table_is_as_in_the_sheet(
    source: ScheduleStatus | None, target: ScheduleStatus | None, service: bool, cell: str
) -> None:
    present = task(source, service=service) if source is not None else None
    assert task_states.decide(present, target) == expected_of(cell)


@pytest.mark.parametrize("source", list(S))
def test_init_is_never_a_target(source: ScheduleStatus) -> None:
    assert task_states.decide(task(source), S.INIT) == Decision(StateChangeResult.ILLEGAL)


@pytest.mark.parametrize(
    ("max_failures", "before", "rescheduled"),
    [(0, 0, False), (1, 0, False), (2, 0, True), (2, 1, False), (10, 8, True), (10, 9, False), (-1, 99, True)],
)
@pytest.mark.parametrize("source", [S.ASSIGNED, S.STARTING, S.RUNNING, S.PARTITIONED])
def test_an_ad_hoc_task_may_fail_as_often_as_it_says(
    source: ScheduleStatus, max_failures: int, before: int, rescheduled: bool
) -> None:
    decision = task_states.decide(task(source, max_failures=max_failures, failures=before), S.FAILED)
    assert (Action.RESCHEDULE in decision.actions) is rescheduled
    assert Action.INCREMENT_FAILURES in decision.actions


def test_a_partitioned_task_that_was_being_killed_is_not_rescheduled() -> None:
    killed = task(S.PARTITIONED, service=True, events="RUNNING KILLING PARTITIONED")
    assert task_states.decide(killed, S.LOST).actions == (Action.SAVE_STATE, Action.KILL)


def test_a_change_with_another_expected_state_is_refused() -> None:
    refused = Decision(StateChangeResult.INVALID_CAS_STATE)
    assert task_states.decide(task(S.RUNNING), S.LOST, expected=S.ASSIGNED) == refused
    assert task_states.decide(None, S.LOST, expected=S.ASSIGNED) == refused
    assert task_states.decide(task(S.ASSIGNED), S.LOST, expected=S.ASSIGNED).result is StateChangeResult.SUCCESS


def test_entering_a_state_appends_one_event() -> None:
    entered = task_states.entered(task(S.PENDING, events="PENDING"), S.ASSIGNED, 5000, "why", "here")
    assert entered.status is S.ASSIGNED
    assert entered.task_events[-1] == TaskEvent(5000, S.ASSIGNED, "why", "here")
    assert len(entered.task_events) == 2


def test_coming_and_going_of_a_partition_does_not_grow_the_history() -> None:
    present = task(S.RUNNING, events="PENDING ASSIGNED RUNNING")
    for time in range(10):
        present = task_states.entered(present, S.PARTITIONED, 2000 + time, None, "")
        present = task_states.entered(present, S.RUNNING, 2000 + time, None, "")
    statuses = [event.status for event in present.task_events]
    assert statuses == [S.PENDING, S.ASSIGNED, S.RUNNING, S.PARTITIONED, S.RUNNING]
    assert present.times_partitioned == 10


def test_a_successor_inherits_instance_configuration_and_failures_but_no_place() -> None:
    ended = msgspec.structs.replace(
        task(S.FAILED, failures=3, events="RUNNING FAILED"),
        assigned_task=AssignedTask("old", "agent", "host", TaskConfig(priority=7), {"http": 1}, 4),  # type: ignore[arg-type] # frozendict
        times_partitioned=2,
    )
    assert task_states.successor(ended, "new") == ScheduledTask(
        AssignedTask("new", task=TaskConfig(priority=7), instance_id=4), S.INIT, 3, ancestor_id="old"
    )


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("STAGING", S.STARTING),
        ("STARTING", S.STARTING),
        ("RUNNING", S.RUNNING),
        ("FINISHED", S.FINISHED),
        ("FAILED", S.FAILED),
        ("KILLED", S.KILLED),
        ("KILLING", S.KILLED),
        ("LOST", S.LOST),
        ("ERROR", S.LOST),
        ("DROPPED", S.LOST),
        ("GONE", S.LOST),
        ("GONE_BY_OPERATOR", S.LOST),
        ("UNREACHABLE", S.PARTITIONED),
        ("UNKNOWN", S.PARTITIONED),
    ],
)
def test_engine_states_are_read_as_in_the_sheet(state: str, status: ScheduleStatus) -> None:
    assert task_states.STATUS_OF[TaskState[f"TASK_{state}"]] is status


def test_every_engine_state_has_a_status() -> None:
    assert set(task_states.STATUS_OF) == set(TaskState)


@pytest.mark.parametrize(
    ("reason", "message", "shown"),
    [
        (None, None, None),
        (None, "exit 1", "exit 1"),
        ("REASON_COMMAND_EXECUTOR_FAILED", "exit 1", "exit 1"),
        ("REASON_CONTAINER_LIMITATION_MEMORY", None, "Task used more memory than requested."),
        ("REASON_CONTAINER_LIMITATION_MEMORY", "2 MB over", "2 MB over"),
        ("REASON_CONTAINER_LIMITATION_DISK", None, "Task used more disk than requested."),
        ("REASON_EXECUTOR_UNREGISTERED", "anything", None),
    ],
)
def test_messages_of_updates_are_translated(reason: str | None, message: str | None, shown: str | None) -> None:
    update = StatusUpdate("a-task", TaskState.TASK_FAILED, message=message, reason=reason)
    assert task_states.message_of(update) == shown
