"""What a log is to those who use it: the local one today, a replicated one the same way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class Log(Protocol):
    """Entries at positions that only grow."""

    @property
    def begin(self) -> int:
        """The position of the first entry that is still there."""

    @property
    def end(self) -> int:
        """The position that the next entry gets."""

    @property
    def size(self) -> int:
        """Bytes on disk."""

    async def append(self, entries: Sequence[bytes]) -> int:
        """Make all entries durable, at consecutive positions; the position of the last.

        Raises `LogFull` when there is no room; then none of them is in the log. Any other error is final: the outcome
        is unknown until the log is opened anew.
        """

    def read(self, position: int) -> AsyncIterator[list[tuple[int, bytes]]]:
        """The entries from `position` to the end with their positions, a handful at a time.

        Raises `LookupError` where entries were truncated, `LogDamaged` if they are no more what they were.
        """

    async def truncate(self, before: int) -> None:
        """Entries before the position `before` may be forgotten."""
