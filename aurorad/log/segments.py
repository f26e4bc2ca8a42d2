"""The log of one member on its disk: segment files named by the position of their first entry. Everything blocks.

What `append` returned from is durable. A crash can leave a torn last batch, which nobody was told of: it is passed
over, and cut off by the next append. Anything else that is not as it was written is damage, and opening refuses it. (A
last batch that was whole once looks like a torn one. Who knows that it was may say so: nothing was changed yet.)
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence

from aurorad.log import batches
from aurorad.log.disk import Disk, File
from aurorad.log.errors import LogDamaged, LogFull

# Small enough to be read whole, large enough that rolling costs nothing; also what truncation frees at a time.
SEGMENT_BYTES = 16 << 20

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NAME = re.compile(r"(\d{20})\.log", re.ASCII)


class _Segment:
    def __init__(self, name: str, first: int, file: File) -> None:
        self.name = name
        self.first = first
        self.file = file
        self.size = 0  # of what is durable


class Segments:
    """Append, read and truncate. Calls of `append`, `truncate` and `close` must not overlap; reads may."""

    def __init__(self, disk: Disk, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open the log on `disk`, which is closed with it. Raises `LogDamaged`, or `OSError` if the disk fails."""
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._failure: OSError | None = None
        self._segments: list[_Segment] = []
        self.end = 0
        """The position that the next entry gets."""
        self.torn_bytes = 0
        """Bytes behind the last whole batch, which the next append cuts off."""
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def begin(self) -> int:
        """The position of the first entry that is still there."""
        return self._segments[0].first

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    def append(self, entries: Sequence[bytes]) -> int:
        """Make all entries durable with one sync, at consecutive positions; the position of the last.

        Raises `LogFull` if there is no room: none of them is in the log then, and later appends may succeed. Any other
        `OSError` is final: what is on the disk is unknown until the log is opened anew.
        """
        self._check()
        batch = batches.encode(self.end, entries)
        try:
            self._cut_torn()
            segment = self._writable()
            segment.file.write(batch, segment.size)
            segment.file.sync()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                self._failure = error
                raise
            self._cut_back()
            raise LogFull(f"{self._disk.describe(self._segments[-1].name)}: {error.strerror}") from error
        segment.size += len(batch)
        self.end += len(entries)
        return self.end - 1

    def read(self, position: int) -> Iterator[list[tuple[int, bytes]]]:
        """The entries from `position` to the end of the log, batch by batch, with their positions.

        Raises `LookupError` where entries were truncated, `LogDamaged` if they are no more what they were.
        """
        while position < self.end:
            if position < self.begin:
                raise LookupError(f"position {position} was truncated: the log begins at {self.begin}")
            segment = max((segment for segment in self._segments if segment.first <= position), key=lambda s: s.first)
            data, offset = segment.file.read(segment.size), 0
            while offset < len(data):
                batch = batches.decode(data, offset)
                if batch is None:
                    raise LogDamaged(self._disk.describe(segment.name), offset, "the checksum does not match")
                offset = batch.end_offset
                entries = [(at, entry) for at, entry in enumerate(batch.entries, batch.position) if at >= position]
                if entries:
                    yield entries
                    position = batch.position + len(batch.entries)

    def truncate(self, before: int) -> None:
        """Forget whole segments of entries before the position `before`; the last segment always stays."""
        self._check()
        gone = 0
        while gone + 1 < len(self._segments) and self._segments[gone + 1].first <= before:
            gone += 1
        for segment in self._segments[:gone]:
            # Oldest first and each made durable, so that a crash leaves no gap.
            self._disk.remove(segment.name)
            self._disk.sync()
            self._segments.remove(segment)
            segment.file.close()

    def close(self) -> None:
        """Close all files, the disk too."""
        for segment in self._segments:
            segment.file.close()
        self._disk.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the log failed before and must be opened anew") from self._failure

    def _cut_torn(self) -> None:
        if self.torn_bytes:
            last = self._segments[-1]
            last.file.truncate(last.size)
            last.file.sync()
            self.torn_bytes = 0

    def _cut_back(self) -> None:
        """Cut off what a refused append left; durably, since what was refused must not come back after a crash."""
        last = self._segments[-1]
        try:
            last.file.truncate(last.size)
            last.file.sync()
        except OSError as error:
            self._failure = error
            raise

    def _writable(self) -> _Segment:
        """The last segment, or a new one after it if it is full."""
        last = self._segments[-1]
        return last if last.size < self._segment_bytes else self._add(self.end)

    def _add(self, first: int) -> _Segment:
        name = f"{first:020d}.log"
        segment = _Segment(name, first, self._disk.open(name))
        try:
            self._disk.sync()
        except OSError:
            segment.file.close()
            raise
        self._segments.append(segment)
        return segment

    def _open(self) -> None:
        firsts = sorted(int(match[1]) for match in map(NAME.fullmatch, self._disk.names()) if match)
        if not firsts:
            self._add(0)
            return
        self.end = firsts[0]
        for first in firsts:
            segment = _Segment(f"{first:020d}.log", first, self._disk.open(f"{first:020d}.log"))
            self._segments.append(segment)
            if first != self.end:
                raise LogDamaged(
                    self._disk.describe(segment.name), 0, f"position {self.end} is missing, {first} comes next"
                )
            self._scan(segment, last=first == firsts[-1])
        # What is there may still be in memory only, if the process but not the machine went down.
        self._segments[-1].file.sync()
        self._disk.sync()

    def _scan(self, segment: _Segment, last: bool) -> None:
        data = segment.file.read(segment.file.size())
        while segment.size < len(data):
            batch = batches.decode(data, segment.size)
            if batch is None or batch.position != self.end:
                self._check_torn(segment, data, last)
                self.torn_bytes = len(data) - segment.size
                return
            segment.size = batch.end_offset
            self.end += len(batch.entries)

    def _check_torn(self, segment: _Segment, data: bytes, last: bool) -> None:
        """Raises `LogDamaged` unless a crash in the middle of a write explains what follows the last whole batch."""
        if not last:
            raise LogDamaged(self._disk.describe(segment.name), segment.size, "no whole entry there, yet more follow")
        if batches.decode(data, segment.size) is not None or batches.any_after(data, segment.size):
            raise LogDamaged(self._disk.describe(segment.name), segment.size, f"position {self.end} was expected there")
