"""The latest changes of tasks and updates, for who follows them from outside.

There is one ring for all readers, and each knows how far it has read: who is slow holds nobody up, takes no memory,
and is told how much it has missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import trio

from aurorad.storage.events import TaskChanged, UpdateChanged

KEPT = 10_000
"""Changes that are remembered: a job of thousands of instances may be created within a reader's moment."""

Change = TaskChanged | UpdateChanged


class Position(NamedTuple):
    """Behind how many changes of which reign a reader is."""

    reign: str
    number: int

    def __str__(self) -> str:
        return f"{self.reign}-{self.number}"

    @classmethod
    def read(cls, text: str) -> Position | None:
        """The inverse of `str`; None for anything else."""
        reign, dash, number = text.rpartition("-")
        if not dash or not number.isascii() or not number.isdecimal() or len(number) > 18:
            return None
        return cls(reign, int(number))


class Piece(NamedTuple):
    """What comes next: changes with the number of the first, and how many before them are gone."""

    missed: int
    first: int
    changes: Sequence[Change]


class Feed:
    """The changes of one reign. Numbers begin with 0."""

    def __init__(self, reign: str, kept: int = KEPT) -> None:
        """`reign` tells this one from all others, before and after."""
        self.reign = reign
        self._kept = kept
        self._ring: list[Change] = []
        self.count = 0
        """How many changes there were."""
        self._grown: trio.Event | None = None

    def changed(self, change: Change) -> None:
        if len(self._ring) < self._kept:
            self._ring.append(change)
        else:
            self._ring[self.count % self._kept] = change
        self.count += 1
        if self._grown is not None:
            self._grown.set()
            self._grown = None

    def after(self, number: int, at_most: int) -> Piece:
        """What follows the first `number` changes."""
        oldest = self.count - len(self._ring)
        first = max(number, oldest)
        last = min(self.count, first + at_most)
        return Piece(first - number, first, [self._ring[index % self._kept] for index in range(first, last)])

    async def grown(self, number: int) -> None:
        """Wait until there are more than `number` changes."""
        while self.count <= number:
            if self._grown is None:
                self._grown = trio.Event()
            await self._grown.wait()
