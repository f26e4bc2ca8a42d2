"""Status checkers: whoever may end a running task, each a function of its own, all raced against the task itself.

A checker is made before the task is declared started, from what is known of it, and then runs beside it. It gives the
`Outcome` by which the task shall end, or None when it has nothing more to watch; the first outcome counts. Once the
task shall end, for whatever reason, checkers are cancelled, before the task is asked to end: what one has to undo it
does shielded, within a limit of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from aurorad.api.tasks import AssignedTask
from aurorad.engine.base import TaskState
from executor.checkpoint import RunnerState
from executor.flags import ExecutorFlags
from executor.images import Image
from executor.paths import RunDirectory
from executor.sandbox import User
from executor.task import TaskInstance


class Outcome(NamedTuple):
    """A terminal status update."""

    state: TaskState
    message: str


class CannotCheck(Exception):
    """A checker cannot be made as the job wants it: the task fails with this text."""


@dataclasses.dataclass(frozen=True)
class RunningTask:
    """What checkers see of the task. `state` gives all that is on record of its processes now.

    `active` says whether the task is still at its work: one that is cleaning up need not be healthy. `oom_kills` gives
    how many of its processes the kernel killed at the limit of their memory, None if no such limit is set.
    `tell_running` reports TASK_RUNNING; one checker does, once. `helpers` is where a checker puts the pid of a process
    of its own while that lives, so that it is not ended with the task.
    """

    assigned: AssignedTask
    instance: TaskInstance
    hostname: str
    ports: Mapping[str, int]
    directory: RunDirectory
    user: User
    image: Image | None
    flags: ExecutorFlags
    state: Callable[[], RunnerState]
    active: Callable[[], bool]
    oom_kills: Callable[[], int | None]
    tell_running: Callable[[str], None]
    helpers: set[int]


Checker: TypeAlias = Callable[[], Awaitable[Outcome | None]]
MakeChecker: TypeAlias = Callable[[RunningTask], Checker | None]
"""None if the task has no need of it. Raises `CannotCheck`; anything else that it raises is an internal error."""
