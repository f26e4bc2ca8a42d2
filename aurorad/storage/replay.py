"""From entries of the log to the state they stand for."""

from __future__ import annotations

from aurorad.storage.entries import (
    Entry,
    Joiner,
    Padding,
    SnapshotBegin,
    SnapshotEnd,
    SnapshotPart,
    Transaction,
    UnreadableLog,
    ops_of,
    rows_of,
)
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Changes, Tables
from aurorad.vars import Vars


class Replay:
    """Fed with all records from some position on, in order.

    With `tables`, which hold the state before the first record, transactions are applied and snapshots, which say
    nothing new, passed over. Without, the first whole snapshot is where the state begins.
    """

    def __init__(self, tables: Tables | None, stats: Vars, shared: Shared) -> None:
        self.tables = tables
        """The state, None until it is known."""
        self.transactions = 0
        """How many came since the last snapshot began."""
        self._joiner = Joiner(stats)
        self._stats = stats
        self._shared = shared
        self._snapshot: _Snapshot | None = None

    def feed(self, position: int, record: bytes, changes: Changes | None = None) -> None:
        """`changes`, if given, get what the record changed in `tables`. Raises `UnreadableLog`."""
        entry = self._joiner.feed(position, record)
        if entry is None:
            return
        try:
            self._entry(entry, changes)
        except (LookupError, ValueError) as error:
            raise UnreadableLog(f"The log entry at position {position} cannot be applied: {error}") from error

    def _entry(self, entry: Entry, changes: Changes | None) -> None:
        if isinstance(entry, SnapshotBegin):
            self.transactions = 0
            self._snapshot = _Snapshot(self._shared, Tables(self._stats)) if self.tables is None else None
        elif isinstance(entry, Transaction):
            self.transactions += 1
            if self.tables is not None:
                for op in ops_of(entry, self._shared):
                    self.tables.apply(op, changes)
        if self._snapshot is not None:
            self.tables = self._snapshot.feed(entry)
            if self.tables is not None:
                self._snapshot = None


class _Snapshot:
    """A snapshot on its way in, and what was done while it was written."""

    def __init__(self, shared: Shared, tables: Tables) -> None:
        self._shared = shared
        self._tables = tables
        self._parts = 0
        self._later: list[Transaction] = []

    def feed(self, entry: Entry) -> Tables | None:
        """The state after the last entry, once the snapshot is whole."""
        match entry:
            case SnapshotPart():
                self._tables.load(rows_of(entry, self._shared))
                self._parts += 1
            case Transaction():
                self._later.append(entry)
            case SnapshotEnd(parts) if parts != self._parts:
                raise ValueError(f"the snapshot has {self._parts} parts of {parts}")
            case SnapshotEnd():
                for later in self._later:
                    for op in ops_of(later, self._shared):
                        self._tables.apply(op)
                return self._tables
            case SnapshotBegin() | Padding():
                pass
        return None
