"""What clients of a log did and saw, and whether a single log, used by one of them at a time, could look like that.

The log only grows, and each operation says where it took place in it: an append at its position, a read between the
last entry that it saw and the next one. So the order in which they must have happened is known, and all there is to do
is to look whether time allows it: the log is linearizable if, in that order, no operation began after a later one
had ended (Herlihy and Wing; with positions known, one pass suffices).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass
class Append:
    """`position` is set once it is acknowledged. Without an end, its outcome is unknown."""

    value: bytes
    began: int
    ended: int | None = None
    position: int | None = None
    refused: bool = False
    """It was told that nothing was written."""


@dataclass
class Read:
    """It saw all below `end`."""

    began: int
    ended: int | None = None
    end: int | None = None


class History:
    """Operations, by a clock that ticks with each beginning and end."""

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self.reads: list[Read] = []
        self._clock = 0

    def append(self, value: bytes) -> Append:
        self.appends.append(Append(value, self._tick()))
        return self.appends[-1]

    def read(self) -> Read:
        self.reads.append(Read(self._tick()))
        return self.reads[-1]

    def acknowledged(self, append: Append, position: int) -> None:
        append.position, append.ended = position, self._tick()

    def refused(self, append: Append) -> None:
        append.refused, append.ended = True, self._tick()

    def saw(self, read: Read, end: int) -> None:
        read.end, read.ended = end, self._tick()

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def objections(appends: Sequence[Append], reads: Sequence[Read], log: Mapping[int, bytes]) -> Iterator[str]:
    """Why no single log can look like that. `log` is all that was ever seen at any position."""
    where: dict[bytes, int] = {}
    for position, value in sorted(log.items()):
        if value in where:
            yield f"{value!r} is in the log twice, at {where[value]} and {position}"
        where[value] = position
    known = {append.value for append in appends}
    for value in where.keys() - known:
        yield f"{value!r} is in the log, and nobody wrote it"
    points: list[tuple[int, int, int, int | None, str]] = []
    for append in appends:
        at = where.get(append.value)
        if append.position is not None and at != append.position:
            yield f"{append.value!r} was acknowledged at {append.position}, and is at {at}"
        elif append.refused and at is not None:
            yield f"{append.value!r} was refused, and is at {at}"
        elif at is not None:
            points.append((at, 1, append.began, append.ended, f"the append of {append.value!r} at {at}"))
    points += [
        (read.end, 0, read.began, read.ended, f"a read of all below {read.end}")
        for read in reads
        if read.end is not None
    ]
    began, latest = -1, ""
    for _, _, start, ended, what in sorted(points, key=lambda point: point[:3]):
        if start > began:
            began, latest = start, what
        if ended is not None and ended < began:
            yield f"{what} ended before {latest} began, and cannot come after it"
