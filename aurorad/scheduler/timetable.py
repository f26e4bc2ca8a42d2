"""When which cron job fires next, by the wall clock: one heap, however many jobs there are."""

from __future__ import annotations

import heapq
import itertools
from datetime import tzinfo
from typing import NamedTuple

from aurorad.api.tasks import JobKey
from aurorad.rules.cron import Crontab

_SLACK = 64  # forgotten entries that are not worth clearing away

LONGEST_SLIP_MS = 3 * 3600 * 1000
"""A clock set back by less was a little wrong, and what was fired is not fired again; by more, and it meant nothing."""


class _Row(NamedTuple):
    crontab: Crontab
    due_ms: int
    fired_ms: int


class Timetable:
    """Times are ms since the epoch, and always told by the caller: there is no clock in here."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._rows: dict[JobKey, _Row] = {}
        self._heap: list[tuple[int, int, JobKey]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._rows)

    def set(self, job: JobKey, crontab: Crontab, now_ms: int) -> None:
        """Put the job in, or give it another schedule: what it has fired so far counts for nothing."""
        self._put(job, crontab, now_ms, fired_ms=0)

    def remove(self, job: JobKey) -> None:
        """Forget the job, if it is there."""
        self._rows.pop(job, None)

    def jobs(self) -> list[JobKey]:
        return list(self._rows)

    def next_ms(self) -> int | None:
        """When the next job is due; None if there are none."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_ms: int, most: int) -> list[JobKey]:
        """Jobs whose time has come, earliest first; each fires once, however often it was due, and then after now."""
        due: list[JobKey] = []
        while len(due) < most:
            next_ms = self.next_ms()
            if next_ms is None or next_ms > now_ms:
                break
            _, _, job = heapq.heappop(self._heap)
            self._put(job, self._rows[job].crontab, now_ms, fired_ms=now_ms)
            due.append(job)
        return due

    def clock_set_back(self, job: JobKey, now_ms: int) -> None:
        """Give the job, if it is there, the time that it has on a clock that shows `now_ms` again.

        What it fired after that is not repeated, unless it fires in every hour: then it shall not pause for hours.
        """
        row = self._rows.get(job)
        if row is None:
            return
        repeats = row.crontab.is_hourly or row.fired_ms - now_ms > LONGEST_SLIP_MS
        self._put(job, row.crontab, now_ms if repeats else max(now_ms, row.fired_ms), row.fired_ms)

    def _put(self, job: JobKey, crontab: Crontab, after_ms: int, fired_ms: int) -> None:
        due_ms = crontab.next_ms(after_ms, self._zone)
        self._rows[job] = _Row(crontab, due_ms, fired_ms)
        heapq.heappush(self._heap, (due_ms, next(self._order), job))
        if len(self._heap) > 2 * len(self._rows) + _SLACK:
            self._heap = [entry for entry in self._heap if not self._is_stale(entry)]
            heapq.heapify(self._heap)

    def _drop_stale(self) -> None:
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)

    def _is_stale(self, entry: tuple[int, int, JobKey]) -> bool:
        due_ms, _, job = entry
        row = self._rows.get(job)
        return row is None or row.due_ms != due_ms
