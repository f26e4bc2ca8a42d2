"""The newest values of a log, in memory: those not known to be chosen, and some before for who is a little behind."""

from __future__ import annotations

from collections.abc import Sequence

from aurorad.log.messages import Value

# What is kept of learned values: enough for who missed a second of writes, and no burden.
KEEP_VALUES = 4096
KEEP_BYTES = 8 << 20
# What a value without bytes counts, and each one beside its bytes.
_VALUE_BYTES = 64


class Recent:
    """The values at `start` and behind it, without holes."""

    def __init__(self, start: int, values: Sequence[Value] = ()) -> None:
        self.start = start
        self._values: list[Value] = list(values)
        self._bytes = _size(self._values)

    @property
    def end(self) -> int:
        return self.start + len(self._values)

    def slice(self, first: int, end: int) -> list[Value]:
        """The values at `first` up to `end`, which must be here."""
        assert self.start <= first <= end <= self.end, (self.start, first, end, self.end)
        return self._values[first - self.start : end - self.start]

    def append(self, values: Sequence[Value]) -> None:
        self._values.extend(values)
        self._bytes += _size(values)

    def cut(self, end: int) -> None:
        """Drop what lies at `end` and behind it."""
        assert self.start <= end <= self.end, (self.start, end, self.end)
        if end < self.end:
            self._bytes -= _size(self._values[end - self.start :])
            del self._values[end - self.start :]

    def overlay(self, first: int, values: Sequence[Value]) -> None:
        """Put `values` in the place of what lies at `first` and behind it, as far as they go."""
        assert self.start <= first <= self.end, (self.start, first, self.end)
        offset = first - self.start
        self._bytes += _size(values) - _size(self._values[offset : offset + len(values)])
        self._values[offset : offset + len(values)] = values

    def begin_at(self, begin: int) -> None:
        """Drop what lies before `begin`; begin there anew if all does."""
        if begin > self.start:
            self._drop(min(begin - self.start, len(self._values)))
            self.start = begin

    def trim(self, needed: int) -> None:
        """Drop what is too much, but nothing at `needed` or behind it. Seldom has to: twice as much may be here."""
        if len(self._values) <= 2 * KEEP_VALUES and self._bytes <= 2 * KEEP_BYTES:
            return
        count, size = len(self._values), self._bytes
        dropped = 0
        for value in self._values[: max(0, needed - self.start)]:
            if count - dropped <= KEEP_VALUES and size <= KEEP_BYTES:
                break
            size -= _size((value,))
            dropped += 1
        self._drop(dropped)
        self.start += dropped

    def _drop(self, count: int) -> None:
        self._bytes -= _size(self._values[:count])
        del self._values[:count]


def _size(values: Sequence[Value]) -> int:
    return sum(len(value) if type(value) is bytes else 0 for value in values) + _VALUE_BYTES * len(values)
