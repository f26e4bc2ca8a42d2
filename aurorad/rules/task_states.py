"""The life of a task: one table of all transitions, and what each of them entails (task-state-machine sheet, 2-7).

Everything here is a value: `decide` says what a requested change means, the state manager does it.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

import msgspec
from frozendict import frozendict

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskEvent
from aurorad.engine.base import StatusUpdate, TaskState

TOLD_TO_END: frozenset[ScheduleStatus] = frozenset(
    {ScheduleStatus.KILLING, ScheduleStatus.RESTARTING, ScheduleStatus.PREEMPTING, ScheduleStatus.DRAINING}
)
"""States of a task that the engine was asked to end. What ends after one of them did not end by itself."""

LOST_AFTER_PARTITION = "Action performed on partitioned task, marking as LOST."


class StateChangeResult(Enum):
    """What became of a requested change."""

    NOOP = "NOOP"
    SUCCESS = "SUCCESS"
    ILLEGAL = "ILLEGAL"
    ILLEGAL_WITH_SIDE_EFFECTS = "ILLEGAL_WITH_SIDE_EFFECTS"
    INVALID_CAS_STATE = "INVALID_CAS_STATE"


class Action(IntEnum):
    """What a transition does; actions are done in this order."""

    INCREMENT_FAILURES = 1
    SAVE_STATE = 2
    RESCHEDULE = 3
    TRANSITION_TO_LOST = 4
    KILL = 5
    DELETE = 6


class Decision(NamedTuple):
    result: StateChangeResult
    actions: tuple[Action, ...] = ()


# Rows: from; columns: to. DELETED stands for "no record". Read a cell letter by letter:
#   S save the state   K kill   F count a failure   R reschedule   L go on to LOST   D delete the record
#   R? reschedule only: ?s a service   ?f as maxTaskFailures allows   ?k unless it was being killed
#   =  already there   -  illegal, nothing happens   xK  illegal, and the task that should not be is killed
_TABLE = """
from        THROTTLED PENDING ASSIGNED STARTING RUNNING FINISHED FAILED KILLED LOST  KILLING PREEMPTING RESTARTING DRAINING PARTITIONED DELETED
INIT        S         S       -        -        -       -        -      -      -     -       -          -          -        -           -
THROTTLED   =         S       -        -        -       -        -      -      -     D       -          -          -        -           -
PENDING     -         =       S        -        -       -        -      -      -     D       -          -          -        -           -
ASSIGNED    -         -       =        S        S       SR?s     SFR?f  SR     SRK   SK      SK         SK         SK       -           -
STARTING    -         -       -        =        S       SR?s     SFR?f  SR     SR    SK      SK         SK         SK       S           -
RUNNING     -         -       -        -        =       SR?s     SFR?f  SR     SR    SK      SK         SK         SK       S           -
PARTITIONED -         -       S        S        S       S        SFR?f  -      SKR?k SL      SL         SL         SL       =           -
PREEMPTING  -         -       xK       xK       xK      SR       SR     SR     SRK   S       =          -          -        SL          -
RESTARTING  -         -       xK       xK       xK      SR       SR     SR     SRK   S       -          =          -        SL          -
DRAINING    -         -       xK       xK       xK      SR       SR     SR     SRK   S       -          -          =        SL          -
KILLING     -         -       xK       xK       xK      S        S      S      S     =       -          -          -        SL          D
FINISHED    -         -       xK       xK       xK      =        -      -      -     -       -          -          -        -           D
FAILED      -         -       xK       xK       xK      -        =      -      -     -       -          -          -        -           D
KILLED      -         -       xK       xK       xK      -        -      =      -     -       -          -          -        -           D
LOST        -         -       xK       xK       xK      -        -      -      =     -       -          -          -        -           D
DELETED     -         -       xK       xK       xK      -        -      -      -     -       -          -          -        -           =
"""  # noqa: E501 - a table is read across

_LETTERS = {
    "F": Action.INCREMENT_FAILURES,
    "S": Action.SAVE_STATE,
    "R": Action.RESCHEDULE,
    "L": Action.TRANSITION_TO_LOST,
    "K": Action.KILL,
    "D": Action.DELETE,
}


class _Cell(NamedTuple):
    decision: Decision
    reschedule_if: str = ""
    unless: Decision = Decision(StateChangeResult.ILLEGAL)
    """The decision where the condition does not hold."""


_NEVER = _Cell(Decision(StateChangeResult.ILLEGAL))  # INIT is no target


def _cell(text: str) -> _Cell:
    if text == "=":
        return _Cell(Decision(StateChangeResult.NOOP))
    if text == "-":
        return _NEVER
    if text.startswith("x"):
        actions = tuple(_LETTERS[letter] for letter in text[1:])
        return _Cell(Decision(StateChangeResult.ILLEGAL_WITH_SIDE_EFFECTS, actions))
    letters, _, condition = text.partition("?")
    actions = tuple(sorted(_LETTERS[letter] for letter in letters))
    others = tuple(action for action in actions if action is not Action.RESCHEDULE)
    return _Cell(Decision(StateChangeResult.SUCCESS, actions), condition, Decision(StateChangeResult.SUCCESS, others))


def _state(name: str) -> ScheduleStatus | None:
    return None if name == "DELETED" else ScheduleStatus[name]


def _read(table: str) -> frozendict[tuple[ScheduleStatus | None, ScheduleStatus | None], _Cell]:
    header, *rows = (line.split() for line in table.strip().splitlines())
    return frozendict(
        {
            (_state(row[0]), _state(column)): _cell(text)
            for row in rows
            for column, text in zip(header[1:], row[1:], strict=True)
        }
    )


_TRANSITIONS = _read(_TABLE)


def decide(
    task: ScheduledTask | None, target: ScheduleStatus | None, expected: ScheduleStatus | None = None
) -> Decision:
    """What moving `task` to `target` means; None stands for a task without a record.

    With `expected` the change is refused unless the task is in that state.
    """
    present = task.status if task is not None else None
    if expected is not None and present is not expected:
        return Decision(StateChangeResult.INVALID_CAS_STATE)
    cell = _TRANSITIONS.get((present, target), _NEVER)
    if task is not None and cell.reschedule_if and not _is_rescheduled(task, cell.reschedule_if):
        return cell.unless
    return cell.decision


def _is_rescheduled(task: ScheduledTask, condition: str) -> bool:
    config = task.assigned_task.task
    match condition:
        case "s":
            return config.is_service
        case "f":
            allowed = config.max_task_failures
            return config.is_service or allowed == -1 or task.failure_count < allowed - 1
        case "k":
            return all(event.status is not ScheduleStatus.KILLING for event in task.task_events)
    raise AssertionError(f"no such condition in the table: {condition}")


def entered(
    task: ScheduledTask, status: ScheduleStatus, timestamp_ms: int, message: str | None, scheduler: str
) -> ScheduledTask:
    """The record after entering `status`. Cycles of being partitioned and coming back leave one cycle of events."""
    events = task.task_events
    partitions = task.times_partitioned
    if status is ScheduleStatus.PARTITIONED:
        partitions += 1
        if len(events) >= 3 and events[-2].status is status and events[-1].status is events[-3].status:
            events = events[:-2]
    event = TaskEvent(timestamp_ms, status, message, scheduler)
    return msgspec.structs.replace(task, status=status, task_events=(*events, event), times_partitioned=partitions)


def last_change_ms(task: ScheduledTask) -> int:
    """When the task entered its present state."""
    return task.task_events[-1].timestamp if task.task_events else 0


def successor(task: ScheduledTask, task_id: str) -> ScheduledTask:
    """The record that takes the place of an ended task, still in INIT."""
    assigned = msgspec.structs.replace(
        task.assigned_task, task_id=task_id, slave_id=None, slave_host=None, assigned_ports=frozendict()
    )
    return ScheduledTask(assigned, ScheduleStatus.INIT, task.failure_count, ancestor_id=task.assigned_task.task_id)


STATUS_OF: frozendict[TaskState, ScheduleStatus] = frozendict(
    {
        TaskState.TASK_STAGING: ScheduleStatus.STARTING,
        TaskState.TASK_STARTING: ScheduleStatus.STARTING,
        TaskState.TASK_RUNNING: ScheduleStatus.RUNNING,
        TaskState.TASK_FINISHED: ScheduleStatus.FINISHED,
        TaskState.TASK_FAILED: ScheduleStatus.FAILED,
        TaskState.TASK_KILLED: ScheduleStatus.KILLED,
        TaskState.TASK_KILLING: ScheduleStatus.KILLED,
        TaskState.TASK_LOST: ScheduleStatus.LOST,
        TaskState.TASK_ERROR: ScheduleStatus.LOST,
        TaskState.TASK_DROPPED: ScheduleStatus.LOST,
        TaskState.TASK_GONE: ScheduleStatus.LOST,
        TaskState.TASK_GONE_BY_OPERATOR: ScheduleStatus.LOST,
        TaskState.TASK_UNREACHABLE: ScheduleStatus.PARTITIONED,
        TaskState.TASK_UNKNOWN: ScheduleStatus.PARTITIONED,
    }
)

_MESSAGE_OF_REASON = frozendict(
    {
        "REASON_CONTAINER_LIMITATION_MEMORY": "Task used more memory than requested.",
        "REASON_CONTAINER_LIMITATION_DISK": "Task used more disk than requested.",
    }
)


def message_of(update: StatusUpdate) -> str | None:
    """What the task's event shall say about a status update."""
    if update.reason == "REASON_EXECUTOR_UNREGISTERED":
        return None
    return update.message or _MESSAGE_OF_REASON.get(update.reason or "")
