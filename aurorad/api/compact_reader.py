"""How values are read from TCompactProtocol: `compact.py` says what it is."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from frozendict import frozendict

from aurorad.api.struct import (
    Base,
    EnumOf,
    ListOf,
    MapOf,
    SetOf,
    StructOf,
    ThriftStruct,
    ThriftUnion,
    Type,
    fields_of,
)
from aurorad.api.wire import MAX_DEPTH, MAX_ELEMENTS, UnionError, UnrecognizedType, WireError

# The value's type is known only to the declaration that a reader was built from, hence Any.
Reader = Callable[[bytes, int], tuple[Any, int]]

DOUBLE = struct.Struct("<d")
STOP = 0
_LONGEST_VARINT = 10


class Tag(IntEnum):
    """The wire types; a field's tag is also the value of a bool."""

    TRUE = 1
    FALSE = 2
    BYTE = 3
    I16 = 4
    I32 = 5
    I64 = 6
    DOUBLE = 7
    BINARY = 8
    LIST = 9
    SET = 10
    MAP = 11
    STRUCT = 12


_TAGS = frozendict(
    {
        "bool": Tag.TRUE,
        "i32": Tag.I32,
        "i64": Tag.I64,
        "double": Tag.DOUBLE,
        "string": Tag.BINARY,
        "binary": Tag.BINARY,
    }
)


@functools.cache
def tag_of(t: Type) -> Tag:
    match t:
        case Base(name):
            return _TAGS[name]
        case EnumOf():
            return Tag.I32
        case StructOf():
            return Tag.STRUCT
        case ListOf():
            return Tag.LIST
        case SetOf():
            return Tag.SET
        case MapOf():
            return Tag.MAP


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    number, shift = byte & 0x7F, 7
    for at in range(position + 1, position + _LONGEST_VARINT):
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + 1
        shift += 7
    raise WireError("a number of more than 64 bits")


def _integer_reader(bits: int) -> Reader:
    limit = 1 << bits

    def read(data: bytes, position: int) -> tuple[int, int]:
        number, end = read_varint(data, position)
        if number >= limit:
            raise WireError(f"a number of more than {bits} bits")
        return (number >> 1) ^ -(number & 1), end

    return read


_read_i16, _read_i32, _read_i64 = _integer_reader(16), _integer_reader(32), _integer_reader(64)


def _read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    size, start = read_varint(data, position)
    if size > len(data) - start:
        raise WireError(f"a string of {size} bytes where {len(data) - start} are left")
    return data[start : start + size], start + size


def read_string(data: bytes, position: int) -> tuple[str, int]:
    raw, end = _read_bytes(data, position)
    try:
        return raw.decode(), end
    except UnicodeDecodeError as error:
        raise WireError(f"a string that is not UTF-8: {error}") from None


def _read_double(data: bytes, position: int) -> tuple[float, int]:
    return DOUBLE.unpack_from(data, position)[0], position + DOUBLE.size


def _read_bool(data: bytes, position: int) -> tuple[bool, int]:
    return data[position] == Tag.TRUE, position + 1


_BASE_READERS: frozendict[str, Reader] = frozendict(
    {
        "bool": _read_bool,
        "i32": _read_i32,
        "i64": _read_i64,
        "double": _read_double,
        "string": read_string,
        "binary": _read_bytes,
    }
)


@functools.cache
def _reader(t: Type) -> Reader:
    match t:
        case Base(name):
            return _BASE_READERS[name]
        case EnumOf(cls):
            return _enum_reader({int(member): member for member in cls})
        case StructOf(struct_cls):
            return struct_reader(struct_cls)
        case ListOf(element):
            return _collection_reader(element, tuple)
        case SetOf(element):
            return _collection_reader(element, frozenset)
        case MapOf(key, value):
            return _map_reader(key, value)


def _enum_reader(members: dict[int, Any]) -> Reader:
    def read(data: bytes, position: int) -> tuple[Any, int]:
        number, end = _read_i32(data, position)
        # An unknown number stays a number: in a query's set it then matches nothing (thrift-api sheet, section 1).
        return members.get(number, number), end

    return read


def _read_collection(data: bytes, position: int) -> tuple[int, int, int]:
    """How many elements, their tag, and where they begin."""
    head = data[position]
    count, start = (head >> 4, position + 1) if head < 0xF0 else read_varint(data, position + 1)
    return _checked(count, 1, data, start), head & 0x0F, start


def _read_map(data: bytes, position: int) -> tuple[int, int, int, int]:
    """How many pairs, the tags of their parts, and where they begin."""
    count, start = read_varint(data, position)
    if count == 0:
        return 0, 0, 0, start
    return _checked(count, 2, data, start + 1), data[start] >> 4, data[start] & 0x0F, start + 1


def _checked(count: int, smallest: int, data: bytes, start: int) -> int:
    """A collection's size, refused when even `smallest` bytes an element would not fit."""
    if count * smallest > len(data) - start:
        raise WireError(f"a collection of {count} elements where {len(data) - start} bytes are left")
    if count > MAX_ELEMENTS:
        raise WireError(f"a collection of {count} elements: at most {MAX_ELEMENTS} are taken")
    return count


def _collection_reader(element: Type, make: Callable[[list[Any]], Any]) -> Reader:
    tag, read = tag_of(element), _reader(element)

    def read_all(data: bytes, position: int) -> tuple[Any, int]:
        count, got, position = _read_collection(data, position)
        if got != tag and count:
            raise WireError(f"a collection of wire type {got} where {tag} was expected")
        values = []
        for _ in range(count):
            value, position = read(data, position)
            values.append(value)
        return make(values), position

    return read_all


def _map_reader(key: Type, value: Type) -> Reader:
    tags, read_key, read_value = (tag_of(key), tag_of(value)), _reader(key), _reader(value)

    def read(data: bytes, position: int) -> tuple[Any, int]:
        count, *got, position = _read_map(data, position)
        if tuple(got) != tags and count:
            raise WireError(f"a map of wire types {got} where {list(map(int, tags))} were expected")
        values = {}
        for _ in range(count):
            k, position = read_key(data, position)
            values[k], position = read_value(data, position)
        return frozendict(values), position

    return read


def _read_field(data: bytes, position: int, before: int) -> tuple[int, int, int]:
    """A field's tag and number, and where its value begins. Tag 0 is the end of the struct."""
    head = data[position]
    if head == STOP:
        return STOP, 0, position + 1
    if head >> 4:
        return head & 0x0F, before + (head >> 4), position + 1
    number, position = _read_i16(data, position + 1)
    return head & 0x0F, number, position


@functools.cache
def struct_reader(cls: type[ThriftStruct]) -> Reader:
    """Fields of an unknown id, of another wire type or with an unknown enum number are as if they were not there."""
    is_union = issubclass(cls, ThriftUnion)
    rows = {
        (int(tag_of(f.type)), f.id): (f.attribute, _reader(f.type), isinstance(f.type, EnumOf)) for f in fields_of(cls)
    }

    def read(data: bytes, position: int) -> tuple[ThriftStruct, int]:
        values: dict[str, Any] = {}
        number = 0
        while True:
            tag, number, position = _read_field(data, position, number)
            if tag == STOP:
                break
            if tag in (Tag.TRUE, Tag.FALSE):  # the header held all of it
                row = rows.get((Tag.TRUE, number))
                if row is not None:
                    values[row[0]] = tag == Tag.TRUE
                continue
            row = rows.get((tag, number))
            if row is None:
                position = _skip(data, position, tag, MAX_DEPTH)
                continue
            value, position = row[1](data, position)
            if not row[2] or isinstance(value, IntEnum):
                values[row[0]] = value
        if is_union and len(values) != 1:
            raise UnionError(f"{cls.__name__}: {len(values)} members set where exactly one was expected")
        return cls(**values), position

    return read


def _skip(data: bytes, position: int, tag: int, depth: int) -> int:
    """The position after a value that nobody wants, which is no field of type bool."""
    if depth == 0:
        raise WireError(f"values nested more than {MAX_DEPTH} deep")
    match tag:
        case Tag.TRUE | Tag.FALSE | Tag.BYTE:
            return position + 1
        case Tag.I16 | Tag.I32 | Tag.I64:
            return read_varint(data, position)[1]
        case Tag.DOUBLE:
            return position + DOUBLE.size
        case Tag.BINARY:
            return _read_bytes(data, position)[1]
        case Tag.STRUCT:
            return _skip_struct(data, position, depth)
        case Tag.LIST | Tag.SET:
            count, inner, position = _read_collection(data, position)
            for _ in range(count):
                position = _skip(data, position, inner, depth - 1)
            return position
        case Tag.MAP:
            count, key, value, position = _read_map(data, position)
            for _ in range(count):
                position = _skip(data, _skip(data, position, key, depth - 1), value, depth - 1)
            return position
    raise UnrecognizedType(f"wire type {tag}, which thrift does not have", tag)


def _skip_struct(data: bytes, position: int, depth: int) -> int:
    while True:
        tag, _, position = _read_field(data, position, 0)
        if tag == STOP:
            return position
        if tag not in (Tag.TRUE, Tag.FALSE):
            position = _skip(data, position, tag, depth - 1)
