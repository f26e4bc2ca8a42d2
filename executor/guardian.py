"""Between a Mesos agent and the executor that it started: a sub-reaper that outlives the executor.

An agent learns that an executor was killed and gives its task up, while the task's processes, which no longer descend
from anything it knows, may go on beside those of the next one. So whoever is the executor's parent ends them first, and
the agent hears of the end only when nothing is alive. (The local engine sees to that by itself, see `keeper.py`.)
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from aurorad import procfs
from aurorad.ending import KEEPER

_LIMIT_S = 60.0  # for what the kernel holds
_log = logging.getLogger(__name__)


def guarded(run: Callable[[], int], environment: Mapping[str, str]) -> int:
    """`run` in a child, if an agent has started us; its status, or 128 and the signal that killed it.

    To be called before anything else was done: all that is in memory then is shared. Raises `OSError`.
    """
    directory = environment.get("MESOS_DIRECTORY")
    if directory is None:
        return run()
    own = os.getpid()
    procfs.become_subreaper()
    executor = os.fork()
    if executor == 0:
        procfs.die_with_parent(own, signal.SIGTERM)  # then nobody is left to end the task, but itself
        return run()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(executor, number))
    procfs.show_as(KEEPER)
    status = _status_of(executor)
    if status == 0:
        return 0
    _end_what_is_left()
    _record(Path(directory))
    return status if status > 0 else 128 - status


def _status_of(executor: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)  # whoever else is handed up is buried
        if pid == executor:
            return os.waitstatus_to_exitcode(status)


def _end_what_is_left() -> None:
    from aurorad.ending import end_all

    own, until_s = os.getpid(), time.monotonic() + _LIMIT_S
    for pause_s in end_all(lambda: procfs.tree(own), lambda: [own]):
        if time.monotonic() > until_s:
            _log.error("processes that do not die are left")
            return
        time.sleep(pause_s)


def _record(directory: Path) -> None:
    """For whoever looks at the task later."""
    from executor.checkpoint import CheckpointError, TaskState  # not above: nearly nobody comes here
    from executor.offline import record_end
    from executor.paths import CHECKPOINTS, TaskPaths, active_tasks

    root = directory / CHECKPOINTS
    for task_id in active_tasks(root):
        try:
            record_end(TaskPaths(root, task_id), TaskState.LOST, lambda: time.time_ns() // 1_000_000)
        except (CheckpointError, OSError) as error:
            _log.error("the end of %s is not on record: %s", task_id, error)
