"""Saves the state into files of the original's format, now and then, and reads such files (storage sheet, A7)."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

import trio

from aurorad.log.errors import LogFull
from aurorad.pace import Pace
from aurorad.rules.tiers import Tiers
from aurorad.storage import backup_format
from aurorad.storage.backup_folder import BackupFolder, NewBackup, name_at
from aurorad.storage.backup_format import UnreadableBackup
from aurorad.storage.storage import OutcomeUnknown, Storage, StorageNotReady
from aurorad.storage.tables import Table, Tables
from aurorad.vars import Vars

_logger = logging.getLogger(__name__)

_WRITE_BYTES = 1 << 20
_LOAD_ROWS = 50
_REST_S = 0.001
"""Between some rows and the next, for the thread that reads them: the event loop needs the interpreter more."""

EARLY = 0.05
"""Snapshots come when they come: one that is early by this part of the interval shall not cost a whole one."""


class CannotLoad(Exception):
    """A file is no backup that can be loaded. The text says why."""


class Backups:
    """Takes a backup when a snapshot was taken and `interval_s` has passed. `run` must run for that."""

    def __init__(
        self,
        storage: Storage,
        folder: BackupFolder,
        interval_s: float,
        tiers: Tiers,
        now_ms: Callable[[], int],
        stats: Vars,
    ) -> None:
        self._storage = storage
        self._folder = folder
        self._interval_s = interval_s
        self._tiers = tiers
        self._now_ms = now_ms
        self._stats = stats
        self._lock = trio.Lock()
        stats.declare("scheduler_backup_success", "scheduler_backup_failed")

    async def run(self) -> None:
        last = trio.current_time()
        while True:
            await self._storage.snapshot_taken.wait()
            now = trio.current_time()
            if now - last >= self._interval_s * (1 - EARLY):
                last = now
                await self.take()

    async def take(self) -> None:
        """Save the state as it is now. That it failed is counted and logged, no more.

        If cancelled, nothing is saved.
        """
        async with self._lock:
            try:
                await self._save()
            except (OSError, LogFull, StorageNotReady, OutcomeUnknown) as error:
                self._stats.count("scheduler_backup_failed")
                _logger.error("There is no new backup in %s: %s", self._folder.path, error)
            else:
                self._stats.count("scheduler_backup_success")

    async def names(self) -> list[str]:
        """Raises `OSError`."""
        return await trio.to_thread.run_sync(self._folder.names)

    async def load(self, name: str) -> Tables:
        """What the file of that name holds. Raises `NoSuchBackup`, `CannotLoad`."""
        load = partial(loaded, self._folder, name, self._tiers)
        return await trio.to_thread.run_sync(load, abandon_on_cancel=True)

    async def _save(self) -> None:
        started = trio.current_time()
        now_ms, refusals = self._now_ms(), self._storage.refusals
        with self._storage.tables.frozen() as (tasks, rows):
            task_count = len(self._storage.tables.rows(Table.TASKS))
            pieces = backup_format.encoded(now_ms, task_count, tasks.jobs(), rows)
            name = name_at(now_ms)
            new = await trio.to_thread.run_sync(self._folder.create, name)
            try:
                size = await _write(new, pieces)
                await self._storage.settled()
                if self._storage.refusals != refusals:
                    raise LogFull("the log refused and undid some of what it would hold")
                await trio.to_thread.run_sync(new.finish)
            finally:
                with trio.CancelScope(shield=True), contextlib.suppress(OSError):
                    await trio.to_thread.run_sync(new.abandon)
        await trio.to_thread.run_sync(self._folder.prune)
        _logger.info("%s: %d bytes in %.1f s", self._folder.path / name, size, trio.current_time() - started)


async def _write(new: NewBackup, pieces: Iterable[bytes]) -> int:
    """How many bytes it was."""
    pace, some, size = Pace(), bytearray(), 0
    for piece in pieces:
        some += piece
        if len(some) >= _WRITE_BYTES:
            size += len(some)
            await trio.to_thread.run_sync(new.write, bytes(some))
            some.clear()
        await pace.breathe()
    await trio.to_thread.run_sync(new.write, bytes(some))
    return size + len(some)


def loaded(folder: BackupFolder, name: str, tiers: Tiers) -> Tables:
    """What the file of that name holds; blocks. Raises `NoSuchBackup`, `CannotLoad`."""
    path, tables = folder.path / name, Tables()
    try:
        rows = backup_format.decoded(folder.read(name), tiers)
        while some := list(itertools.islice(rows, _LOAD_ROWS)):
            tables.load(some)
            time.sleep(_REST_S)
    except UnreadableBackup as error:
        raise CannotLoad(f"Failed to decode backup {path}: {error}") from None
    except OSError as error:
        raise CannotLoad(f"Failed to read backup {path}: {error.strerror}") from None
    return tables
