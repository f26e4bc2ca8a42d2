"""TCompactProtocol: the smallest of thrift's encodings, for clients that read many tasks over a slow line.

Numbers are varints, zigzag-coded; a field's header holds the distance to the field before it; a field that is a bool
holds its value there. As for TBinary, a reader (`compact_reader.py`) and a writer are built once from each declaration.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any, TypeVar, cast

from frozendict import frozendict

from aurorad.api.compact_reader import DOUBLE, STOP, Tag, read_string, read_varint, struct_reader, tag_of
from aurorad.api.struct import Base, EnumOf, ListOf, MapOf, SetOf, StructOf, ThriftStruct, Type, fields_of
from aurorad.api.wire import MessageHeader, MessageType, WireError

S = TypeVar("S", bound=ThriftStruct)


class _Output(bytearray):
    """The bytes so far, and those of each large struct among them."""

    def __init__(self, begin: bytes = b"") -> None:
        super().__init__(begin)
        self.written: dict[int, bytes] = {}
        """By identity: the values being written outlive the writing."""


# The value's type is known only to the declaration that a writer was built from, hence Any.
Writer = Callable[[Any, _Output], None]

_PROTOCOL = 0x82
_VERSION = 1
# A struct of so many fields that meets us again, as the configuration of a job's next instance does, is copied.
_LARGE_FIELD_COUNT = 10


def encode(value: ThriftStruct) -> bytes:
    """The struct's bytes, without a message around it."""
    out = _Output()
    _struct_writer(type(value))(value, out)
    return bytes(out)


def decode(cls: type[S], data: bytes) -> S:
    """The struct at the start of `data`; what follows it is ignored. Raises `WireError`."""
    return read_struct(cls, data, 0)[0]


def read_struct(cls: type[S], data: bytes, position: int) -> tuple[S, int]:
    """The struct at `position`, and the position after it. Raises `WireError`."""
    try:
        value, end = struct_reader(cls)(data, position)
    except (struct.error, IndexError):
        raise WireError(f"{cls.__name__}: the bytes end in the middle of it") from None
    return cast(S, value), end


def encode_message(header: MessageHeader, body: ThriftStruct) -> bytes:
    out = _Output(bytes((_PROTOCOL, _VERSION | header.type << 5)))
    _write_varint(header.sequence & 0xFFFFFFFF, out)
    _write_bytes(header.method.encode(), out)
    _struct_writer(type(body))(body, out)
    return bytes(out)


def decode_header(data: bytes) -> tuple[MessageHeader, int]:
    """The header of a message, and where its body starts. Raises `WireError`."""
    try:
        protocol, versioned = data[0], data[1]
        if protocol != _PROTOCOL or versioned & 0x1F != _VERSION:
            raise WireError(f"message begins with {data[:2].hex()} where 82 and version 1 were expected")
        sequence, position = read_varint(data, 2)
        name, position = read_string(data, position)
        signed = sequence - (1 << 32) if sequence & 0x80000000 else sequence
        if not -(1 << 31) <= signed < 1 << 31:
            raise WireError(f"message header: {sequence} is no sequence number")
        return MessageHeader(name, MessageType(versioned >> 5), signed), position
    except IndexError:
        raise WireError("the bytes end inside the message header") from None
    except WireError:
        raise
    except ValueError as error:
        raise WireError(f"message header: {error}") from None


def _write_varint(number: int, out: _Output) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _write_integer(value: int, out: _Output) -> None:
    _write_varint((value << 1) ^ (value >> 63), out)


def _write_bytes(value: bytes, out: _Output) -> None:
    _write_varint(len(value), out)
    out += value


def _write_string(value: str, out: _Output) -> None:
    _write_bytes(value.encode(), out)


def _write_double(value: float, out: _Output) -> None:
    out += DOUBLE.pack(value)


def _write_bool(value: bool, out: _Output) -> None:
    """As an element; a field has it in its header."""
    out.append(Tag.TRUE if value else Tag.FALSE)


_BASE_WRITERS: frozendict[str, Writer] = frozendict(
    {
        "bool": _write_bool,
        "i32": _write_integer,
        "i64": _write_integer,
        "double": _write_double,
        "string": _write_string,
        "binary": _write_bytes,
    }
)


@functools.cache
def _writer(t: Type) -> Writer:
    match t:
        case Base(name):
            return _BASE_WRITERS[name]
        case EnumOf():
            return _write_integer
        case StructOf(cls):
            return _struct_writer(cls)
        case ListOf(element) | SetOf(element):
            return _collection_writer(element)
        case MapOf(key, value):
            return _map_writer(key, value)


def _collection_writer(element: Type) -> Writer:
    tag, write = tag_of(element), _writer(element)

    def write_all(values: Any, out: _Output) -> None:
        if len(values) < 15:
            out.append(len(values) << 4 | tag)
        else:
            out.append(0xF0 | tag)
            _write_varint(len(values), out)
        for value in values:
            write(value, out)

    return write_all


def _map_writer(key: Type, value: Type) -> Writer:
    tags, write_key, write_value = tag_of(key) << 4 | tag_of(value), _writer(key), _writer(value)

    def write(values: Any, out: _Output) -> None:
        _write_varint(len(values), out)
        if values:
            out.append(tags)
        for k, v in values.items():
            write_key(k, out)
            write_value(v, out)

    return write


@functools.cache
def _struct_writer(cls: type[ThriftStruct]) -> Writer:
    rows = [(f.attribute, f.id, tag_of(f.type), _writer(f.type), f.type == Base("bool")) for f in fields_of(cls)]

    def write(value: Any, out: _Output) -> None:
        before = 0
        for attribute, number, tag, write_field, is_bool in rows:
            field = getattr(value, attribute)
            if field is None:
                continue
            if is_bool and not field:
                tag = Tag.FALSE
            if 0 < number - before <= 15:
                out.append(number - before << 4 | tag)
            else:
                out.append(tag)
                _write_integer(number, out)
            before = number
            if not is_bool:
                write_field(field, out)
        out.append(STOP)

    def write_or_copy(value: Any, out: _Output) -> None:
        known = out.written.get(id(value))
        if known is not None:
            out += known
            return
        start = len(out)
        write(value, out)
        out.written[id(value)] = bytes(out[start:])

    return write if len(rows) < _LARGE_FIELD_COUNT else write_or_copy
