"""How entries lie in a segment: one batch per append, whole or not at all under one checksum.

The next append begins only when the one before it is durable, so a crash can tear the last batch of a log and no other.

    magic 4 | crc32 4 | body size 4 | entry count 4 | position of the first entry 8 | body: (size 4, entry) ...

All numbers are big-endian; the checksum covers everything after itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

MAGIC = b"\xa5AL1"
_HEADER = struct.Struct(">4sIIIQ")
_CHECKED_FROM = 8
_SIZE = struct.Struct(">I")


class Batch(NamedTuple):
    """What one append wrote: entries at consecutive positions, and the offset after them."""

    position: int
    entries: tuple[bytes, ...]
    end_offset: int


def encode(position: int, entries: Sequence[bytes]) -> bytes:
    """The batch of `entries`, the first of them at `position`."""
    body = b"".join(part for entry in entries for part in (_SIZE.pack(len(entry)), entry))
    header = _HEADER.pack(MAGIC, 0, len(body), len(entries), position)
    checksum = zlib.crc32(body, zlib.crc32(header[_CHECKED_FROM:]))
    return MAGIC + _SIZE.pack(checksum) + header[_CHECKED_FROM:] + body


def decode(data: bytes, offset: int) -> Batch | None:
    """The batch at `offset`, or None if there is no whole and unharmed one."""
    start = offset + _HEADER.size
    if start > len(data):
        return None
    magic, checksum, size, count, position = _HEADER.unpack_from(data, offset)
    end = start + size
    if magic != MAGIC or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[offset + _CHECKED_FROM : end]) != checksum:
        return None
    entries: list[bytes] = []
    for _ in range(count):
        (entry_size,) = _SIZE.unpack_from(data, start)
        start += _SIZE.size
        entries.append(data[start : start + entry_size])
        start += entry_size
    return Batch(position, tuple(entries), end)


def any_after(data: bytes, offset: int) -> bool:
    """Whether an unharmed batch lies anywhere after `offset`."""
    while (offset := data.find(MAGIC, offset + 1)) >= 0:
        if decode(data, offset) is not None:
            return True
    return False
