"""What is counted of state changes (task-state-machine sheet, 12)."""

from __future__ import annotations

from aurorad.api import keys
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.rules import admission, matching
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import Storage
from aurorad.vars import Vars


class TaskStats:
    """Who loses tasks: jobs, racks, dedicated hosts."""

    def __init__(self, *, storage: Storage, stats: Vars) -> None:
        self._storage = storage
        self._stats = stats

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change; of what was there at the start nothing is counted."""
        before, after = change.before, change.after
        if before is None or after is None or before.status is after.status:
            return
        if after.status in (ScheduleStatus.LOST, ScheduleStatus.FAILED):
            self._stats.count(f"tasks_{after.status.name}_{keys.canonical(after.assigned_task.task.job)}")
        if after.status is ScheduleStatus.LOST:
            self._count_lost(after)

    def _count_lost(self, task: ScheduledTask) -> None:
        host = self._storage.tables.hosts.get(task.assigned_task.slave_host or "")
        if host is None:
            return
        values = matching.values_of(host.attributes)
        for rack in values.get("rack", ()):
            self._stats.count(f"tasks_lost_rack_{rack}")
        for role in values.get(admission.DEDICATED, ()):
            self._stats.count(f"tasks_lost_dedicated_{role.replace('*', '_')}")
