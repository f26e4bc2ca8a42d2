"""Between the launcher and an executor, where there are no control groups: a sub-reaper that outlives the executor.

When an executor is killed, what it was running would be handed up to init, and whoever cleared its environment and
left its session could not be told from anybody's daemon. So each executor has a parent of its own, which does nothing
but bury: all that the task ever forked descends from it, and it ends when nothing of that is left.
"""

from __future__ import annotations

import os
from pathlib import Path

from aurorad import procfs
from aurorad.ending import KEEPER


def keep(directory: Path) -> None:
    """Fork. Returns in the child, which is kept; the parent never does, and is found by its place, `directory`.

    Raises `OSError` before anything was forked.
    """
    procfs.become_subreaper()
    if os.fork() == 0:
        return
    try:
        os.chdir(directory)
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        procfs.show_as(KEEPER)
        while True:
            os.waitpid(-1, 0)
    finally:
        os._exit(0)  # ChildProcessError: none is left


def keepers(directory: Path, among: dict[int, procfs.ProcessInfo]) -> list[int]:
    """The keepers of executors, of now and before, that were started in `directory`."""
    return [pid for pid, process in among.items() if process.name == KEEPER and _works_in(pid, directory)]


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")) == directory
    except OSError:  # gone, or of another user
        return False
