"""Where tasks are on disk: checkpoint roots, and the tasks within (observer sheet, section 2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from executor.paths import CHECKPOINTS, TaskPaths


class Found(NamedTuple):
    """A task, where its files are, and when its task file was last changed (ns since the epoch)."""

    paths: TaskPaths
    finished: bool
    mtime_ns: int


class Finder:
    """Looks for tasks, again and again.

    An executor has one task. Once that has ended nothing changes there, so that only a `full` scan looks again.
    """

    def __init__(self, mesos_root: Path | None, other_roots: Iterable[Path] = ()) -> None:
        """`mesos_root` is the agent's work directory; `other_roots` are checkpoint roots with any number of tasks."""
        self._mesos_root = mesos_root
        self._other_roots = tuple(other_roots)
        self._settled: dict[str, tuple[Found, ...]] = {}  # by folder of the executor

    def scan(self, *, full: bool = False) -> dict[str, Found]:
        """All tasks by id; of those with the same id one that runs, else the newest."""
        settled = {} if full else self._settled
        self._settled = {}
        found: dict[str, Found] = {}
        for executor in self._executors():
            tasks = settled.get(executor)
            if tasks is None:
                tasks = _of_executor(executor)
            if tasks and all(task.finished for task in tasks):
                self._settled[executor] = tasks
            _choose(found, tasks)
        for root in self._other_roots:
            _choose(found, _tasks(root))
        return found

    def _executors(self) -> Iterator[str]:
        """``slaves/*/frameworks/*/executors/*``."""
        if self._mesos_root is None:
            return
        for slave in _folders(f"{self._mesos_root}/slaves"):
            for framework in _folders(f"{slave}/frameworks"):
                yield from _folders(f"{framework}/executors")


def _of_executor(executor: str) -> tuple[Found, ...]:
    """The tasks of all its runs; links to runs are left out."""
    roots = [Path(run, CHECKPOINTS) for run in _folders(f"{executor}/runs")]
    return tuple(task for root in roots for task in _tasks(root))


def _folders(parent: str) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
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
