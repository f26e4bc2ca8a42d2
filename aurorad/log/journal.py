"""The log of one member on its disk: what it promised, wrote and learned, record after record. Everything blocks.

What `append` returned from is durable. A crash can leave a torn last batch, which nobody was told of: opening cuts it
off. Anything else that is not as it was written is damage, and means that this member may have promised and accepted
what it has no memory of. Then nothing after it is believed: the damaged files are set aside, and the member may not
vote until it has recovered from the others. If there are no others, opening refuses.
"""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aurorad.log import sectors, segments, walk
from aurorad.log.disk import Disk, File
from aurorad.log.errors import LogDamaged, LogFull, LogNotEmpty, LogUnknown
from aurorad.log.index import Place
from aurorad.log.loading import FORGETFUL, Damaged, load, load_good
from aurorad.log.messages import NOBODY, Begin, Caught, Dropped, Metadata, Record, Status, Stored, Value, Wrote
from aurorad.log.sectors import SECTOR, Header, Kind
from aurorad.log.standing import Standing, State, after
from aurorad.log.walk import FORMAT, Head, name_of
from aurorad.log.window import Window

SEGMENT_BYTES = 16 << 20
"""Of a file: small enough to be read whole, large enough that rolling costs nothing; what truncation frees."""
HEADROOM = 1 << 20
"""Room that is kept for promises, learned marks and truncations when there is none for entries."""

UNFINISHED = "unfinished"
"""A file that is there as long as a journal is made of something else, and not all of that is in it."""

_SPARE = "spare"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cost(records: Sequence[Record]) -> int:
    """Bytes that one `Journal.append` of `records` takes on disk."""
    return sectors.length(len(walk.encode(records)))


def initialize(disk: Disk, rng: random.Random) -> None:
    """Let an empty member vote (storage sheet, C7). Raises `LogNotEmpty`, and all that `Journal.open` does."""
    journal = Journal.open(disk, alone=True, rng=rng)
    try:
        if journal.stored != Stored():
            raise LogNotEmpty("The log is not empty")
        journal.append([Metadata(Status.VOTING, 0, NOBODY)])
    finally:
        journal.close()


class _Segment:
    """A file. Its last sector is for its close."""

    def __init__(self, number: int, file: File, size: int, used: int = 0, closed: bool = False) -> None:
        self.number = number
        self.file = file
        self.size = size
        self.used = used
        self.closed = closed

    @property
    def rest(self) -> int:
        return self.size - self.used - SECTOR


class Journal:
    """Calls must not overlap, but for `read`, which may overlap with any but `close`; properties may be read always."""

    def __init__(self, disk: Disk, rng: random.Random, segment_bytes: int) -> None:
        """Use `open`."""
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._identity = rng.randbytes(8)
        self._standing = Standing(State())
        self._previous: Header | None = None
        self._segments: list[_Segment] = []
        self._spare: _Segment | None = None
        self._room = 0
        self._failure: OSError | None = None
        self._lock = threading.Lock()  # of what readers use too
        self._readers = 0
        self._retired: list[File] = []
        self.damage: LogDamaged | None = None
        """What opening found; the damaged files are set aside."""
        self.cut_bytes = 0
        """How much of a torn tail opening cut off."""
        self.stored = Stored()
        """What the member was when it last wrote, found by opening."""

    @classmethod
    def open(cls, disk: Disk, *, alone: bool, rng: random.Random, segment_bytes: int = SEGMENT_BYTES) -> Journal:
        """The journal on `disk`, which is closed with it, also if this fails. An empty folder gets a new one.

        `alone`: there is nobody to recover from, so damage raises `LogDamaged` and nothing is changed. Otherwise
        damaged files are set aside (renamed), what is learned in the files before them is kept, and the status is
        RECOVERING.
        Raises `LogUnknown` for what is no such journal, `LogFull`, and `OSError` if the disk fails.
        """
        journal = cls(disk, rng, segment_bytes)
        try:
            with journal._final_errors():
                journal._open(alone)
        except BaseException:
            journal.close()
            raise
        return journal

    @property
    def begin(self) -> int:
        """The first position that is not forgotten."""
        return self._standing.span.begin

    @property
    def learned_to(self) -> int:
        """All positions before are known to be chosen."""
        return self._standing.span.learned_to

    @property
    def end(self) -> int:
        """The position behind the last one."""
        return self._standing.span.end

    @property
    def size(self) -> int:
        """Bytes on disk that are in use."""
        return sum(segment.used for segment in tuple(self._segments))

    @property
    def room(self) -> int:
        """Bytes that appends may take for sure, each as many as `cost` says."""
        return self._room

    def append(self, records: Sequence[Record]) -> None:
        """Make the records durable, with one write and one sync. A `Begin` frees files that nobody needs any more.

        Raises `LogFull` if there is no room, `ValueError` if a record cannot follow those before: then nothing was
        written, and later appends may succeed. Any other `OSError` is final: what is on the disk is unknown until the
        journal is opened anew.
        """
        span = self._standing.span
        for record in records:
            span = after(span, record)
        body = walk.encode(records)
        with self._final_errors():
            segment = self._writable(sectors.length(len(body)))
            offset = segment.used
            assert self._previous is not None
            header = self._write(segment, Kind.APPEND, self._previous.number + 1, self._previous.checksum, body)
            self._previous = header
            with self._lock:
                for number, record in enumerate(records):
                    self._standing.apply(record, Place(segment.number, offset, header.checksum, number))
            if any(isinstance(record, Begin) for record in records):
                self._remove_old()
            self._keep_spare()

    def reserve(self, size: int, keep: int = HEADROOM) -> None:
        """Make sure that there is room for `size` bytes, and for `keep` beyond them. Raises `LogFull`."""
        if self._room < size + keep:
            with self._final_errors():
                self._grow_spare(size + keep)

    def read(self, first: int, max_bytes: int) -> list[Value]:
        """The values from `first` on, of about `max_bytes`; at least one if there is one.

        Raises `LookupError` if `first` is before the begin or behind the end, `LogDamaged` if they are no more what
        they were or cannot be read.
        """
        values: list[Value] = []
        window = Window(self._disk)
        with self._reading():
            while max_bytes > 0 and first != self.end:
                try:
                    with self._lock:
                        place, until = self._standing.index.find(first)
                        segment = next(segment for segment in self._segments if segment.number == place.file)
                except LookupError:
                    if not values:
                        raise
                    break  # it was dropped meanwhile
                record = window.record(segment.file, place)
                assert isinstance(record, Wrote | Caught)
                for value in record.values[first - record.first : until - record.first]:
                    values.append(value)
                    first += 1
                    max_bytes -= len(value) if isinstance(value, bytes) else 1
                    if max_bytes <= 0:
                        break
        return values

    def close(self) -> None:
        """Close all files, the disk too."""
        for segment in self._segments:
            segment.file.close()
        if self._spare is not None:
            self._spare.file.close()
        for file in self._retired:
            file.close()
        self._disk.close()

    @contextmanager
    def _final_errors(self) -> Iterator[None]:
        if self._failure is not None:
            raise RuntimeError("the journal failed before and must be opened anew") from self._failure
        try:
            yield
        except OSError as error:
            self._failure = error
            raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """No file is closed meanwhile."""
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                retired = self._retired if self._readers == 0 else []
                if retired:
                    self._retired = []
            for file in retired:
                file.close()

    def _open(self, alone: bool) -> None:
        names = self._disk.names()
        files = walk.numbers(names)
        if any(map(segments.NAME.fullmatch, names)):
            raise LogUnknown(
                f"{self._disk.describe('.')} holds the log of a scheduler that has no others: use another folder"
            )
        if UNFINISHED in names:
            raise LogUnknown(
                f"{self._disk.describe('.')} holds a part of a log, since restoring it was broken off: "
                "empty the folder and begin anew"
            )
        forgetful = FORGETFUL in names
        try:
            loaded = load(self._disk, files, all_of_them=not forgetful)
        except Damaged as damaged:
            if alone:
                raise damaged.damage from None
            self.damage, forgetful = damaged.damage, True
            loaded = load_good(self._disk, files, damaged)
        self._standing, self._previous = loaded.standing, loaded.previous
        self._identity = loaded.identity or self._identity
        for number, (offset, size, closed, _) in loaded.files.items():
            self._segments.append(_Segment(number, self._disk.open(name_of(number)), size, offset, closed))
        if loaded.files:
            self._mend_last(loaded.files[max(loaded.files)].torn)
        if not self._segments or self._segments[-1].closed:
            self._roll(0)
        self._close_before()
        if forgetful:
            self.append([Dropped(), Metadata(Status.RECOVERING, 0, NOBODY, self._standing.placed)])
            self._disk.remove(FORGETFUL)
            self._disk.sync()
        self._remove_old()
        self._keep_spare()
        self.stored = self._what_is_stored()

    def _what_is_stored(self) -> Stored:
        standing = self._standing
        begin, learned_to, end = standing.span
        tail: list[Value] = []
        while learned_to + len(tail) < end:
            tail += self.read(learned_to + len(tail), self._segment_bytes)
        return Stored(
            standing.status,
            standing.member,
            standing.promised,
            begin,
            learned_to,
            standing.last,
            end,
            tuple(tail),
            standing.placed,
        )

    def _mend_last(self, torn: int) -> None:
        """Cut off the torn tail. What was read may be in memory only, if the process but not the machine went down:

        the last write, and the close of the file before.
        """
        last = self._segments[-1]
        if torn:
            last.file.write(bytes(torn), last.used)
            self.cut_bytes = torn
        for segment in self._segments[-2:]:
            segment.file.sync()
        self._disk.sync()

    def _writable(self, length: int) -> _Segment:
        """The last file, or a new one if that has no room for so many bytes."""
        if self._segments[-1].rest < length:
            self._roll(length)
        self._close_before()
        return self._segments[-1]

    def _write(self, segment: _Segment, kind: Kind, number: int, previous: int, body: bytes) -> Header:
        data = sectors.encode(kind, number, previous, body)
        try:
            segment.file.write(data, segment.used)
            segment.file.sync()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            # Where allocating promises nothing. What was refused must not come back after a crash.
            segment.file.write(bytes(len(data)), segment.used)
            segment.file.sync()
            raise LogFull(f"{self._disk.describe(name_of(segment.number))}: {error.strerror}") from error
        segment.used += len(data)
        header = sectors.header(data, 0)
        assert header is not None
        return header

    def _roll(self, length: int) -> None:
        """Begin a new file, with room for `length` bytes; the one before is to be closed then."""
        self._grow_spare(length)
        assert self._spare is not None
        number = self._segments[-1].number + 1 if self._segments else 0
        segment = _Segment(number, self._spare.file, self._spare.size)
        batch, checksum = (self._previous.number + 1, self._previous.checksum) if self._previous else (0, 0)
        header = self._write(segment, Kind.HEAD, batch, checksum, self._head(number, segment.size))
        self._disk.rename(_SPARE, name_of(number))
        self._disk.sync()
        self._previous, self._spare = header, None
        with self._lock:
            self._segments.append(segment)

    def _close_before(self) -> None:
        """Note in the file before the last one that another follows, as long as nothing but its head is there."""
        if len(self._segments) > 1 and not self._segments[-2].closed:
            assert self._previous is not None
            self._write(self._segments[-2], Kind.CLOSE, self._previous.number, self._previous.previous, b"")
            self._segments[-2].closed = True

    def _remove_old(self) -> None:
        oldest = self._standing.index.oldest_file()
        while len(self._segments) > 1 and (oldest is None or self._segments[0].number < oldest):
            # Oldest first and each made durable, so that a crash leaves no gap.
            self._disk.remove(name_of(self._segments[0].number))
            self._disk.sync()
            with self._lock:
                file = self._segments.pop(0).file
                if self._readers:
                    self._retired.append(file)
                    continue
            file.close()

    def _keep_spare(self) -> None:
        """Have the next file ready, if there is room for it."""
        try:
            self._grow_spare(0)
        except LogFull:
            self._count_room()

    def _grow_spare(self, room: int) -> None:
        """Let the next file have room for `room` bytes. Raises `LogFull`."""
        size = max(self._segment_bytes, -(-(room + self._beside_room()) // SECTOR) * SECTOR)
        if self._spare is None:
            file = self._disk.open(_SPARE)
            file.truncate(0)
            self._spare = _Segment(-1, file, 0)
        if self._spare.size < size:
            try:
                self._spare.file.allocate(size)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._spare.file.truncate(self._spare.size)
                raise LogFull(f"{self._disk.describe(_SPARE)}: {error.strerror}") from error
            self._spare.size = size
        self._count_room()

    def _count_room(self) -> None:
        spare = self._spare.size - self._beside_room() if self._spare is not None else 0
        self._room = max(0, spare, self._segments[-1].rest if self._segments else 0)

    def _beside_room(self) -> int:
        """What the next file needs for its head and its close."""
        return sectors.length(len(self._head(1 << 62, 1 << 62))) + SECTOR

    def _head(self, number: int, size: int) -> bytes:
        return walk.encode(Head(FORMAT, self._identity, number, size, self._standing.state()))
