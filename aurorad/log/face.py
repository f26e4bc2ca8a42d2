"""What a log is to those who use it, be it this machine's alone or one that several machines agree upon."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

Batches = AsyncGenerator[list[tuple[int, bytes]], None]
"""Entries with their positions, a handful at a time. Close it (`contextlib.aclosing`) if you do not read to its end."""


class Receipt(Protocol):
    """Entries that have their places in the log."""

    async def wait(self) -> int:
        """Until they are durable, as everything before them is; the position of the last of them.

        Raises `LogLost`: then whether they stay in the log is unknown. May be cancelled, which changes nothing.
        """


class Log(Protocol):
    """Entries at positions that only grow; there may be positions without an entry."""

    @property
    def begin(self) -> int:
        """The position of the first entry that is still there."""

    @property
    def end(self) -> int:
        """After the last entry that can be read."""

    @property
    def reach(self) -> int:
        """After the last entry that lies here, although it may not be known yet to stay: at least `end`."""

    @property
    def size(self) -> int:
        """Bytes on disk."""

    async def submit(self, entries: Sequence[bytes]) -> Receipt:
        """Place `entries`, at least one, at consecutive positions behind all that were submitted before.

        Many receipts may be waited for at a time. Raises `LogFull` when there is no room: none of them has a place
        then, and nothing was told to anybody. Raises `LogLost`: then what became of them is unknown, as after any other
        error, until the log is opened anew. If cancelled, nothing was placed.
        """

    def read(self, position: int) -> Batches:
        """The entries from `position` to the end with their positions, a handful at a time.

        Raises `LookupError` where entries were truncated, `LogDamaged` if they are no more what they were.
        """

    async def truncate(self, before: int) -> None:
        """Entries before the position `before` may be forgotten. Raises `LogLost`."""

    async def confirm(self) -> None:
        """Nobody else has written to the log before this call. Raises `LogLost` if that cannot be known."""


class LedLog(Log, Protocol):
    """A log whose members follow it until one of them leads: only that one may `submit`, `truncate` and `confirm`."""

    def follow(self, position: int) -> Batches:
        """The entries from `position` on, those that are still to come too: it never ends. Raises as `read`."""

    @property
    def unfit(self) -> str | None:
        """Why this member could not lead now, in a sentence; None if it could."""

    async def fit(self) -> None:
        """Until this member could lead."""

    async def lead(self) -> None:
        """Be the one who writes: `read` then gives all that is before what this process will submit.

        Raises `NotElected` if that failed, and may be tried again, `Refused` if this member must not lead as it is.
        """

    async def lost(self) -> str:
        """Until this process cannot write to the log any more, having led; the reason."""


class Written:
    """The receipt of a log whose `submit` does it all."""

    def __init__(self, last: int) -> None:
        self._last = last

    async def wait(self) -> int:
        return self._last
