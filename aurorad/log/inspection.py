"""What a folder holds of a log, for people; it changes nothing, and the log may be in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from aurorad.log import batches, segments, walk
from aurorad.log.disk import Disk
from aurorad.log.errors import LogDamaged, LogUnknown
from aurorad.log.index import Place
from aurorad.log.journal import UNFINISHED
from aurorad.log.loading import FORGETFUL
from aurorad.log.messages import Caught, Proposal, Value, Wrote
from aurorad.log.standing import Standing, State
from aurorad.log.walk import Head, Walk, name_of
from aurorad.log.window import Window


class Entry(NamedTuple):
    """What lies at a position."""

    position: int
    value: Value
    is_learned: bool
    proposal: Proposal | None
    """Who wrote it; None if that is not known here."""


class Inspection:
    """`facts` tell what the log is; `entries` reads on. Both add to `damages`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.facts: dict[str, object] = {}
        self.damages: list[LogDamaged] = []
        self.notes: list[str] = []

    def entries(self) -> Iterator[Entry]:
        """Those that are there and unharmed, by position."""
        raise NotImplementedError

    def _note_torn(self, name: str, torn: int) -> None:
        what = "was interrupted by a crash, or is being made: the next opening cuts it off"
        self.notes.append(f"the last write ({torn} bytes in {self._disk.describe(name)}) {what}")


def inspect(disk: Disk) -> Inspection:
    """Raises `LogUnknown` if there is no log, or only a newer version understands it; `OSError`."""
    names = disk.names()
    if walk.numbers(names) or FORGETFUL in names:
        return JournalInspection(disk)
    if any(map(segments.NAME.fullmatch, names)):
        return SegmentsInspection(disk)
    raise LogUnknown(f"{disk.describe('.')} holds no log")


class JournalInspection(Inspection):
    """Of a member of several."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        names = disk.names()
        self._files = walk.numbers(names)
        self._standing = Standing(State())
        self._walk = Walk(disk, self._files, lambda _, damage: self.damages.append(damage))
        batches_read = self._load()
        standing = self._standing
        ends = self._walk.endings
        if ends and (torn := ends[self._files[-1]].torn):
            self._note_torn(name_of(self._files[-1]), torn)
        if FORGETFUL in names:
            self.notes.append("damage was found here before; the next opening goes on with recovering from it")
        if UNFINISHED in names:
            self.notes.append("restoring this log was broken off: a part of it is missing")
        self.notes += [f"{disk.describe(name)} was set aside" for name in sorted(names) if ".damaged" in name]
        placed = standing.placed
        configuration = placed.configuration
        self.facts = {
            "log": "of a member of several",
            "format": walk.FORMAT,
            "identity": (self._walk.identity or b"").hex(),
            "status": standing.status.name,
            "member": standing.member,
            "promised": list(standing.promised),
            "last_write": list(standing.last),
            "begin": standing.span.begin,
            "learned_to": standing.span.learned_to,
            "end": standing.span.end,
            "cluster": configuration and configuration.cluster,
            "quorum": configuration and configuration.quorum,
            "members": configuration and {str(member): address for member, address in configuration.members},
            "configured_at": configuration and placed.position,
            "files": len(self._files),
            "batches": batches_read,
            "bytes": sum(ending.offset for ending in ends.values()),
        }

    def _load(self) -> int:
        """Apply all records before the first damage; the number of unharmed batches."""
        count, is_first = 0, True
        for file, offset, batch, content in self._walk:
            count += 1
            if self.damages:
                continue
            if isinstance(content, Head):
                if is_first:
                    self._standing = Standing(content.state)
                elif content.state != self._standing.state():
                    self._walk.damaged(file, offset, "it does not begin where the file before ends")
                is_first = False
                continue
            for number, record in enumerate(content):
                try:
                    self._standing.apply(record, Place(file, offset, batch.header.checksum, number))
                except ValueError as error:
                    self._walk.damaged(file, offset, str(error))
        missing = self._standing.index.missing()
        if missing is not None and not self.damages:
            self._walk.damaged(
                self._files[0], 0, f"files before it are missing, with positions {missing[0]} to {missing[1]}"
            )
        return count

    def entries(self) -> Iterator[Entry]:
        """Those that are there and unharmed, by position."""
        index, window = self._standing.index, Window(self._disk)
        missing = index.missing()
        at = index.begin if missing is None else missing[1]
        while at < index.end:
            place, until = index.find(at)
            try:
                file = self._disk.open(name_of(place.file))
                try:
                    record = window.record(file, place)
                finally:
                    file.close()
            except FileNotFoundError:  # truncated since
                at = until
                continue
            except LogDamaged as damage:
                self.damages.append(damage)
                at = until
                continue
            assert isinstance(record, Wrote | Caught)
            proposal = record.proposal if isinstance(record, Wrote) else None
            for position in range(at, until):
                value = record.values[position - record.first]
                yield Entry(position, value, position < self._standing.span.learned_to, proposal)
            at = until


class SegmentsInspection(Inspection):
    """Of a scheduler that is alone."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self._files: Mapping[int, str] = {
            int(match[1]): match[0] for match in map(segments.NAME.fullmatch, sorted(disk.names())) if match
        }
        begin = end = min(self._files)
        count = size = 0
        for batch, length in self._batches():
            count, size, end = count + 1, size + length, batch.position + len(batch.entries)
        self.facts = {
            "log": "of a scheduler that has no others",
            "begin": begin,
            "end": end,
            "files": len(self._files),
            "batches": count,
            "bytes": size,
        }

    def entries(self) -> Iterator[Entry]:
        """Those that are there and unharmed, by position."""
        for batch, _ in self._batches(again=True):
            for position, entry in enumerate(batch.entries, batch.position):
                yield Entry(position, entry, True, None)

    def _batches(self, again: bool = False) -> Iterator[tuple[batches.Batch, int]]:
        """Unharmed batches and how long they are on disk."""
        expected: int | None = None
        for first, name in self._files.items():
            if expected not in (None, first) and not again:
                self._damaged(name, 0, f"position {expected} is missing, {first} comes next")
            end = first
            file = self._disk.open(name)
            try:
                data = file.read(file.size())
            finally:
                file.close()
            offset = 0
            while (batch := batches.decode(data, offset)) is not None and batch.position == end:
                yield batch, batch.end_offset - offset
                offset, end = batch.end_offset, end + len(batch.entries)
            expected = end if offset == len(data) else None
            if expected is None and not again:
                self._judge_rest(name, data, offset, end)

    def _judge_rest(self, name: str, data: bytes, offset: int, end: int) -> None:
        more = batches.decode(data, offset) is not None or batches.any_after(data, offset)
        if name != max(self._files.values()):
            self._damaged(name, offset, "no whole entry there, yet more follow")
        elif more:
            self._damaged(name, offset, f"position {end} was expected there")
        else:
            self._note_torn(name, len(data) - offset)

    def _damaged(self, name: str, offset: int, what: str) -> None:
        self.damages.append(LogDamaged(self._disk.describe(name), offset, what))
