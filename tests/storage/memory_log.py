"""A log in memory, which can be slow, full or broken."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import trio

from aurorad.log.errors import LogFull, LogLost
from aurorad.log.face import Batches, Written


class MemoryLog:
    def __init__(self) -> None:
        self.entries: list[tuple[int, bytes]] = []
        self.appends: list[int] = []
        """How many entries each append brought."""
        self.begin = 0
        self.end = 0
        self.unknown = 0
        """How many entries lie behind the end, of which is not known whether they stay."""
        self.full = False
        self.failure: Exception | None = None
        self.gate: trio.Event | None = None
        """What appends wait for."""
        self.reached = trio.Event()
        """Set when one waits."""
        self.asked = trio.Event()
        """Set when it was asked to confirm."""
        self.confirmed = trio.Event()
        self.confirmed.set()
        self.unconfirmed: LogLost | None = None
        """Raised in place of a confirmation."""

    @property
    def reach(self) -> int:
        return self.end + self.unknown

    @property
    def size(self) -> int:
        return sum(len(entry) for _, entry in self.entries)

    async def submit(self, entries: Sequence[bytes]) -> Written:
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            self.reached.set()
            await self.gate.wait()
        if self.full:
            raise LogFull("No space left on device")
        if self.failure is not None:
            raise self.failure
        self.entries += enumerate(entries, self.end)
        self.appends.append(len(entries))
        self.end += len(entries)
        return Written(self.end - 1)

    async def read(self, position: int) -> Batches:
        for entry in [entry for entry in self.entries if entry[0] >= position]:
            await trio.lowlevel.checkpoint()
            yield [entry]

    async def truncate(self, before: int) -> None:
        await trio.lowlevel.checkpoint()
        self.begin = max(self.begin, before)
        self.entries = [entry for entry in self.entries if entry[0] >= before]

    async def confirm(self) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.set()
        await self.confirmed.wait()
        if self.unconfirmed is not None:
            raise self.unconfirmed


class NoLog(MemoryLog):
    """Keeps nothing."""

    async def submit(self, entries: Sequence[bytes]) -> Written:
        return Written(0)

    async def confirm(self) -> None: ...


class FollowedLog(MemoryLog):
    """One that members follow while another leads it."""

    def __init__(self) -> None:
        super().__init__()
        self.unfit: str | None = None
        self._grown = trio.Event()

    async def submit(self, entries: Sequence[bytes]) -> Written:
        receipt = await super().submit(entries)
        self._grown.set()
        self._grown = trio.Event()
        return receipt

    def skip(self, positions: int) -> None:
        """Positions that hold no entry."""
        self.end += positions

    async def follow(self, position: int) -> Batches:
        while True:
            grown = self._grown
            if position < self.begin:
                raise LookupError(f"position {position} was truncated")
            async with aclosing(self.read(position)) as batches:
                async for some in batches:
                    position = some[-1][0] + 1
                    yield some
            await grown.wait()

    async def fit(self) -> None:
        await trio.lowlevel.checkpoint()

    async def lead(self) -> None:
        await trio.lowlevel.checkpoint()

    async def lost(self) -> str:
        await trio.sleep_forever()
        raise AssertionError
