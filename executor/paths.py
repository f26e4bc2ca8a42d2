"""Where a task's files are, in one place (thermos-runner sheet, section 1)."""

from __future__ import annotations

import dataclasses
import glob
import os
from pathlib import Path
from typing import NamedTuple

CHECKPOINTS = "checkpoints"  # the checkpoint root, within the executor's run directory
SANDBOX = "sandbox"
TASK_FILE_SYSTEM = "taskfs"  # an image, where an agent puts it in the run directory
LOGS = ".logs"  # within the sandbox
PROFILE = ".thermos_profile"  # within the sandbox; sourced by every later process
HEALTH_CHECK_SNOOZE = ".healthchecksnooze"  # within the sandbox


class RunDirectory(NamedTuple):
    """An executor's directory: its `path` on the host, and where the executor has it `mounted`, as MESOS_DIRECTORY and
    MESOS_SANDBOX say. The two differ only within a Docker container.
    """

    path: Path
    mounted: Path

    @property
    def sandbox(self) -> Path:
        """The task's own part of it."""
        return self.path / SANDBOX


@dataclasses.dataclass(frozen=True)
class TaskPaths:
    """The files of one task under a checkpoint root. `task_id` must be a plain file name: `ValueError` otherwise."""

    root: Path
    task_id: str

    def __post_init__(self) -> None:
        _file_name("task id", self.task_id)

    @property
    def active(self) -> Path:
        """The task's description while it runs."""
        return self.root / "tasks" / "active" / self.task_id

    @property
    def finished(self) -> Path:
        """The same file once the task is over."""
        return self.root / "tasks" / "finished" / self.task_id

    @property
    def runner(self) -> Path:
        """The runner's stream of checkpoints."""
        return self.root / CHECKPOINTS / self.task_id / "runner"

    @property
    def verdict(self) -> Path:
        """Why an executor began to end the task; for one that takes over while it ends."""
        return self.runner.with_name("verdict")

    def retire(self) -> None:
        """Files an ended task's description under the finished ones, if that has not been done."""
        if self.active.exists():
            self.finished.parent.mkdir(parents=True, exist_ok=True)
            self.active.rename(self.finished)
            os.utime(self.finished)

    def coordinator(self, process: str) -> Path:
        """One process's stream, over all its runs."""
        return self.root / CHECKPOINTS / self.task_id / f"coordinator.{_file_name('process name', process)}"


def log_directory(log_base: Path, process: str, run: int) -> Path:
    """Holds `stdout` and `stderr` of one run; runs count from 0. `log_base` is the header's `log_dir`."""
    return log_base / _file_name("process name", process) / str(run)


def active_tasks(root: Path) -> list[str]:
    """Ids of the tasks that run, or whose runner left them so."""
    return _names(root / "tasks" / "active")


def finished_tasks(root: Path) -> list[str]:
    return _names(root / "tasks" / "finished")


def _names(directory: Path) -> list[str]:
    """File names in it; what starts with a dot is still being written. None of a folder that is not ours to read."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted(name for name in names if not name.startswith("."))


def _file_name(what: str, name: str) -> str:
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ValueError(f"{what} {name!r}: expected a name without '/' that does not start with '.'")
    return name


def checkpoint_roots(mesos_root: Path) -> list[Path]:
    """The checkpoint roots of all runs on an agent whose work directory this is; links to runs are left out."""
    # Not `Path.glob`, which stops where it may not look.
    runs = os.path.join(glob.escape(str(mesos_root)), "slaves/*/frameworks/*/executors/*/runs/*", CHECKPOINTS)
    return sorted(Path(root) for root in glob.glob(runs) if os.path.isdir(root) and not Path(root).parent.is_symlink())
