"""JSON under the IDL's names, for people and scripts without thrift (http-endpoints sheet, section 3.3).

Enums are their names, a union is an object of its one member, sets and lists are arrays, maps objects. What is unset is
left out, primitives and collections are always there. Members that nobody knows are passed over; `null` is unset.
"""

from __future__ import annotations

import base64
import binascii
import functools
import math
import reprlib
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar, cast

import msgspec
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
from aurorad.api.wire import WireError

S = TypeVar("S", bound=ThriftStruct)

Written = dict[int, msgspec.Raw]
"""The large structs of one encoding so far, by identity: the values being written outlive the writing."""
Writer = Callable[[Any, Written], Any]
Reader = Callable[[Any], Any]

# A struct of so many fields that meets us again, as the configuration of a job's next instance does, is copied.
_LARGE_FIELD_COUNT = 10


class _Misfit(Exception):
    """A value that is not of its type; `path` is filled in on the way out."""

    def __init__(self, got: object, expected: str) -> None:
        super().__init__()
        self.text = f"{reprlib.repr(got)} where {expected} was expected"
        self.path = ""

    def within(self, step: str) -> _Misfit:
        self.path = f"{step}{self.path}"
        return self


def to_json(value: ThriftStruct) -> Any:
    """The struct as values for msgspec's JSON encoder."""
    return _struct_writer(type(value))(value, {})


def encode(value: ThriftStruct) -> bytes:
    return msgspec.json.encode(to_json(value))


def from_json(cls: type[S], value: object) -> S:
    """The struct that JSON values stand for. Raises `WireError`, whose text begins with the path of what is wrong."""
    try:
        return cast(S, _struct_reader(cls)(value))
    except _Misfit as misfit:
        raise WireError(f"{misfit.path.lstrip('.') or cls.__name__}: {misfit.text}") from None


@functools.cache
def _writer(t: Type) -> Writer:
    match t:
        case EnumOf():
            return lambda value, written: value.name if isinstance(value, IntEnum) else value
        case Base("binary"):
            return lambda value, written: base64.b64encode(value).decode()
        case Base("double"):
            return lambda value, written: float(value)
        case Base(_):
            return lambda value, written: value
        case StructOf(cls):
            return _struct_writer(cls)
        case ListOf(element) | SetOf(element):
            write = _writer(element)
            return lambda values, written: [write(value, written) for value in values]
        case MapOf(key, value):
            write_key, write_value = _writer(key), _writer(value)
            return lambda values, written: {
                str(write_key(k, written)): write_value(v, written) for k, v in values.items()
            }


@functools.cache
def _struct_writer(cls: type[ThriftStruct]) -> Writer:
    rows = [(f.attribute, f.name, _writer(f.type)) for f in fields_of(cls)]

    def write(value: Any, written: Written) -> Any:
        out = {}
        for attribute, name, write_field in rows:
            member = getattr(value, attribute)
            if member is not None:
                out[name] = write_field(member, written)
        return out

    def write_or_copy(value: Any, written: Written) -> Any:
        known = written.get(id(value))
        if known is None:
            written[id(value)] = known = msgspec.Raw(msgspec.json.encode(write(value, written)))
        return known

    return write if len(rows) < _LARGE_FIELD_COUNT else write_or_copy


def _integer(bits: int) -> Reader:
    limit = 1 << (bits - 1)

    def read(value: Any) -> int:
        number = (
            int(value) if isinstance(value, float) and value.is_integer() else value
        )  # JSON does not tell them apart
        if isinstance(number, bool) or not isinstance(number, int) or not -limit <= number < limit:
            raise _Misfit(value, f"a {bits}-bit integer")
        return number

    return read


def _read_double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise _Misfit(value, "a number")
    return float(value)


_LARGEST = math.ldexp(1 - 2**-53, 1024)


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Misfit(value, "true or false")
    return value


def _read_string(value: Any) -> str:
    if not isinstance(value, str):
        raise _Misfit(value, "a string")
    return value


def _read_binary(value: Any) -> bytes:
    try:
        return base64.b64decode(_read_string(value), validate=True)
    except binascii.Error:
        raise _Misfit(value, "base64") from None


_BASE_READERS: frozendict[str, Reader] = frozendict(
    {
        "bool": _read_bool,
        "i32": _integer(32),
        "i64": _integer(64),
        "double": _read_double,
        "string": _read_string,
        "binary": _read_binary,
    }
)


@functools.cache
def _reader(t: Type) -> Reader:
    match t:
        case Base(name):
            return _BASE_READERS[name]
        case EnumOf(cls):
            return _enum_reader(cls)
        case StructOf(struct_cls):
            return _struct_reader(struct_cls)
        case ListOf(element):
            return lambda values: tuple(_elements(_reader(element), values))
        case SetOf(element):
            return lambda values: frozenset(_elements(_reader(element), values))
        case MapOf(key, value):
            return _map_reader(key, value)


def _enum_reader(cls: type[IntEnum]) -> Reader:
    members = {member.name: member for member in cls}

    def read(value: Any) -> IntEnum:
        if not isinstance(value, str) or value not in members:
            raise _Misfit(value, f"one of {', '.join(members)}")
        return members[value]

    return read


def _elements(read: Reader, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise _Misfit(values, "an array")
    elements = []
    for index, value in enumerate(values):
        try:
            elements.append(read(value))
        except _Misfit as misfit:
            raise misfit.within(f"[{index}]") from None
    return elements


def _map_reader(key: Type, value: Type) -> Reader:
    read_key, read_value = _reader(key), _reader(value)

    def read(pairs: Any) -> frozendict[Any, Any]:
        if not isinstance(pairs, dict):
            raise _Misfit(pairs, "an object")
        found = {}
        for name, member in pairs.items():
            try:
                found[read_key(name)] = read_value(member)
            except _Misfit as misfit:
                raise misfit.within(f"[{reprlib.repr(name)}]") from None
        return frozendict(found)

    return read


@functools.cache
def _struct_reader(cls: type[ThriftStruct]) -> Reader:
    rows = {f.name: (f.attribute, _reader(f.type)) for f in fields_of(cls)}
    is_union = issubclass(cls, ThriftUnion)

    def read(value: Any) -> ThriftStruct:
        if not isinstance(value, dict):
            raise _Misfit(value, f"an object, {cls.__name__},")
        members: dict[str, Any] = {}
        for name, member in value.items():
            row = rows.get(name)
            if row is None or member is None:
                continue
            try:
                members[row[0]] = row[1](member)
            except _Misfit as misfit:
                raise misfit.within(f".{name}") from None
        if is_union and len(members) != 1:
            raise _Misfit(value, f"an object of one of {', '.join(rows)}")
        return cls(**members)

    return read
