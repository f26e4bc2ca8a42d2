"""Ended runs go when they are too old, too much, or in the way of others (`aurorad.engine.retention`).

What still runs is never looked at: a run has ended when its executor is gone and all its updates are acknowledged.
Tasks may have left anything in their sandboxes, so nothing is removed but by `aurorad.folders`.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import trio

from aurorad import folders
from aurorad.engine.local.runs import Runs
from aurorad.engine.retention import Disk, Ended, Policy, collectable
from aurorad.vars import Vars

GC_INTERVAL_S = 60.0
_TURN_S = 0.1  # of work in a thread, after which a daemon that shall stop may do so

_log = logging.getLogger(__name__)


class GarbageCollector:
    """Removes ended runs of an agent. `headroom` is the part of the disk below `place` that shall stay free."""

    def __init__(
        self, runs: Runs, place: Path, policy: Policy, headroom: float, now_ms: Callable[[], int], stats: Vars
    ) -> None:
        self._runs, self._place = runs, place
        self._policy, self._headroom = policy, headroom
        self._now_ms, self._stats = now_ms, stats
        self._sizes: dict[str, int] = {}  # of runs that are kept: they do not change any more
        self._stuck: set[str] = set()
        self.collected = trio.Event()
        """Set once all was looked at for the first time."""
        stats.declare("gc_runs_removed", "gc_bytes_removed", "gc_failures")
        stats.gauge("gc_runs_kept", lambda: len(self._sizes))
        stats.gauge("gc_bytes_kept", lambda: sum(self._sizes.values()))

    async def run(self) -> None:
        while True:
            await self._collect()
            self.collected.set()
            await trio.sleep(GC_INTERVAL_S)

    async def _collect(self) -> None:
        ended = await trio.to_thread.run_sync(self._runs.ended)
        self._sizes = {run_id: size for run_id, size in self._sizes.items() if run_id in ended}
        self._stuck &= ended.keys()
        for run_id in ended.keys() - self._sizes.keys():
            try:
                self._sizes[run_id] = await _in_turns(folders.sizes(self._runs.place_of(run_id)))
            except ValueError as error:
                self._fail(run_id, error)
        kept = [Ended(run_id, ended[run_id], size) for run_id, size in self._sizes.items()]
        for run in collectable(kept, self._policy, self._now_ms() / 1000, self._disk()):
            try:
                await _in_turns(folders.removal(self._runs.place_of(run.id)))
                await trio.to_thread.run_sync(self._runs.forget, run.id)
            except OSError as error:  # what could be removed is gone
                self._fail(run.id, error)
            else:
                self._removed(run)

    def _removed(self, run: Ended) -> None:
        age_h = (self._now_ms() / 1000 - run.ended_s) / 3600
        _log.info("removed run %s, which ended %.1f hours ago: %d bytes", run.id, age_h, run.size_bytes)
        del self._sizes[run.id]
        self._stats.count("gc_runs_removed")
        self._stats.count("gc_bytes_removed", run.size_bytes)

    def _fail(self, run_id: str, error: Exception) -> None:
        """It is tried again each time, and said once."""
        self._stats.count("gc_failures")
        if run_id not in self._stuck:
            _log.warning("cannot remove run %s, which has ended: %s", run_id, error)
        self._stuck.add(run_id)

    def _disk(self) -> Disk:
        status = os.statvfs(self._place)
        return Disk(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize, self._headroom)


async def _in_turns(parts: Iterator[int]) -> int:
    """The sum of all parts, made in threads, a little at a time."""
    total = 0
    while True:
        some, over = await trio.to_thread.run_sync(functools.partial(_turn, parts))
        total += some
        if over:
            return total


def _turn(parts: Iterator[int]) -> tuple[int, bool]:
    total, end_s = 0, time.monotonic() + _TURN_S
    for part in parts:
        total += part
        if time.monotonic() > end_s:
            return total, False
    return total, True
