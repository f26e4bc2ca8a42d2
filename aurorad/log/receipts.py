"""Who waits for the log: for what was placed in it, and for whether this process still writes to it."""

from __future__ import annotations

from collections import deque

import trio

from aurorad.log.errors import LogLost


class Submission:
    """`face.Receipt` of entries up to the position `last`."""

    def __init__(self, last: int, size: int, since_s: float) -> None:
        self.last = last
        self.size = size
        self.since_s = since_s
        self._done = trio.Event()
        self._why: str | None = None

    async def wait(self) -> int:
        """As `face.Receipt` says."""
        await self._done.wait()
        if self._why is not None:
            raise LogLost(self._why)
        return self.last

    def done(self) -> None:
        self._done.set()

    def lost(self, why: str) -> None:
        self._why = why
        self._done.set()


class Receipts:
    """Those that are out, by position."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of what is under way."""
        self.fewer = trio.Event()
        """Set, and another takes its place, whenever there is less under way."""
        self._out: deque[Submission] = deque()

    def add(self, receipt: Submission) -> None:
        self._out.append(receipt)
        self.size += receipt.size

    def done(self, end: int) -> list[Submission]:
        """Everything before `end` is in the log; the receipts that are done by that."""
        done: list[Submission] = []
        while self._out and self._out[0].last < end:
            receipt = self._out.popleft()
            self.size -= receipt.size
            receipt.done()
            done.append(receipt)
        if done:
            self._wake()
        return done

    def lost(self, why: str) -> int:
        """How many are."""
        out, self._out, self.size = self._out, deque(), 0
        for receipt in out:
            receipt.lost(why)
        self._wake()
        return len(out)

    def _wake(self) -> None:
        self.fewer.set()
        self.fewer = trio.Event()


class Confirmations:
    """Those who ask whether this process still writes to the log, by the token of their question."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    def of(self, token: int) -> trio.Event:
        """Set when this token is `confirmed`, or all are `lost`. Tokens do not fall."""
        if not self._waiting or self._waiting[-1][0] < token:
            self._waiting.append((token, trio.Event()))
        return self._waiting[-1][1]

    def confirmed(self, token: int) -> None:
        while self._waiting and self._waiting[0][0] <= token:
            self._waiting.popleft()[1].set()

    def lost(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1].set()
