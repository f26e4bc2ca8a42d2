"""Writes a member's records into its journal, off the event loop, those that came meanwhile at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import trio

from aurorad.log.errors import LogFull
from aurorad.log.journal import HEADROOM, Journal
from aurorad.log.messages import Caught, Record, Value, Wrote

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class Room(NamedTuple):
    """Bytes of a disk."""

    headroom: int = HEADROOM
    """Is kept for promises, learned marks and truncations when there is none for entries."""
    low_water: int = 4 << 20
    """With less than so much more is made, before anybody has to wait for it."""
    piece: int = 1 << 20
    """So much is read at once for others. With less a member could not catch up, nor lead for long: it has no room."""
    small: int = 64 << 10
    """What is no larger fits into what is made ahead."""


USUAL_ROOM = Room()

MAX_BACKLOG = 32 << 20
"""Bytes that wait for the disk, at most: whoever brings more has to wait too."""

_BATCH_BYTES = 8 << 20
_RETRY_S, _REFILL_S = 1.0, 5.0  # how often a full disk is asked again, for what must be written and for more
_RECORD_BYTES, _VALUE_BYTES = 4096, 16  # what lies around them on disk, at most


class Scribe:
    """`run` must run for anything to be written."""

    def __init__(self, journal: Journal, room: Room = USUAL_ROOM) -> None:
        self.is_stuck = False
        """Whether there is no room even for what must be written."""
        self.backlog = 0
        """Bytes that are not on disk yet."""
        self._journal = journal
        self._room = room
        self._limiter = trio.CapacityLimiter(1)
        self._waiting: list[tuple[int, Sequence[Record], int]] = []
        self._more = trio.Event()
        self._progress = trio.Event()

    def add(self, ticket: int, records: Sequence[Record]) -> None:
        """Write these down behind all others."""
        size = sum(map(_cost, records))
        self.backlog += size
        self._waiting.append((ticket, records, size))
        self._more.set()

    def has_room(self, size: int) -> bool:
        """Whether entries of so many bytes could be written for sure, after all that waits."""
        return self._journal.room >= self.backlog + size + _RECORD_BYTES + self._room.headroom

    async def make_room(self, size: int) -> None:
        """See to it that `has_room`. Raises `LogFull`."""
        keep = self._room.headroom
        while not self.has_room(size):
            await self._off_loop(lambda: self._journal.reserve(self.backlog + size + _RECORD_BYTES, keep))

    async def keep_up(self) -> None:
        """Until the backlog is bearable."""
        while self.backlog > MAX_BACKLOG:
            await self._progress.wait()

    async def rest(self) -> None:
        """Until the disk has done what it is doing."""
        await self._off_loop(lambda: None)

    async def run(self, durable: Callable[[int], None], roomy: Callable[[], None]) -> None:
        """Write until cancelled. Raises `OSError`, which is final.

        `durable` is told the last ticket of each batch, `roomy` that there is room again.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_room, roomy)
            await self._write_all(durable)

    async def _write_all(self, durable: Callable[[int], None]) -> None:
        while True:
            await self._more.wait()
            ticket, records, size = self._take()
            await self._write(records)
            self.backlog -= size
            self._progress.set()
            self._progress = trio.Event()
            durable(ticket)

    async def close(self) -> None:
        """Let the journal go, even if cancelled."""
        with trio.CancelScope(shield=True):
            await self._off_loop(self._journal.close)

    def _take(self) -> tuple[int, list[Record], int]:
        ticket, records, size, count = 0, list[Record](), 0, 0
        for ticket, some, more in self._waiting:  # noqa: B007  # the last one is what counts
            records += some
            size += more
            count += 1
            if size >= _BATCH_BYTES:
                break
        del self._waiting[:count]
        if not self._waiting:
            self._more = trio.Event()
        return ticket, records, size

    async def _write(self, records: Sequence[Record]) -> None:
        """What a member has decided must be written: without room, it waits for some and says nothing to anybody."""
        while True:
            try:
                await self._off_loop(lambda: self._journal.append(records))
            except LogFull as full:
                if not self.is_stuck:
                    _logger.error("This log member can do nothing until there is room on its disk: %s", full)
                self.is_stuck = True
                await trio.sleep(_RETRY_S)
            else:
                self.is_stuck = False
                return

    async def _keep_room(self, roomy: Callable[[], None]) -> None:
        """Have some made ahead, as long as there is any; a disk that was full is asked again."""
        is_short = False
        while True:
            while self.has_room(self._room.low_water):
                await self._progress.wait()
            try:
                await self.make_room(self._room.low_water)
                is_short = False
                roomy()
            except LogFull as full:
                if not is_short:
                    _logger.warning("This log member has hardly any room left: %s", full)
                is_short = True
                await trio.sleep(_REFILL_S)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        """One at a time, and not abandoned: a cancelled caller waits until the disk has answered."""
        return await trio.to_thread.run_sync(work, limiter=self._limiter)


def _cost(record: Record) -> int:
    if isinstance(record, Wrote | Caught):
        return _RECORD_BYTES + size_of(record.values)
    return _RECORD_BYTES


def size_of(values: Sequence[Value]) -> int:
    """Bytes on disk, at most, besides those of the record that holds them."""
    return sum(_VALUE_BYTES + len(value) if isinstance(value, bytes) else _RECORD_BYTES for value in values)
