"""Through the files of a journal, from the first to the last, missing no damage. It changes nothing.

A journal is a chain of files, numbered from 0; the oldest are removed when nobody needs them. Each begins with a head,
which tells the state before it, and ends with a close once another file follows. Files get their names, size and head
all at once, so whatever is not so is damage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from aurorad.log import sectors
from aurorad.log.disk import UNREADABLE, Disk
from aurorad.log.errors import LogDamaged, LogUnknown
from aurorad.log.messages import Record
from aurorad.log.sectors import SECTOR, Batch, Header, Kind
from aurorad.log.standing import State

FORMAT = 1
_NAME = re.compile(r"(\d{20})\.journal", re.ASCII)


class Head(msgspec.Struct, frozen=True, array_like=True, tag="head"):
    """What a file begins with."""

    format: int
    identity: bytes
    """Of the journal: drawn when its first file was made."""
    file: int
    size: int
    """Bytes that the file has from its beginning to its removal."""
    state: State
    """Before this file's first record."""


_records = msgspec.msgpack.Decoder(tuple[Record, ...])
_head = msgspec.msgpack.Decoder(Head)
encode = msgspec.msgpack.Encoder().encode


class Found(NamedTuple):
    """A batch, and what it holds; a close holds nothing."""

    file: int
    offset: int
    batch: Batch
    content: Head | tuple[Record, ...]


class Ending(NamedTuple):
    """How a file ends."""

    offset: int
    """Where the next batch goes."""
    size: int
    closed: bool
    """Whether it says that another one follows."""
    torn: int = 0
    """Bytes from `offset` on that a crash left of the last write."""


def name_of(number: int) -> str:
    return f"{number:020d}.journal"


def numbers(names: Sequence[str]) -> list[int]:
    """The numbers of the files that are a journal's."""
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match)


class Walk:
    """One way through. `on_damage` gets the number of each damaged file; what that raises ends the walk."""

    def __init__(
        self,
        disk: Disk,
        files: Sequence[int],
        on_damage: Callable[[int, LogDamaged], None],
        *,
        all_of_them: bool = True,
    ) -> None:
        """`all_of_them`: no file is known to have followed the last one."""
        self._disk = disk
        self._files = files
        self._all_of_them = all_of_them
        self._on_damage = on_damage
        self.previous: Header | None = None
        """Of the last batch that is no close; None where damage hides it."""
        self.identity: bytes | None = None
        self.endings: dict[int, Ending] = {}
        """By the number of the file."""

    def __iter__(self) -> Iterator[Found]:
        """All batches. Raises `LogUnknown` for what this version does not know."""
        ending = None
        for before, number in zip((None, *self._files), self._files, strict=False):
            if before is not None and number != before + 1:
                self.damaged(before + 1, 0, f"the file is missing, yet there is number {number}")
            yield from self._file(number, followers=self._files[-1] - number)
            ending = self.endings[number]
        if ending is not None and ending.closed and self._all_of_them:
            self.damaged(self._files[-1] + 1, 0, "the file is missing: the one before says that it follows")

    def damaged(self, file: int, offset: int, what: str) -> None:
        self.previous = None
        self._on_damage(file, LogDamaged(self._disk.describe(name_of(file)), offset, what))

    def _file(self, number: int, followers: int) -> Iterator[Found]:
        data = self._read(number)
        offset, closed, torn = 0, False, 0
        while offset < len(data) and not closed:
            batch = sectors.decode(data, offset)
            if batch is not None:
                content = self._content(number, offset, batch, len(data))
                if content is not None:
                    yield Found(number, offset, batch, content)
                offset, closed = batch.end_offset, batch.header.kind is Kind.CLOSE
            elif (why := _no_end(data, offset, followers)) is None:
                torn = len(data.rstrip(b"\0")) - offset
                break
            else:
                self.damaged(number, offset, why)
                offset = _next_header(data, offset)
        self.endings[number] = Ending(offset, len(data), closed, max(0, torn))

    def _read(self, number: int) -> bytes:
        try:
            file = self._disk.open(name_of(number))
            try:
                data = file.read(file.size())
            finally:
                file.close()
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            self.damaged(number, 0, f"it cannot be read: {error.strerror}")
            return b""
        if not data:
            self.damaged(number, 0, "the file is empty")
        return data

    def _content(self, number: int, offset: int, batch: Batch, size: int) -> Head | tuple[Record, ...] | None:
        """What a batch holds; None if it is not one that may lie there."""
        header, previous = batch.header, self.previous
        if (offset == 0) != (header.kind is Kind.HEAD):
            self.damaged(number, offset, f"a batch of the kind {header.kind.name} is not expected there")
            return None
        if previous is not None and (header.previous != previous.checksum or header.number != previous.number + 1):
            self.damaged(number, offset, f"batch {previous.number + 1} was expected there, not this {header.number}")
        if header.kind is Kind.CLOSE:
            return ()
        self.previous = header
        if header.kind is Kind.HEAD:
            head = _head_of(batch)
            self._check_head(number, head, size)
            return head
        if previous is not None and previous.kind is Kind.HEAD:
            before = self.endings.get(number - 1)
            if before is not None and not before.closed:
                self.damaged(number, offset, "the file before does not say that this one follows")
        return records_of(batch)

    def _check_head(self, number: int, head: Head, size: int) -> None:
        if head.file != number:
            self.damaged(number, 0, f"it is the journal's file {head.file}")
        elif self.identity not in (None, head.identity):
            self.damaged(number, 0, f"it is of another journal, {head.identity.hex()}")
        elif size != head.size:
            self.damaged(number, min(size, head.size), f"the file had {head.size} bytes and has {size}")
        self.identity = head.identity


def _no_end(data: bytes, offset: int, followers: int) -> str | None:
    """Why a file that so many follow must not end at `offset`, where no whole batch is.

    None if it may, or was left so by a crash: in the last file in any write, in the one before in that of its close.
    """
    if offset == 0:
        return sectors.not_torn(data, offset) or "the file has no beginning"
    if sectors.is_blank(data, offset):
        return None
    torn_close = followers == 1 and sectors.is_blank(data, offset + SECTOR)
    return sectors.not_torn(data, offset) or (
        None if followers == 0 or torn_close else "no whole batch there, yet another file follows"
    )


def records_of(batch: Batch) -> tuple[Record, ...]:
    try:
        return _records.decode(batch.body)
    except msgspec.DecodeError as error:
        raise LogUnknown(f"batch {batch.header.number} of the log was written by a newer aurorad: {error}") from error


def _head_of(batch: Batch) -> Head:
    try:
        format_number = msgspec.msgpack.decode(batch.body)[1]
        if format_number != FORMAT:
            raise LogUnknown(f"the log is of format {format_number}, and this aurorad knows format {FORMAT} alone")
        return _head.decode(batch.body)
    except msgspec.DecodeError as error:
        raise LogUnknown(f"the log was written by a newer aurorad: {error}") from error


def _next_header(data: bytes, offset: int) -> int:
    """The offset of the next batch that looks whole; the end if there is none."""
    for start in range(offset + SECTOR, len(data), SECTOR):
        if sectors.header(data, start) is not None:
            return start
    return len(data)
