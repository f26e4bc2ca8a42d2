"""Keeps the database near the log: collects what became durable, and writes it now and then, off the event loop."""

from __future__ import annotations

import itertools
import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from aurorad.storage.database import Database, discard
from aurorad.storage.tables import Changes, Table
from aurorad.vars import Vars

_logger = logging.getLogger(__name__)

# How far the database may lag, and twice as long as writing takes if that is longer. What changes several times
# meanwhile is written once.
INTERVAL_S = 1.0
RETRY_S = 5.0
MOST_TOGETHER = 80_000
"""Tasks noted in one dictionary: one of a million would hold everybody up when it grows."""
SWEEP_INTERVAL_S = 3600.0


class Materialiser:
    """Writes rows into `database` in batches, each with the position it stands for. `run` must run.

    The state in memory does not depend on it: a database that cannot be written now is tried again, and one that is
    damaged is thrown away, to be rebuilt from the log at the next start.
    """

    def __init__(
        self, path: Path, database: Database | None, unwritten: dict[Table, dict[Any, Any]], position: int, stats: Vars
    ) -> None:
        """`database` is the one at `path`, to which `unwritten` is lacking to be at `position` of the log.

        None makes it create a new one; `unwritten` are all rows then.
        """
        self._path = path
        self._database = database
        self._stats = stats
        self._dirty = [_nothing() | unwritten]
        self._position = position
        self._written = -1 if any(unwritten.values()) or database is None else position
        self._wake = trio.Event()
        self._replaced = False
        self._gave_up = False
        self._sweep_at = -float("inf")
        stats.declare("storage_database_failures")
        stats.gauge("storage_database_lag", lambda: self._position - self._written)
        if self._written < position:
            self._wake.set()

    def follow(self, position: int, changes: Changes) -> None:
        """Take note of what changed in the log up to `position`."""
        self._position = position
        if not self._gave_up:
            if len(self._dirty[-1][Table.TASKS]) >= MOST_TOGETHER:
                self._dirty.append(_nothing())
            changes.note_in(self._dirty[-1])
            self._wake.set()

    def reach(self, position: int) -> None:
        """Nothing changed up to `position`: a database left behind there would be older than a log that is cut soon."""
        if position > self._position:
            self.follow(position, Changes())

    def begin_anew(self, position: int, rows: dict[Table, dict[Any, Any]]) -> None:
        """The log at `position` stands for `rows` and nothing else: what was written before is thrown away."""
        self._position, self._dirty, self._replaced = position, [_nothing() | rows], True
        if not self._gave_up:
            self._wake.set()

    async def run(self) -> None:
        while not self._gave_up:
            await self._wake.wait()
            self._wake = trio.Event()
            began = trio.current_time()
            await self._write()
            await trio.sleep(max(INTERVAL_S, trio.current_time() - began))

    def close(self) -> None:
        """After `run` has ended."""
        if self._database is not None:
            self._database.close()

    async def _write(self) -> None:
        dirty, self._dirty, position = self._dirty, [_nothing()], self._position
        if self._replaced:
            self._replaced = False
            await trio.to_thread.run_sync(self._discard)
        try:
            # Not abandoned when cancelled: whoever closes the database then must not meet the thread.
            await trio.to_thread.run_sync(self._apply, dirty, position)
            self._written = position
        except sqlite3.OperationalError as error:  # no room, or someone holds a lock
            self._failed("cannot be written now", error)
            if not self._replaced:
                self._dirty = dirty + self._dirty
            self._wake.set()
            await trio.sleep(RETRY_S)
        except sqlite3.Error as error:
            self._failed("is damaged; it is thrown away, and the next start rebuilds it from the log", error)
            self._gave_up = True
            self._dirty = [_nothing()]
            await trio.to_thread.run_sync(self._discard)

    def _apply(self, dirty: Sequence[Mapping[Table, dict[Any, Any]]], position: int) -> None:
        """Empties `dirty`, unless it fails: to let go of a million rows takes time, too."""
        if self._database is None:
            discard(self._path)
            self._database = Database(self._path)
        self._database.apply(dirty, position)
        for rows in itertools.chain.from_iterable(batch.values() for batch in dirty):
            while rows:
                rows.popitem()
        if time.monotonic() >= self._sweep_at:
            self._database.sweep()
            self._sweep_at = time.monotonic() + SWEEP_INTERVAL_S

    def _discard(self) -> None:
        self.close()
        self._database = None
        discard(self._path)

    def _failed(self, what: str, error: sqlite3.Error) -> None:
        self._stats.count("storage_database_failures")
        _logger.warning("%s %s: %s", self._path, what, error)


def _nothing() -> dict[Table, dict[Any, Any]]:
    return {table: {} for table in Table}
