"""How storage starts: the state is the database's, if there is a good one, and then all that the log has after it."""

from __future__ import annotations

import gc
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trio

from aurorad.log.face import Log
from aurorad.log.local import LocalLog
from aurorad.storage import database, gauges
from aurorad.storage.database import Database, DatabaseUnusable
from aurorad.storage.entries import UnreadableLog
from aurorad.storage.materialise import Materialiser
from aurorad.storage.replay import ReplacedMeanwhile, Replay
from aurorad.storage.shared import Shared
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import MAX_ENTRY_BYTES, Storage
from aurorad.storage.tables import Changes, Table, Tables
from aurorad.vars import Vars

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_storage(
    folder: Path,
    *,
    stats: Vars,
    now_ms: Callable[[], int],
    max_entry_bytes: int = MAX_ENTRY_BYTES,
    snapshot_interval_s: float = 3600.0,
) -> AsyncIterator[Storage]:
    """The storage of a cluster of one, kept in `folder`: ``log/`` and ``state.db``. It serves until the block ends.

    Raises `LogInUse`, `LogDamaged`, `UnreadableLog`, or `OSError`. While the block runs, an error of the disk that the
    log cannot survive cancels it, and comes out in an exception group.
    """
    await trio.to_thread.run_sync(lambda: folder.mkdir(mode=0o700, parents=True, exist_ok=True))
    log = await LocalLog.open(folder / "log", stats)
    try:
        recovered = await recover(log, folder / "state.db", stats)
        materialiser = Materialiser(folder / "state.db", recovered.database, recovered.unwritten, log.end - 1, stats)
        try:
            storage = Storage(log, recovered.tables, max_entry_bytes, materialiser.follow)
            snapshots = Snapshots(storage, log, stats, now_ms, snapshot_interval_s, recovered.transactions)
            storage.snapshot, storage.replace = snapshots.ordered, snapshots.replace
            gauges.export(recovered.tables, stats)
            async with trio.open_nursery() as nursery:
                await nursery.start(storage.run)
                nursery.start_soon(materialiser.run)
                nursery.start_soon(snapshots.run)
                yield storage
                nursery.cancel_scope.cancel()
        finally:
            materialiser.close()
    finally:
        await log.aclose()


class Recovered(NamedTuple):
    """The state at the end of a log."""

    tables: Tables
    database: Database | None
    unwritten: dict[Table, dict[Any, Any]]
    """What the database lacks; without one, everything."""
    transactions: int
    """How many were read that are in no snapshot."""


class _Loaded(NamedTuple):
    database: Database
    tables: Tables
    position: int


async def recover(log: Log, path: Path, stats: Vars) -> Recovered:
    """Read the state, from the database at `path` as far as it goes; in threads, so that nothing holds the event loop.

    A database that is damaged, older than the log reaches back, or ahead of it, is thrown away; not one beside an empty
    log, which must have been lost. Raises `UnreadableLog`, `LogDamaged`.
    """
    started = trio.current_time()
    with _garbage_collection_paused():
        try:
            recovered = await _recover(log, path, stats)
        except ReplacedMeanwhile as replaced:
            _logger.warning("%s is of no use and is built anew from the log: %s", path, replaced)
            database.discard(path)
            recovered = await _recover(log, path, stats)
    stats.observe("scheduler_storage_recover", trio.current_time() - started)
    return recovered


async def _recover(log: Log, path: Path, stats: Vars) -> Recovered:
    shared = Shared()
    loaded = await trio.to_thread.run_sync(_load, path, log, shared, stats)
    empty = Tables(stats) if log.begin == 0 else None
    replay = Replay(loaded.tables if loaded else empty, stats, shared)
    unwritten: dict[Table, dict[Any, Any]] = {table: {} for table in Table}
    try:
        async for records in log.read(loaded.position + 1 if loaded else log.begin):
            await trio.to_thread.run_sync(_feed, replay, records, unwritten if loaded else None)
        if replay.tables is None:
            raise UnreadableLog(f"The log begins at position {log.begin} and holds no whole snapshot")
    except BaseException:
        if loaded:
            loaded.database.close()
        raise
    if not loaded:
        unwritten = await trio.to_thread.run_sync(replay.tables.copy)
    return Recovered(replay.tables, loaded.database if loaded else None, unwritten, replay.transactions)


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Reading makes much that lives on and nothing cyclic: searching it again and again would hold the event loop."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _load(path: Path, log: Log, shared: Shared, stats: Vars) -> _Loaded | None:
    """What the database holds; None if there is none, and none any more, that can be used."""
    if not path.exists():
        return None
    try:
        found = Database(path)
        try:
            _refuse_lost_log(log, path, found.position())
            return _Loaded(found, *_state(found, log, shared, stats))
        except BaseException:
            found.close()
            raise
    except (sqlite3.Error, DatabaseUnusable) as error:
        _logger.warning("%s is of no use and is built anew from the log: %s", path, error)
        database.discard(path)
        return None


def _refuse_lost_log(log: Log, path: Path, position: int | None) -> None:
    if log.end == 0 and position is not None and position >= 0:
        raise UnreadableLog(
            f"{path} stands for position {position} of a log, but the one in {path.parent / 'log'} is empty: "
            f"put that log back, or remove {path.name} to begin with nothing"
        )


def _state(found: Database, log: Log, shared: Shared, stats: Vars) -> tuple[Tables, int]:
    position = found.position()
    if position is None:
        raise DatabaseUnusable("it holds nothing yet")
    if not log.begin <= position + 1 <= log.end:
        raise DatabaseUnusable(f"it is at position {position}, the log has those from {log.begin} to {log.end - 1}")
    tables = Tables(stats)
    for some in found.load(shared):
        tables.load(some)
    return tables, position


def _feed(replay: Replay, records: list[tuple[int, bytes]], unwritten: dict[Table, dict[Any, Any]] | None) -> None:
    changes = Changes() if unwritten is not None else None
    for position, record in records:
        replay.feed(position, record, changes)
    if changes is not None and unwritten is not None:
        changes.note_in(unwritten)
