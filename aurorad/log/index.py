"""Where the values of a log are on disk: a few numbers per append, none per value."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import NamedTuple


class Place(NamedTuple):
    """Where a run of values is: a record of a batch."""

    file: int
    """The number of the journal's file."""
    offset: int
    checksum: int
    """Of the batch."""
    record: int
    """The number of the record within the batch."""


_NOWHERE = (1 << 64) - 1


class Index:
    """The places of the positions from `begin` to `end`, without holes. A row is a run, to where the next begins."""

    def __init__(self, begin: int = 0, end: int = 0) -> None:
        """Where the positions from `begin` to `end` are is not known (yet)."""
        self.begin = begin
        self.end = max(begin, end)
        self._firsts = array("Q")
        self._files = array("Q")
        self._offsets = array("Q")
        self._checksums = array("Q")
        self._records = array("Q")
        self._columns = (self._firsts, self._files, self._offsets, self._checksums, self._records)
        if begin < end:
            self._replace(0, 0, begin, Place(_NOWHERE, 0, 0, 0))

    def oldest_file(self) -> int | None:
        """The number of the first file that is needed; None if there is no value."""
        return min(self._files, default=None)

    def missing(self) -> tuple[int, int] | None:
        """Positions, from and to, that are in no file; None if all are."""
        if _NOWHERE not in self._files:
            return None
        at = self._files.index(_NOWHERE)
        return self._firsts[at], self._until(at)

    def put(self, first: int, end: int, place: Place) -> None:
        """The positions from `first` to `end` are at `place`, whatever was there."""
        assert self.begin <= first <= self.end
        assert first < end
        if first == self.end:  # as nearly always, so it must be fast
            self._firsts.append(first)
            self._files.append(place.file)
            self._offsets.append(place.offset)
            self._checksums.append(place.checksum)
            self._records.append(place.record)
        else:
            low, high = bisect_left(self._firsts, first), bisect_right(self._firsts, end)
            if end < self.end:  # the run that it ends in goes on behind it
                self._replace(high, high, end, self._place(high - 1))
            self._replace(low, high, first, place)
        self.end = max(self.end, end)

    def find(self, position: int) -> tuple[Place, int]:
        """Where `position` is, and the position up to which its neighbours are there too. Raises `LookupError`."""
        if not self.begin <= position < self.end:
            raise LookupError(f"position {position} is not there: the log goes from {self.begin} to {self.end}")
        at = bisect_right(self._firsts, position) - 1
        return self._place(at), self._until(at)

    def drop_from(self, position: int) -> None:
        """Forget what is at `position` and after it."""
        assert self.begin <= position <= self.end
        at = bisect_left(self._firsts, position)
        for column in self._columns:
            del column[at:]
        self.end = position

    def drop_before(self, position: int) -> None:
        """Forget what is before `position`."""
        assert position <= self.end
        if position > self.begin:
            self.begin = position
            at = bisect_right(self._firsts, position) - 1 if position < self.end else len(self._firsts)
            for column in self._columns:
                del column[:at]
            if self._firsts:
                self._firsts[0] = position

    def _place(self, at: int) -> Place:
        return Place(self._files[at], self._offsets[at], self._checksums[at], self._records[at])

    def _until(self, at: int) -> int:
        return self._firsts[at + 1] if at + 1 < len(self._firsts) else self.end

    def _replace(self, low: int, high: int, first: int, place: Place) -> None:
        for column, value in zip(self._columns, (first, *place), strict=True):
            column[low:high] = array("Q", (value,))
