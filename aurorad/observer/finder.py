"""Where tasks are on disk: checkpoint roots, and the tasks within (observer sheet, section 2)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from aurorad.observer import walk
from aurorad.observer.places import Root, root_of_run
from aurorad.observer.walk import Refused, place_at
from executor.paths import TaskPaths

LOOKED_AT_AGAIN_WITHIN = 30  # scans
_MOST_IN_RUN = 100  # tasks of one run: an executor has one, but its user may put anything there
_FOLDERS = (("active", False), ("finished", True))


class Found(NamedTuple):
    """A task, where its files are, and when its task file was last changed (ns since the epoch).

    `own` is whether the executor that it was found with was made for it, and goes by its name.
    """

    root: Root
    task_id: str
    finished: bool
    mtime_ns: int
    own: bool = True


class Finder:
    """Looks for tasks, again and again.

    An executor has one task. Once that has ended nothing changes there, so that each scan looks again only at some of
    those.
    """

    def __init__(self, mesos_roots: Iterable[Path], other_roots: Iterable[Path] = ()) -> None:
        """`mesos_roots` are work directories of agents, `other_roots` checkpoint roots with any number of tasks."""
        self._mesos_roots = tuple(mesos_roots)
        self._other_roots = tuple(other_roots)
        self._settled: dict[str, tuple[Found, ...]] = {}  # by folder of the executor
        self._scans = 0

    def scan(self) -> dict[str, Found]:
        """All tasks by id; of those with the same id its own executor's, then one that runs, then the newest."""
        settled, self._settled = self._settled, {}
        self._scans += 1
        found: dict[str, Found] = {}
        for number, executor in enumerate(self._executors(), self._scans):
            tasks = settled.get(executor)
            if tasks is None or number % LOOKED_AT_AGAIN_WITHIN == 0:
                tasks = _of_executor(executor)
            if tasks and all(task.finished for task in tasks):
                self._settled[executor] = tasks
            _choose(found, tasks)
        for other in self._other_roots:
            _choose(found, _tasks(Root(place_at(other)), None))
        return found

    def _executors(self) -> Iterator[str]:
        """``slaves/*/frameworks/*/executors/*``."""
        for mesos_root in self._mesos_roots:
            for slave in _folders(os.path.join(os.path.realpath(mesos_root), "slaves")):
                for framework in _folders(f"{slave}/frameworks"):
                    yield from _folders(f"{framework}/executors")


def _of_executor(executor: str) -> tuple[Found, ...]:
    """The tasks of all its runs; links to runs are left out."""
    name = os.path.basename(executor)
    return tuple(
        task
        for run in _folders(f"{executor}/runs")
        for task in itertools.islice(_tasks(root_of_run(run), name), _MOST_IN_RUN)
    )


def _folders(parent: str) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # not there, not any more, or not ours to read
        return []


def _tasks(root: Root, executor: str | None) -> Iterator[Found]:
    for state, finished in _FOLDERS:
        try:
            with walk.folder(root.place.below("tasks", state)) as fd, os.scandir(fd) as entries:
                for entry in entries:
                    found = _task(root, executor, entry, finished)
                    if found is not None:
                        yield found
        except (Refused, OSError):
            continue


def _task(root: Root, executor: str | None, entry: os.DirEntry[str], finished: bool) -> Found | None:
    name = entry.name
    try:
        name.encode()
        if any(c.isspace() for c in name) or not entry.is_file(follow_symlinks=False):
            return None
        TaskPaths(Path(), name)
        mtime_ns = entry.stat(follow_symlinks=False).st_mtime_ns
    except (ValueError, OSError):  # not a task's file name, or moved just now
        return None
    return Found(root, name, finished, mtime_ns, executor is None or executor.endswith(name))


def _choose(found: dict[str, Found], tasks: Iterable[Found]) -> None:
    for task in tasks:
        rival = found.get(task.task_id)
        if rival is None or _worth(task) > _worth(rival):
            found[task.task_id] = task


def _worth(task: Found) -> tuple[bool, bool, int]:
    return task.own, not task.finished, task.mtime_ns
