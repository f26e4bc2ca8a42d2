"""The newest values of a log, in memory: those not known to be chosen, and some before for who is a little behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from aurorad.log.messages import Value

# What is kept of learned values: enough for who missed a second of writes, and no burden. Twice as much may be here.
KEEP_VALUES = 4096
KEEP_BYTES = 8 << 20


class Recent:
    """The values at `start` and behind it, without holes."""

    def __init__(self, start: int, values: Sequence[Value] = ()) -> None:
        self.start = start
        self._values: list[Value] = list(values)
        self._bytes = 0
        self._chunks: deque[tuple[int, int]] = deque()  # how many values, and how many bytes they have
        self._chunk_anew()

    @property
    def end(self) -> int:
        return self.start + len(self._values)

    def slice(self, first: int, end: int) -> list[Value]:
        """The values at `first` up to `end`, which must be here."""
        assert self.start <= first <= end <= self.end, (self.start, first, end, self.end)
        return self._values[first - self.start : end - self.start]

    def piece(self, first: int, end: int, size: int) -> list[Value]:
        """Values at `first` and behind it, up to `end`, as many as make up `size` bytes."""
        values = self.slice(first, end)
        for count, value in enumerate(values, 1):
            size -= len(value) if type(value) is bytes else 0
            if size <= 0:
                return values[:count]
        return values

    def append(self, values: Sequence[Value]) -> None:
        self._values.extend(values)
        size = size_of(values)
        self._bytes += size
        self._chunks.append((len(values), size))

    def cut(self, end: int) -> None:
        """Drop what lies at `end` and behind it."""
        assert self.start <= end <= self.end, (self.start, end, self.end)
        if end < self.end:
            del self._values[end - self.start :]
            self._chunk_anew()

    def overlay(self, first: int, values: Sequence[Value]) -> None:
        """Put `values` in the place of what lies at `first` and behind it, as far as they go."""
        assert self.start <= first <= self.end, (self.start, first, self.end)
        if first == self.end:
            self.append(values)
        else:
            offset = first - self.start
            self._values[offset : offset + len(values)] = values
            self._chunk_anew()

    def begin_at(self, begin: int) -> None:
        """Drop what lies before `begin`; begin there anew if all does."""
        if begin > self.start:
            del self._values[: begin - self.start]
            self.start = begin
            self._chunk_anew()

    def trim(self, needed: int) -> None:
        """Drop the oldest if there are too many, but nothing at `needed` or behind it."""
        if len(self._values) <= 2 * KEEP_VALUES and self._bytes <= 2 * KEEP_BYTES:
            return
        dropped = 0
        while len(self._values) - dropped > KEEP_VALUES or self._bytes > KEEP_BYTES:
            count, size = self._chunks[0]
            if self.start + dropped + count > needed:
                break
            self._chunks.popleft()
            self._bytes -= size
            dropped += count
        if dropped:
            del self._values[:dropped]
            self.start += dropped

    def _chunk_anew(self) -> None:
        self._bytes = size_of(self._values)
        self._chunks = deque([(len(self._values), self._bytes)])


def size_of(values: Sequence[Value]) -> int:
    """Bytes of the user's entries among `values`."""
    return sum([len(value) for value in values if type(value) is bytes])
