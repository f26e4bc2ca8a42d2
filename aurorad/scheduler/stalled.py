"""How long what should move on has not moved, as statistics for those who watch over a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection

import trio

from aurorad.api.enums import JobUpdateStatus
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules.task_states import last_change_ms
from aurorad.scheduler.groups import Group
from aurorad.storage.tables import Tables
from aurorad.vars import Vars

_ROLLING = (JobUpdateStatus.ROLLING_FORWARD, JobUpdateStatus.ROLLING_BACK)
"""Others are over, or wait for somebody: to be resumed, or for a pulse."""


class Stalled:
    """Looked at every `-async_slot_stat_update_interval`, a little at a time."""

    def __init__(
        self,
        *,
        tables: Tables,
        groups: Callable[[], Collection[Group]],
        flags: Flags,
        stats: Vars,
        now_ms: Callable[[], int],
    ) -> None:
        """`groups` gives the groups of pending tasks."""
        self._tables = tables
        self._groups = groups
        self._every_s = flags.async_slot_stat_update_interval
        self._now_ms = now_ms
        self._pending_ms = 0
        self._update_ms = 0
        self._rolling = 0
        stats.gauge("tasks_pending_longest_secs", lambda: self._pending_ms // 1000)
        stats.gauge("job_updates_rolling", lambda: self._rolling)
        stats.gauge("job_updates_idle_longest_secs", lambda: self._update_ms // 1000)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await trio.sleep(self._every_s)

    async def look(self) -> None:
        """Of each group the first in its line counts: it waits longest."""
        pace, since_ms = Pace(), self._now_ms()
        for group in list(self._groups()):
            first = self._tables.task(next(iter(group.queue), ""))
            if first is not None:
                since_ms = min(since_ms, last_change_ms(first))
            await pace.breathe()
        self._pending_ms = self._now_ms() - since_ms
        rolling = [
            state.last_modified_timestamp_ms
            for update in self._tables.active_updates()
            if (state := update.update.summary.state) is not None and state.status in _ROLLING
        ]
        self._rolling = len(rolling)
        self._update_ms = max(0, self._now_ms() - min(rolling, default=self._now_ms()))
