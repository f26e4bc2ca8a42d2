"""From entries of the log to the state they stand for."""

from __future__ import annotations

from collections.abc import Generator, Iterator

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
from aurorad.storage.operations import bites
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Changes, Tables
from aurorad.vars import Vars


class ReplacedMeanwhile(Exception):
    """A snapshot that replaces everything has ended, of which the beginning was not read: read on from before it."""


class Replay:
    """Fed with all records from some position on, in order.

    With `tables`, which hold the state before the first record, transactions are applied and snapshots, which say
    nothing new, passed over, but for those that replace. Without, the first whole snapshot is where the state begins.
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

    @property
    def is_amid(self) -> bool:
        """Whether what was fed ends in the midst of an entry: nobody could go on from there."""
        return self._joiner.is_amid

    def feed(self, position: int, record: bytes, changes: Changes | None = None) -> None:
        """`changes`, if given, get what the record changed in `tables`.

        Raises `UnreadableLog`, `ReplacedMeanwhile`.
        """
        for _ in self.steps(position, record, changes):
            pass

    def steps(self, position: int, record: bytes, changes: Changes | None = None) -> Iterator[None]:
        """Like `feed`, with pauses: it is done when the iteration is, and must not be left before."""
        entry = self._joiner.feed(position, record)
        if entry is None:
            return
        try:
            yield from self._entry(entry, changes)
        except (LookupError, ValueError) as error:
            raise UnreadableLog(f"The log entry at position {position} cannot be applied: {error}") from error

    def _entry(self, entry: Entry, changes: Changes | None) -> Iterator[None]:
        if isinstance(entry, SnapshotBegin):
            self.transactions = 0
            wanted = self.tables is None or entry.replaces
            self._snapshot = _Snapshot(self._shared, Tables(self._stats), entry.replaces) if wanted else None
        elif isinstance(entry, Transaction):
            self.transactions += 1
            if self.tables is not None:
                yield from _apply(entry, self.tables, self._shared, changes)
        elif isinstance(entry, SnapshotEnd) and entry.replaces and self._snapshot is None and self.tables is not None:
            raise ReplacedMeanwhile("The state was replaced by a snapshot whose beginning was not read")
        if self._snapshot is not None:
            whole = yield from self._snapshot.steps(entry)
            if whole is not None:
                self._snapshot = None
                self._take(whole, changes)

    def _take(self, whole: Tables, changes: Changes | None) -> None:
        if self.tables is None:
            self.tables = whole
        else:
            self.tables.become(whole, changes)


class _Snapshot:
    """A snapshot on its way in, and what was done while it was written."""

    def __init__(self, shared: Shared, tables: Tables, replaces: bool) -> None:
        self._shared = shared
        self._tables = tables
        self._replaces = replaces
        self._parts = 0
        self._later: list[Transaction] = []

    def steps(self, entry: Entry) -> Generator[None, None, Tables | None]:
        """The state after the last entry, once the snapshot is whole."""
        match entry:
            case SnapshotPart():
                self._tables.load(rows_of(entry, self._shared))
                self._parts += 1
            case Transaction():
                if not self._replaces:
                    self._later.append(entry)
            case SnapshotEnd(parts) if parts != self._parts:
                raise ValueError(f"the snapshot has {self._parts} parts of {parts}")
            case SnapshotEnd():
                for later in self._later:
                    yield from _apply(later, self._tables, self._shared, None)
                return self._tables
            case SnapshotBegin() | Padding():
                pass
        return None


def _apply(entry: Transaction, tables: Tables, shared: Shared, changes: Changes | None) -> Iterator[None]:
    for op in ops_of(entry, shared):
        for bite in bites(op):
            tables.apply(bite, changes)
            yield
