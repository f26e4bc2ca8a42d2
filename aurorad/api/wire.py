"""What all thrift encodings share: the error for bytes that do not decode, the message around a call, media types."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class WireError(ValueError):
    """Bytes that are not what the contract says. The text names what was expected and where."""


class UnrecognizedType(WireError):
    """A value of a wire type, `tag`, that thrift does not have (thrift-api sheet, section 1, transport failures)."""

    def __init__(self, message: str, tag: int) -> None:
        super().__init__(message)
        self.tag = tag


class UnionError(UnrecognizedType):
    """A union with no member, or more than one, set: Apache's library takes the end of it for a type, 0."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 0)


class MessageType(IntEnum):
    CALL = 1
    REPLY = 2
    EXCEPTION = 3
    ONEWAY = 4


class MessageHeader(NamedTuple):
    method: str
    type: MessageType
    sequence: int


# Media types of the encodings over HTTP.
JSON_TYPE = "application/vnd.apache.thrift.json"
BINARY_TYPE = "application/vnd.apache.thrift.binary"
COMPACT_TYPE = "application/vnd.apache.thrift.compact"

# Deeper than any declared struct; keeps unknown nested fields from exhausting the stack.
MAX_DEPTH = 64
# Of one collection: more than any cluster has tasks. An element may take one byte on the wire and a hundred in memory.
MAX_ELEMENTS = 1 << 21


class Tag(IntEnum):
    """Thrift's wire types."""

    STOP = 0
    BOOL = 2
    BYTE = 3
    DOUBLE = 4
    I16 = 6
    I32 = 8
    I64 = 10
    STRING = 11
    STRUCT = 12
    MAP = 13
    SET = 14
    LIST = 15
