"""TCompactProtocol: the smallest of thrift's encodings, for clients that read many tasks over a slow line.

Numbers are varints, zigzag-coded; a field's header holds the distance to the field before it; a field that is a bool
holds its value there. As for TBinary, a reader (`compact_reader.py`) and a writer are built once from each declaration.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

from frozendict import frozendict

from aurorad.api.compact_reader import DOUBLE, Tag, read_string, read_varint, struct_reader, tag_of
from aurorad.api.struct import Base, EnumOf, Field, ListOf, MapOf, SetOf, StructOf, ThriftStruct, Type, fields_of
from aurorad.api.wire import MessageHeader, MessageType, WireError
from aurorad.api.writing import Output, Writer, struct_writer

S = TypeVar("S", bound=ThriftStruct)


_PROTOCOL = 0x82
_VERSION = 1


def encode(value: ThriftStruct) -> bytes:
    """The struct's bytes, without a message around it."""
    out = Output()
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
    return bytes(write_message(header, body))


def write_message(header: MessageHeader, body: ThriftStruct) -> Output:
    """The same, not copied once more."""
    out = Output(bytes((_PROTOCOL, _VERSION | header.type << 5)))
    _write_varint(header.sequence & 0xFFFFFFFF, out)
    _write_bytes(header.method.encode(), out)
    _struct_writer(type(body))(body, out)
    return out


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


def _write_varint(number: int, out: Output) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _write_integer(value: int, out: Output) -> None:
    _write_varint((value << 1) ^ (value >> 63), out)


def _write_bytes(value: bytes, out: Output) -> None:
    _write_varint(len(value), out)
    out += value


def _write_string(value: str, out: Output) -> None:
    _write_bytes(value.encode(), out)


def _write_double(value: float, out: Output) -> None:
    out += DOUBLE.pack(value)


def _write_bool(value: bool, out: Output) -> None:
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

    def write_all(values: Any, out: Output) -> None:
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

    def write(values: Any, out: Output) -> None:
        _write_varint(len(values), out)
        if values:
            out.append(tags)
        for k, v in values.items():
            write_key(k, out)
            write_value(v, out)

    return write


@functools.cache
def _struct_writer(cls: type[ThriftStruct]) -> Writer:
    names: dict[str, object] = {}
    return struct_writer(cls, [*_field_lines(fields_of(cls), names), "out.append(0)"], names)


def _field_lines(fields: Iterable[Field], names: dict[str, object]) -> Iterator[str]:
    """Statements that write each field of `value`; `names` gets what they refer to.

    A header depends on which field was written before it, which is known unless that could be left out.
    """
    before: int | None = 0
    yield "before = 0"
    for field in fields:
        names[f"write_{field.id}"] = _writer(field.type)
        names["head"] = _head
        tag = f"{int(Tag.TRUE)} if value.{field.attribute} else {int(Tag.FALSE)}"
        tag = tag if field.type == Base("bool") else str(int(tag_of(field.type)))
        yield f"field = value.{field.attribute}"
        lines = [f"out += head({tag}, {field.id}, {'before' if before is None else before})"]
        if field.type != Base("bool"):
            lines.append(f"write_{field.id}(field, out)")
        lines.append(f"before = {field.id}")
        yield from [f"if field is not None: {'; '.join(lines)}"] if field.nullable else lines
        before = None if field.nullable else field.id


@functools.cache
def _head(tag: int, number: int, before: int) -> bytes:
    """What stands before a field's value."""
    if 0 < number - before <= _MOST_APART:
        return bytes((number - before << 4 | tag,))
    out = Output(bytes((tag,)))
    _write_integer(number, out)
    return bytes(out)


_MOST_APART = 15  # fields of which the header of the second holds the distance
