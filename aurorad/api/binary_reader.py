"""How values are read from TBinaryProtocol: `binary.py` says what it is."""

from __future__ import annotations

import functools
import mmap
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, Self, TypeVar, cast

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
from aurorad.api.wire import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MessageHeader,
    MessageType,
    Tag,
    UnionError,
    UnrecognizedType,
    WireError,
)

S = TypeVar("S", bound=ThriftStruct)


class Recalling(mmap.mmap):
    """Memory that knows which large structs were read of it: where the same bytes follow again, so does the same value.

    It is to be filled once it is there: to make much of it at once takes no time.
    """

    def __new__(cls, size: int) -> Self:
        """`size` is at least 1."""
        made = super().__new__(cls, -1, size)
        made.read_before = {}
        return made

    read_before: dict[tuple[type[ThriftStruct], bytes], tuple[bytes, ThriftStruct]]
    """By how they begin: of those that begin alike, the last one."""


Data = bytes | Recalling

# The value's type is known only to the declaration that a reader was built from, hence Any.
Reader = Callable[[Data, int], tuple[Any, int]]

_I16, _I32, _I64, _F64 = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q"), struct.Struct(">d")
VERSION = 0x80010000
_TAGS = frozendict(
    {
        "bool": Tag.BOOL,
        "i32": Tag.I32,
        "i64": Tag.I64,
        "double": Tag.DOUBLE,
        "string": Tag.STRING,
        "binary": Tag.STRING,
    }
)
# A struct of so many fields that meets us again, as the configuration of a job's next instance does, is not read again.
_LARGE_FIELD_COUNT = 10
_BEGINNING_BYTES = 96  # enough to tell a job's configuration from another's
_FIXED = {Tag.BOOL: 1, Tag.BYTE: 1, Tag.DOUBLE: 8, Tag.I16: 2, Tag.I32: 4, Tag.I64: 8}


def read_struct(cls: type[S], data: Data, position: int) -> tuple[S, int]:
    """The struct at `position`, and the position after it. Raises `WireError`."""
    try:
        value, end = _struct_reader(cls)(data, position)
    except (struct.error, IndexError):
        raise WireError(f"{cls.__name__}: the bytes end in the middle of it") from None
    return cast(S, value), end


def read_pieces(cls: type[ThriftStruct], data: Data) -> Iterator[tuple[str, Any]]:
    """The fields of the struct at the start of `data`, as its attributes and their values.

    A collection comes element by element. `Recalling` data is read faster. Raises `WireError`.
    """
    try:
        yield from _pieces(cls, data)
    except (struct.error, IndexError):
        raise WireError(f"{cls.__name__}: the bytes end in the middle of it") from None


def _pieces(cls: type[ThriftStruct], data: Data) -> Iterator[tuple[str, Any]]:
    fields = {(int(tag_of(field.type)), field.id): field for field in fields_of(cls)}
    position = 0
    while tag := data[position]:
        field = fields.get((tag, _I16.unpack_from(data, position + 1)[0]))
        position += 3
        if field is None:
            position = _skip(data, position, tag, MAX_DEPTH)
        elif isinstance(field.type, ListOf | SetOf):
            got, (count, position) = data[position], _count(data, position + 1, 1)
            expected, read = tag_of(field.type.element), _reader(field.type.element)
            if got != expected and count:
                raise WireError(f"a collection of wire type {got} where {expected} was expected")
            for _ in range(count):
                element, position = read(data, position)
                yield field.attribute, element
        else:
            value, position = _reader(field.type)(data, position)
            yield field.attribute, value


def decode_header(data: bytes) -> tuple[MessageHeader, int]:
    """The header of a message, with or without the version word, and where its body starts. Raises `WireError`."""
    try:
        first: int = struct.unpack_from(">I", data, 0)[0]
        if first & 0x80000000:
            if first & 0xFFFF0000 != VERSION:
                raise WireError(f"message version {first >> 16:#06x} where 0x8001 was expected")
            kind, position = first & 0xFF, 4
            name, position = _read_string(data, position)
        else:
            name, position = _read_string(data, 0)
            kind, position = data[position], position + 1
        sequence: int = _I32.unpack_from(data, position)[0]
        return MessageHeader(name, MessageType(kind), sequence), position + 4
    except (struct.error, IndexError):
        raise WireError("the bytes end inside the message header") from None
    except ValueError as error:
        raise WireError(f"message header: {error}") from None


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


def _read_bytes(data: Data, position: int) -> tuple[bytes, int]:
    size: int = _I32.unpack_from(data, position)[0]
    start = position + 4
    if not 0 <= size <= len(data) - start:
        raise WireError(f"a string of {size} bytes where {len(data) - start} are left")
    return data[start : start + size], start + size


def _read_string(data: Data, position: int) -> tuple[str, int]:
    raw, end = _read_bytes(data, position)
    try:
        return raw.decode(), end
    except UnicodeDecodeError as error:
        raise WireError(f"a string that is not UTF-8: {error}") from None


def _read_bool(data: Data, position: int) -> tuple[bool, int]:
    return data[position] != 0, position + 1


def _unpacker(packed: struct.Struct) -> Reader:
    unpack, size = packed.unpack_from, packed.size

    def read(data: Data, position: int) -> tuple[Any, int]:
        return unpack(data, position)[0], position + size

    return read


_BASE_READERS: dict[str, Reader] = {
    "bool": _read_bool,
    "i32": _unpacker(_I32),
    "i64": _unpacker(_I64),
    "double": _unpacker(_F64),
    "string": _read_string,
    "binary": _read_bytes,
}


@functools.cache
def _reader(t: Type) -> Reader:
    match t:
        case Base(name):
            return _BASE_READERS[name]
        case EnumOf(cls):
            return _enum_reader({int(member): member for member in cls})
        case StructOf(struct_cls):
            return _struct_reader(struct_cls)
        case ListOf(element):
            return _collection_reader(element, tuple)
        case SetOf(element):
            return _collection_reader(element, frozenset)
        case MapOf(key, value):
            return _map_reader(key, value)


def _enum_reader(members: dict[int, Any]) -> Reader:
    def read(data: Data, position: int) -> tuple[Any, int]:
        number: int = _I32.unpack_from(data, position)[0]
        # An unknown number stays a number: in a query's set it then matches nothing (thrift-api sheet, section 1).
        return members.get(number, number), position + 4

    return read


def _count(data: Data, position: int, smallest: int) -> tuple[int, int]:
    """A collection's size; refused when even `smallest` bytes an element would not fit, so that no lie costs memory."""
    count: int = _I32.unpack_from(data, position)[0]
    start = position + 4
    if not 0 <= count * smallest <= len(data) - start:
        raise WireError(f"a collection of {count} elements where {len(data) - start} bytes are left")
    return count, start


def _collection_reader(element: Type, make: Callable[[list[Any]], Any]) -> Reader:
    tag, read = tag_of(element), _reader(element)

    def read_all(data: Data, position: int) -> tuple[Any, int]:
        got = data[position]
        count, position = _count(data, position + 1, 1)
        if count > MAX_ELEMENTS:
            raise WireError(f"a collection of {count} elements: at most {MAX_ELEMENTS} are taken")
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

    def read(data: Data, position: int) -> tuple[Any, int]:
        got = (data[position], data[position + 1])
        count, position = _count(data, position + 2, 2)
        if got != tags and count:
            raise WireError(f"a map of wire types {got} where {tuple(map(int, tags))} was expected")
        values = {}
        for _ in range(count):
            k, position = read_key(data, position)
            values[k], position = read_value(data, position)
        return frozendict(values), position

    return read


@functools.cache
def _struct_reader(cls: type[ThriftStruct]) -> Reader:
    """Fields of an unknown id, of another wire type or with an unknown enum number are as if they were not there."""
    is_union = issubclass(cls, ThriftUnion)
    rows = {
        (int(tag_of(f.type)), f.id): (f.attribute, _reader(f.type), isinstance(f.type, EnumOf)) for f in fields_of(cls)
    }

    def read(data: Data, position: int) -> tuple[ThriftStruct, int]:
        values: dict[str, Any] = {}
        while tag := data[position]:
            row = rows.get((tag, _I16.unpack_from(data, position + 1)[0]))
            if row is None:
                position = _skip(data, position + 3, tag, MAX_DEPTH)
            else:
                value, position = row[1](data, position + 3)
                if not row[2] or isinstance(value, IntEnum):
                    values[row[0]] = value
        if is_union and len(values) != 1:
            raise UnionError(f"{cls.__name__}: {len(values)} members set where exactly one was expected")
        return cls(**values), position + 1

    def read_or_recall(data: Data, position: int) -> tuple[ThriftStruct, int]:
        if not isinstance(data, Recalling):
            return read(data, position)
        beginning = (cls, data[position : position + _BEGINNING_BYTES])
        known, value = data.read_before.get(beginning, (b"", None))
        if value is not None and data[position : position + len(known)] == known:
            return value, position + len(known)
        value, end = read(data, position)
        data.read_before[beginning] = data[position:end], value
        return value, end

    return read if len(rows) < _LARGE_FIELD_COUNT else read_or_recall


def _skip(data: Data, position: int, tag: int, depth: int) -> int:
    """The position after a value that nobody wants."""
    if depth == 0:
        raise WireError(f"values nested more than {MAX_DEPTH} deep")
    if tag in _FIXED:
        end = position + _FIXED[Tag(tag)]
        if end > len(data):
            raise WireError("the bytes end in the middle of a value")
        return end
    if tag == Tag.STRING:
        return _read_bytes(data, position)[1]
    if tag == Tag.STRUCT:
        while inner := data[position]:
            position = _skip(data, position + 3, inner, depth - 1)
        return position + 1
    if tag in (Tag.LIST, Tag.SET):
        inner = data[position]
        count, position = _count(data, position + 1, 1)
        for _ in range(count):
            position = _skip(data, position, inner, depth - 1)
        return position
    if tag == Tag.MAP:
        key, value = data[position], data[position + 1]
        count, position = _count(data, position + 2, 2)
        for _ in range(count):
            position = _skip(data, _skip(data, position, key, depth - 1), value, depth - 1)
        return position
    signed = tag - 256 if tag > 127 else tag
    raise UnrecognizedType(f"wire type {signed}, which thrift does not have", signed)
