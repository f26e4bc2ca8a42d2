"""Where tasks are on this machine, and which of them somebody means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from aurorad.flags import Flags
from executor.paths import TaskPaths, active_tasks, checkpoint_roots, finished_tasks

DEFAULT_ROOT = Path("/var/run/thermos")
_MESOS_ROOT = Path("/var/lib/mesos")
_AGENT = "agent"  # within aurorad's work_dir
_SYSTEM_AGENT = Path("/var/lib/aurorad", _AGENT)


class Found(NamedTuple):
    """A task on disk."""

    paths: TaskPaths
    active: bool

    @property
    def task_id(self) -> str:
        return self.paths.task_id

    @property
    def description(self) -> Path:
        return self.paths.active if self.active else self.paths.finished


class BadPattern(ValueError):
    """No regular expression."""


class Roots(NamedTuple):
    """Where to look. `checkpoints` hold any number of tasks each, and new ones go into the first of them; `agents` are
    work directories of Mesos agents or of our own engine, with a checkpoint root for every executor's run.
    """

    checkpoints: tuple[Path, ...]
    agents: tuple[Path, ...]

    @classmethod
    def of(cls, roots: Sequence[Path], mesos_roots: Sequence[Path]) -> Self:
        """Those given, and then the usual ones."""
        agents = (*mesos_roots, _MESOS_ROOT, Flags().work_dir / _AGENT, _SYSTEM_AGENT)
        return cls(_absolute((*roots, DEFAULT_ROOT)), _absolute(agents))

    def tasks(self, patterns: Sequence[str] = (), only: str | None = None) -> Iterator[Found]:
        """Tasks whose id one of the regular expressions matches from its start; the active ones of a root first.

        `only` is ``active`` or ``finished``. Raises `BadPattern`.
        """
        wanted = matcher(patterns)
        roots = [*self.checkpoints, *(root for agent in self.agents for root in checkpoint_roots(agent))]
        for root in roots:
            for active, ids in ((True, active_tasks(root)), (False, finished_tasks(root))):
                if only in (None, "active" if active else "finished"):
                    yield from (Found(TaskPaths(root, task_id), active) for task_id in ids if wanted(task_id))

    def closed(self) -> list[Path]:
        """Those that are there, and not ours to look into."""
        return [
            root
            for root in (*self.checkpoints, *self.agents)
            if os.path.exists(root) and not os.access(root, os.R_OK | os.X_OK, effective_ids=True)
        ]


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a task is meant, by its id: without patterns every one is. Raises `BadPattern`."""
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise BadPattern(f"{error.pattern!r} is no regular expression: {error.msg}") from None
    return lambda task_id: not compiled or any(pattern.match(task_id) for pattern in compiled)


def _absolute(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Also what no shell has expanded, since it comes from ``~/.thermosrc``."""
    return tuple(dict.fromkeys(Path(os.path.expanduser(path)).absolute() for path in paths))
