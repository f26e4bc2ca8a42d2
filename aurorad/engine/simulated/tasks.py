"""A task on a pretended agent, and how it may end."""

from __future__ import annotations

import msgspec
from frozendict import frozendict

from aurorad.engine.base import StatusUpdate, TaskState
from aurorad.engine.simulated.behaviour import Fate
from aurorad.engine.simulated.hosts import Amounts, Host

ENDED = frozenset(
    {
        TaskState.TASK_FINISHED,
        TaskState.TASK_FAILED,
        TaskState.TASK_KILLED,
        TaskState.TASK_ERROR,
        TaskState.TASK_LOST,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
    }
)

ENDS = frozendict(
    {
        Fate.FINISHES: (TaskState.TASK_FINISHED, "Command exited with status 0", None),
        Fate.FAILS: (TaskState.TASK_FAILED, "Command exited with status 1", "REASON_COMMAND_EXECUTOR_FAILED"),
        Fate.FLAPS: (TaskState.TASK_FAILED, "Command exited with status 1", "REASON_COMMAND_EXECUTOR_FAILED"),
        Fate.GETS_LOST: (TaskState.TASK_LOST, "Executor terminated", "REASON_EXECUTOR_TERMINATED"),
        Fate.IS_KILLED: (TaskState.TASK_KILLED, "Instructed to kill task.", None),
    }
)
"""State, message and reason of each end."""


class Task(msgspec.Struct, eq=False, gc=False):
    """A task on an agent, until its end is acknowledged. Look, do not touch.

    Nothing that a task holds holds the task: the garbage collector need not look at a million of them.
    """

    id: str
    host: Host
    amounts: Amounts
    fate: Fate
    state: TaskState = TaskState.TASK_STAGING
    timer: int = 0
    """The number of its latest timer: older ones no longer count."""
    updates: tuple[StatusUpdate, ...] = ()
    """Not acknowledged; only the first is told."""

    @property
    def agent_id(self) -> str:
        return self.host.agent.id
