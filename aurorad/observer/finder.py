"""Where tasks are on disk: checkpoint roots, and the tasks within (observer sheet, section 2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from executor.paths import TaskPaths


class Found(NamedTuple):
    """A task, where its files are, and when its task file was last changed (ns since the epoch)."""

    paths: TaskPaths
    finished: bool
    mtime_ns: int


class Finder:
    """Looks for tasks, again and again.

    What has come to its end in the run of an executor stays as it is, so that only a `full` scan looks there again.
    """

    def __init__(self, mesos_root: Path | None, other_roots: Iterable[Path] = ()) -> None:
        """`mesos_root` is the agent's work directory; `other_roots` are checkpoint roots with any number of tasks."""
        self._mesos_root = mesos_root
        self._other_roots = tuple(other_roots)
        self._settled: dict[Path, tuple[Found, ...]] = {}

    def scan(self, *, full: bool = False) -> dict[str, Found]:
        """All tasks by id; of those with the same id one that runs, else the newest."""
        if full:
            self._settled.clear()
        found: dict[str, Found] = {}
        seen: set[Path] = set()
        for root in self._run_roots():
            seen.add(root)
            tasks = self._settled.get(root)
            if tasks is None:
                tasks = tuple(_tasks(root))
                if tasks and all(task.finished for task in tasks):
                    self._settled[root] = tasks
            _choose(found, tasks)
        self._settled = {root: tasks for root, tasks in self._settled.items() if root in seen}
        for root in self._other_roots:
            _choose(found, _tasks(root))
        return found

    def _run_roots(self) -> Iterator[Path]:
        """``slaves/*/frameworks/*/executors/*/runs/*/checkpoints``, links to runs left out."""
        if self._mesos_root is None:
            return
        for slave in _folders(self._mesos_root / "slaves"):
            for framework in _folders(slave / "frameworks"):
                for executor in _folders(framework / "executors"):
                    for run in _folders(executor / "runs"):
                        yield run / "checkpoints"


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # not there, not any more, or not ours to read
        return []


def _tasks(root: Path) -> Iterator[Found]:
    for state, finished in (("active", False), ("finished", True)):
        try:
            with os.scandir(root / "tasks" / state) as entries:
                for entry in entries:
                    found = _task(root, entry, finished)
                    if found is not None:
                        yield found
        except OSError:
            continue


def _task(root: Path, entry: os.DirEntry[str], finished: bool) -> Found | None:
    if any(c.isspace() for c in entry.name):
        return None
    try:
        return Found(TaskPaths(root, entry.name), finished, entry.stat(follow_symlinks=False).st_mtime_ns)
    except (ValueError, FileNotFoundError):  # not a task's file name, or moved just now
        return None


def _choose(found: dict[str, Found], tasks: Iterable[Found]) -> None:
    for task in tasks:
        rival = found.get(task.paths.task_id)
        if rival is None or (not task.finished, task.mtime_ns) > (not rival.finished, rival.mtime_ns):
            found[task.paths.task_id] = task
