"""A task that the kernel ended for its memory ends with a word about it (executor sheet, section 5, as Mesos' own)."""

from __future__ import annotations

import trio

from aurorad.engine.base import TaskState
from executor.checkers import Checker, Outcome, RunningTask

_POLL_S = 2.0  # before the runner starts them again: `min_duration` is 5 s, unless somebody wants it otherwise


def oom_checker(task: RunningTask) -> Checker | None:
    """For tasks in a control group with a limit of memory."""
    before = task.oom_kills()
    if before is None:
        return None
    reserved = 0 if task.instance.task.resources is None else task.instance.task.resources.ram

    async def watch() -> Outcome:
        while (task.oom_kills() or 0) <= before:  # noqa: ASYNC110 - the kernel's file is all that tells
            await trio.sleep(_POLL_S)
        text = f"Memory limit exceeded.  Reserved {reserved} bytes; the kernel has killed the task's processes."
        return Outcome(TaskState.TASK_FAILED, text)

    return watch
