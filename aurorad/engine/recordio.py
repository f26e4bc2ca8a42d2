"""RecordIO, in which Mesos streams events: the length of each record in digits, a line feed, the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_RECORD_BYTES = 256 << 20
"""Offers of a hundred thousand agents come in one record of about so much; nothing else is near."""

_MAX_LENGTH_DIGITS = 20


def record(body: bytes) -> bytes:
    """The body as a record."""
    return b"%d\n%b" % (len(body), body)


class Records(Generic[T]):
    """Cuts a stream into records, and makes of each what `decode` makes of it."""

    def __init__(self, decode: Callable[[bytes], T], max_bytes: int = MAX_RECORD_BYTES) -> None:
        """`decode` raises `ValueError` for what is none."""
        self._decode = decode
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """The records that are complete now. Raises `ValueError` for what is not RecordIO."""
        self._buffer += data
        while (end := self._buffer.find(b"\n", 0, _MAX_LENGTH_DIGITS + 1)) >= 0:
            length = int(self._buffer[:end])
            if not 0 < length <= self._max_bytes:
                raise ValueError(f"record of {length} bytes where 1 to {self._max_bytes} were expected")
            if len(self._buffer) <= end + length:
                return
            with memoryview(self._buffer) as view, view[end + 1 : end + 1 + length] as part:
                body = bytes(part)
            del self._buffer[: end + 1 + length]
            yield self._decode(body)
        if len(self._buffer) > _MAX_LENGTH_DIGITS:
            raise ValueError(f"no record length in {bytes(self._buffer[:_MAX_LENGTH_DIGITS])!r}")
