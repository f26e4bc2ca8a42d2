"""How storage starts: the state is the database's, if there is a good one, and then all that the log has after it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import trio

from aurorad.garbage import making_what_stays
from aurorad.log.face import Log
from aurorad.storage import database
from aurorad.storage.database import Database, DatabaseUnusable
from aurorad.storage.entries import UnreadableLog
from aurorad.storage.replay import ReplacedMeanwhile, Replay
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Changes, Table, Tables
from aurorad.vars import Vars

_logger = logging.getLogger(__name__)


class Recovered(NamedTuple):
    """The state at the end of a log, as far as that is known."""

    replay: Replay
    """To be fed with what comes after `position`. It has no tables where the log begins with no whole snapshot yet."""
    position: int
    """Of the last entry that was read, -1 if there was none."""
    whole: int
    """The same, but not in the midst of an entry of several records: for the database, from which others go on."""
    shared: Shared
    """That of `replay`."""
    database: Database | None
    unwritten: dict[Table, dict[Any, Any]]
    """What the database lacks; without one, everything."""

    @property
    def tables(self) -> Tables:
        assert self.replay.tables is not None, "of a log of one's own, `recover` knows the state"
        return self.replay.tables


class _Loaded(NamedTuple):
    database: Database
    tables: Tables
    position: int


async def recover(log: Log, path: Path, stats: Vars, *, alone: bool = True) -> Recovered:
    """Read the state, from the database at `path` as far as it goes; in threads, so that nothing holds the event loop.

    A database that is damaged, older than the log reaches back, or ahead of all that lies in it, is thrown away. But
    one that is ahead proves that entries were lost: if nobody else has them (`alone`), it is kept, and the log refused.
    Then the log must also hold a whole snapshot or its own beginning. Raises `UnreadableLog`, `LogDamaged`.

    A database may stand where the log does not know yet, or not any more after a crash, that its entries stay: what was
    written into it was known to.
    """
    started = trio.current_time()
    with making_what_stays():
        recovered = None
        while recovered is None:
            begin = log.begin
            try:
                recovered = await _recover(log, path, stats, alone)
            except ReplacedMeanwhile as replaced:
                _logger.warning("%s is of no use and is built anew from the log: %s", path, replaced)
                database.discard(path)
            except LookupError:
                if log.begin == begin:
                    raise  # else it was truncated while it was read: there is a snapshot behind
    stats.observe("scheduler_storage_recover", trio.current_time() - started)
    return recovered


def no_snapshot(log: Log) -> UnreadableLog:
    """The log is all there is, and does not tell the state."""
    return UnreadableLog(f"The log begins at position {log.begin} and holds no whole snapshot")


async def _recover(log: Log, path: Path, stats: Vars, alone: bool) -> Recovered:
    shared = Shared()
    loaded = await trio.to_thread.run_sync(_load, path, log, shared, stats, alone)
    empty = Tables(stats) if log.begin == 0 else None
    replay = Replay(loaded.tables if loaded else empty, stats, shared)
    unwritten: dict[Table, dict[Any, Any]] = {table: {} for table in Table}
    whole = position = loaded.position if loaded else log.begin - 1
    end = log.end
    try:
        async with aclosing(log.read(position + 1)) as batches:
            async for records in batches:
                whole = await trio.to_thread.run_sync(_feed, replay, records, unwritten if loaded else None, whole)
                position = records[-1][0]
        if alone and replay.tables is None:
            raise no_snapshot(log)
    except BaseException:
        if loaded:
            loaded.database.close()
        raise
    if not loaded and replay.tables is not None:
        unwritten = await trio.to_thread.run_sync(replay.tables.copy)
    position = max(position, end - 1)
    whole = whole if replay.is_amid else position
    return Recovered(replay, position, whole, shared, loaded.database if loaded else None, unwritten)


def _load(path: Path, log: Log, shared: Shared, stats: Vars, alone: bool) -> _Loaded | None:
    """What the database holds; None if there is none, and none any more, that can be used."""
    if not path.exists():
        return None
    try:
        found = Database(path)
        try:
            if alone:
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
    if position is None or position < log.reach:
        return
    is_now, else_ = f"now ends with position {log.reach - 1}", "go on without what is missing"
    if log.reach == 0:
        is_now, else_ = "is empty now", "begin with nothing"
    raise UnreadableLog(
        f"{path} stands for position {position} of a log that {is_now}: what was behind is lost or damaged. "
        f"Put that log back, or remove {path.name} to {else_}"
    )


def _state(found: Database, log: Log, shared: Shared, stats: Vars) -> tuple[Tables, int]:
    position = found.position()
    if position is None:
        raise DatabaseUnusable("it holds nothing yet")
    if not log.begin <= position + 1 <= log.reach:
        raise DatabaseUnusable(f"it is at position {position}, the log has those from {log.begin} to {log.reach - 1}")
    tables = Tables(stats)
    for some in found.load(shared):
        tables.load(some)
    return tables, position


def _feed(
    replay: Replay, records: list[tuple[int, bytes]], unwritten: dict[Table, dict[Any, Any]] | None, whole: int
) -> int:
    """The position of the last record that ends an entry; `whole` if none does."""
    changes = Changes() if unwritten is not None else None
    for position, record in records:
        replay.feed(position, record, changes)
        if not replay.is_amid:
            whole = position
    if changes is not None and unwritten is not None:
        changes.note_in(unwritten)
    return whole
