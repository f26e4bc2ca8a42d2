"""The log of a cluster of one: `Segments` behind the face that every log has, off the event loop."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import trio

from aurorad.log.disk import Folder
from aurorad.log.face import Batches, Written
from aurorad.log.segments import Segments
from aurorad.vars import Vars

T = TypeVar("T")

_logger = logging.getLogger(__name__)

# Entries handed over by one read: few thread hops, and yet no long hold of the loop.
_READ_ENTRIES = 500


class LocalLog:
    """Positions count entries from 0. One process holds a log at a time."""

    def __init__(self, segments: Segments, stats: Vars) -> None:
        self._segments = segments
        self._stats = stats
        self._limiter = trio.CapacityLimiter(1)
        stats.declare("scheduler_log_bytes_written", "scheduler_log_entries_written")
        stats.declare("scheduler_log_bytes_read", "scheduler_log_entries_read")

    @classmethod
    async def open(cls, folder: Path, stats: Vars) -> LocalLog:
        """Raises `LogInUse`, `LogDamaged`, or `OSError`."""
        segments = await trio.to_thread.run_sync(lambda: Segments(Folder(folder)))
        if segments.torn_bytes:
            _logger.warning(
                "%s: the last %d bytes are no whole write, as a crash leaves one that nobody was told of: passed over",
                folder,
                segments.torn_bytes,
            )
        return cls(segments, stats)

    @property
    def begin(self) -> int:
        """The position of the first entry that is still there."""
        return self._segments.begin

    @property
    def end(self) -> int:
        """The position that the next entry gets."""
        return self._segments.end

    @property
    def reach(self) -> int:
        """Here, what lies there stays."""
        return self._segments.end

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._segments.size

    async def submit(self, entries: Sequence[bytes]) -> Written:
        """Make all entries durable, at consecutive positions.

        Raises `LogFull` if there is no room: then none of them is in the log. Any other `OSError` is final. If
        cancelled, nothing was written.
        """
        started = trio.current_time()
        position = await self._off_loop(lambda: self._segments.append(entries))
        self._stats.observe("scheduler_log_native_append", trio.current_time() - started)
        self._stats.count("scheduler_log_entries_written", len(entries))
        self._stats.count("scheduler_log_bytes_written", sum(map(len, entries)))
        return Written(position)

    async def read(self, position: int) -> Batches:
        """The entries from `position` on with their positions, a handful at a time.

        Raises `LookupError` where entries were truncated, `LogDamaged` if they are no more what they were.
        """
        entries = itertools.chain.from_iterable(self._segments.read(position))
        while some := await self._off_loop(lambda: list(itertools.islice(entries, _READ_ENTRIES))):
            self._stats.count("scheduler_log_entries_read", len(some))
            self._stats.count("scheduler_log_bytes_read", sum(len(entry) for _, entry in some))
            yield some

    async def truncate(self, before: int) -> None:
        """Entries before the position `before` may be forgotten. Any `OSError` is final."""
        started = trio.current_time()
        await self._off_loop(lambda: self._segments.truncate(before))
        self._stats.observe("scheduler_log_native_truncate", trio.current_time() - started)

    async def confirm(self) -> None:
        """Nobody else can write to it."""

    async def follow(self, position: int) -> Batches:
        """What is there; nobody else adds to it."""
        async with aclosing(self.read(position)) as batches:
            async for some in batches:
                yield some
        await trio.sleep_forever()

    @property
    def unfit(self) -> str | None:
        """A cluster of one always leads."""
        return None

    async def fit(self) -> None:
        """At once."""

    async def lead(self) -> None:
        """At once."""

    async def lost(self) -> str:
        """Never."""
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """Let the log go, even if cancelled."""
        with trio.CancelScope(shield=True):
            await self._off_loop(self._segments.close)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        """One at a time, and not abandoned: a cancelled caller waits until the disk has answered."""
        return await trio.to_thread.run_sync(work, limiter=self._limiter)
