"""How batches lie in a file of a member's journal: in whole sectors, each of which tells whether it ever arrived.

A file is made of zeros before anything is written into it, and one batch is one write of whole sectors:

    first sector: kind 1 | header: its checksum 4, the body's 4, the previous batch's 4, size 4, number 8 | body
    all others:   mark 1 | body, then zeros; the last byte of a batch is a mark again

All numbers are big-endian. A crash keeps of a write any of its sectors, or its beginning; so a batch that a crash tore
has a sector of zeros in it, or ends with a zero, and one that was whole has neither, whatever its body. That is how a
flipped bit is told from a torn write. A batch names the one before it, so none can be missing, old, or another file's.
"""

from __future__ import annotations

import enum
import re
import struct
import zlib
from typing import NamedTuple

SECTOR = 512
"""What a disk writes as a whole, at least."""

_REST = b"\x5a"
_END = 0x5A
_PAYLOAD = SECTOR - 1
_HEADER = struct.Struct(">IIIIQ")
_CHECKED_FROM = 1 + 4
_BODY_FROM = 1 + _HEADER.size
_OVERHEAD = _HEADER.size + 1


class Kind(enum.IntEnum):
    """The first byte of a batch."""

    HEAD = 0xA1
    """The first of a file."""
    APPEND = 0xA5
    CLOSE = 0xAC
    """The last of a file that another one follows."""


_KINDS = re.compile(b"[%b]" % bytes(Kind))
_KIND_OF = {int(kind): kind for kind in Kind}


class Header(NamedTuple):
    """The beginning of a batch. Its `checksum` covers that of the body, so it stands for all of the batch."""

    kind: Kind
    checksum: int
    body_checksum: int
    previous: int
    size: int
    number: int

    @property
    def length(self) -> int:
        """Bytes on disk."""
        return length(self.size)


class Batch(NamedTuple):
    header: Header
    body: bytes
    end_offset: int


def length(size: int) -> int:
    """Bytes that a batch with a body of `size` bytes takes on disk."""
    return -(-(size + _OVERHEAD) // _PAYLOAD) * SECTOR


def encode(kind: Kind, number: int, previous: int, body: bytes) -> bytes:
    """The batch as it is written; `previous` is the checksum of the one before."""
    sectors = length(len(body)) // SECTOR
    payload = bytearray(sectors * _PAYLOAD)
    payload[_HEADER.size : _HEADER.size + len(body)] = body
    payload[-1] = _END
    data = bytearray([kind])
    data += _REST.join([payload[start : start + _PAYLOAD] for start in range(0, len(payload), _PAYLOAD)])
    body_checksum = zlib.crc32(memoryview(data)[_BODY_FROM:])
    _HEADER.pack_into(data, 1, 0, body_checksum, previous, len(body), number)
    struct.pack_into(">I", data, 1, _header_checksum(data, 0))
    return bytes(data)


def header(data: bytes, offset: int) -> Header | None:
    """The header at `offset`, or None if there is no unharmed one."""
    if offset + SECTOR > len(data):
        return None
    kind = _KIND_OF.get(data[offset])
    if kind is None:
        return None
    found = Header(kind, *_HEADER.unpack_from(data, offset + 1))
    return found if found.checksum == _header_checksum(data, offset) else None


def decode(data: bytes, offset: int) -> Batch | None:
    """The batch at `offset`, or None if there is no whole and unharmed one."""
    found = header(data, offset)
    if found is None:
        return None
    size = found.size
    end = offset + length(size)
    written = data[offset + _BODY_FROM : end]
    if end > len(data) or zlib.crc32(written) != found.body_checksum:
        return None
    body = bytearray(written)
    del body[SECTOR - _BODY_FROM :: SECTOR]
    return Batch(found, bytes(body[:size]), end)


def _header_checksum(data: bytes | bytearray, offset: int) -> int:
    return zlib.crc32(data[offset + _CHECKED_FROM : offset + _BODY_FROM], data[offset])


def is_blank(data: bytes, offset: int) -> bool:
    """Whether nothing was ever written from `offset` on."""
    return data.count(0, offset) == len(data) - offset


def not_torn(data: bytes, offset: int) -> str | None:
    """Why what lies at `offset`, where no whole batch is, cannot be what a crash left of one; None if it can."""
    found = header(data, offset)
    if found is None:
        return _without_header(data, offset)
    end = offset + found.length
    if end > len(data):
        return "the file ends before the batch does"
    if not is_blank(data, end):
        return "the checksum does not match, yet more was written after it"
    missing = any(not any(data[start : start + SECTOR]) for start in range(offset, end, SECTOR))
    return None if missing or data[end - 1] == 0 else "the checksum does not match"


def _without_header(data: bytes, offset: int) -> str | None:
    sector = data[offset : offset + SECTOR]
    if any(sector):
        # A write that ended within its first sector.
        cut_off = sector[-1] == 0 and is_blank(data, offset + SECTOR)
        return None if cut_off else "the header of a batch does not match its checksum"
    marks = data[offset::SECTOR]
    followers = (offset + match.start() * SECTOR for match in _KINDS.finditer(marks))
    if any(header(data, follower) is not None for follower in followers):
        return "no batch there, yet others follow"
    return None
