"""How two members of a log begin to talk: frames on a stream, and who says what first.

A frame is its length, a CRC-32 of what follows (4 bytes each, big-endian), and that many bytes of msgpack; an empty one
says that somebody is still there. What the weak sums of TCP let through must not get into a log.

Whoever dials sends a `Hello`, the other answers with one, and each looks at what came: a process of another log is told
apart before it can say anything else. Then only the one who dialled speaks.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

from aurorad.log.messages import Peer

PROTOCOL = 1

MAX_HELLO_BYTES = 4 << 10
"""Of the first frame, which anybody may send."""

MAX_FRAME_BYTES = 128 << 20
"""Of any other: several times what a leader ever has under way, which a new one's first write holds at once."""

ALIVE = bytes(8)
"""The empty frame."""

_HEAD = struct.Struct(">II")


class Malformed(Exception):
    """What came is no frame, or not what was expected at this point."""


class Stranger(Exception):
    """What came is from a process that has no business here. The text says why."""


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """Who speaks, and to whom."""

    protocol: int
    cluster_id: str
    """Which log this is about."""
    sender: str
    """Where the sender can be dialled, as ``ip:port``."""
    receiver: str
    """Where it dialled; its own address in an answer."""
    peer: Peer
    """What the sender is."""


def check(hello: Hello, mine: Hello) -> None:
    """Raises `Stranger` unless `hello` can be from another member of this log."""
    if hello.protocol != mine.protocol:
        raise Stranger(f"it speaks version {hello.protocol} of the protocol, version {mine.protocol} was expected")
    if hello.cluster_id != mine.cluster_id:
        raise Stranger(f"it belongs to the log of cluster {hello.cluster_id!r}, {mine.cluster_id!r} was expected")
    if hello.sender == mine.sender:
        raise Stranger("it says that it is this very member")


def frame(payload: bytes) -> bytes:
    """`payload` as it goes over the wire."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


class Frames:
    """Cuts what comes over a stream into the payloads of frames."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        """Of a payload; may change."""
        self._parts: list[bytes | bytearray] = []
        self._received = 0
        self._needed = _HEAD.size

    def feed(self, data: bytes | bytearray) -> list[memoryview]:
        """The payloads that are whole with what came next; empty ones are left out. Raises `Malformed`."""
        self._parts.append(data)
        self._received += len(data)
        if self._received < self._needed:  # a large frame's parts are not joined again and again
            return []
        stream, start = memoryview(b"".join(self._parts)), 0
        found: list[memoryview] = []
        self._needed = _HEAD.size
        while len(stream) - start >= _HEAD.size:
            size, checksum = _HEAD.unpack_from(stream, start)
            if size > self.max_bytes:
                raise Malformed(f"a frame of {size} bytes, at most {self.max_bytes} were expected")
            begin, end = start + _HEAD.size, start + _HEAD.size + size
            if end > len(stream):
                self._needed = end - start
                break
            if zlib.crc32(stream[begin:end]) != checksum:
                raise Malformed("a frame whose checksum does not match")
            if size:
                found.append(stream[begin:end])
            start = end
        rest = bytes(stream[start:])
        self._parts, self._received = [rest], len(rest)
        return found
