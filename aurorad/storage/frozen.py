"""The tasks as they were at one moment, read job by job while writers go on.

A million tasks cannot be copied at once: that alone would hold the event loop. So whoever changes a task in the
meantime leaves behind what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aurorad.api.tasks import JobKey, ScheduledTask
from aurorad.storage.task_rows import TaskRows


class FrozenTasks:
    """What `tasks` hold now; `note` must hear of every change from now on, before or after it is made."""

    def __init__(self, tasks: TaskRows) -> None:
        self._tasks = tasks
        self._jobs = list(tasks.jobs())
        self._read: set[JobKey] = set()
        self._before: dict[str, ScheduledTask | None] = {}
        """Of tasks that changed: what they were, None if that was read already, or if they were not there."""

    def note(self, task_id: str, before: ScheduledTask | None) -> None:
        """A task changes; only its first change matters."""
        if task_id not in self._before:
            is_unread = before is not None and before.assigned_task.task.job not in self._read
            self._before[task_id] = before if is_unread else None

    def note_new(self, task_ids: Iterable[str]) -> None:
        """Tasks are created."""
        for task_id in task_ids:
            self._before.setdefault(task_id, None)

    def jobs(self) -> Iterator[list[ScheduledTask]]:
        """All tasks, those of one job at a time; then those that were removed before their job was read."""
        for job in self._jobs:
            self._read.add(job)
            changed = self._before
            every = (
                task if (task_id := task.assigned_task.task_id) not in changed else self._take(task_id)
                for task in self._tasks.of_job(job)
            )
            yield [task for task in every if task is not None]
        yield [was for was in self._before.values() if was is not None]

    def _take(self, task_id: str) -> ScheduledTask | None:
        was, self._before[task_id] = self._before[task_id], None
        return was
