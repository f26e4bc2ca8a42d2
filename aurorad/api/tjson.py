"""TJSONProtocol: the encoding of the web pages and of scripts (wire sheet, section 1).

A struct is ``{"<id>": {"<type>": value}}``, a list ``["<type>", size, ...]``, a map ``["<k>", "<v>", size, {...}]``,
a message ``[1, "<method>", <type>, <sequence>, {struct}]``.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import reprlib
from collections.abc import Callable, Iterable
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
from aurorad.api.wire import MessageHeader, MessageType, UnionError, WireError

S = TypeVar("S", bound=ThriftStruct)

# JSON values, whose shape only the declaration knows.
Convert = Callable[[Any], Any]
Written = dict[int, msgspec.Raw]
"""The large structs of one encoding so far, by identity: the values being written outlive the writing."""
Writer = Callable[[Any, Written], Any]

_PROTOCOL_VERSION = 1
# A struct of so many fields that meets us again, as the configuration of a job's next instance does, is copied.
_LARGE_FIELD_COUNT = 10
_NAMES = {"bool": "tf", "i32": "i32", "i64": "i64", "double": "dbl", "string": "str", "binary": "str"}


def encode(value: ThriftStruct) -> bytes:
    return msgspec.json.encode(_to_json(StructOf(type(value)))(value, {}))


def decode(cls: type[S], data: bytes) -> S:
    """Raises `WireError`."""
    return _build(cls, _parse(data))


def encode_message(header: MessageHeader, body: ThriftStruct) -> bytes:
    struct = _to_json(StructOf(type(body)))(body, {})
    return msgspec.json.encode([_PROTOCOL_VERSION, header.method, int(header.type), header.sequence, struct])


class Message:
    """A decoded envelope whose struct is not read yet: its type depends on the method."""

    def __init__(self, header: MessageHeader, body: object) -> None:
        self.header = header
        self._body = body

    def body(self, cls: type[S]) -> S:
        """Raises `WireError`."""
        return _build(cls, self._body)


def decode_message(data: bytes) -> Message:
    """The first JSON value in `data` as a message; text after it is ignored. Raises `WireError`."""
    match _parse(data):
        case [1, str(method), int(kind), int(sequence), body] if kind in set(MessageType):
            return Message(MessageHeader(method, MessageType(kind), _integer(32)(sequence)), body)
    raise WireError('a TJSON message was expected: [1, "<method>", <type>, <sequence>, {...}]')


def _parse(data: bytes) -> object:
    """The first JSON value in `data`. Raises `WireError`."""
    try:
        return cast(object, msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        try:
            return _parse_leniently(data)
        except (ValueError, RecursionError):
            raise WireError(f"not JSON: {error}") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


# Apache's Python library writes control characters as they are, and text may follow a message (thrift-api sheet).
_LENIENT = json.JSONDecoder(strict=False, parse_constant=_no_constant)


def _parse_leniently(data: bytes) -> object:
    text = data.decode()
    start = len(text) - len(text.lstrip())
    value, _ = _LENIENT.raw_decode(text, start)
    return cast(object, msgspec.json.decode(msgspec.json.encode(value)))  # so that both ways give the same values


def _build(cls: type[S], value: object) -> S:
    try:
        return cast(S, _from_json(StructOf(cls))(value))
    except WireError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise WireError(f"{cls.__name__}: {error}") from None


def _name(t: Type) -> str:
    match t:
        case Base(name):
            return _NAMES[name]
        case EnumOf():
            return "i32"
        case StructOf():
            return "rec"
        case ListOf():
            return "lst"
        case SetOf():
            return "set"
        case MapOf():
            return "map"


def _encode_int(value: int, _: Written) -> int:
    return int(value)


def _same(value: Any, _: Written) -> Any:
    return value


def _encode_base64(value: bytes, _: Written) -> str:
    return base64.b64encode(value).decode()


_SPECIAL = {float("inf"): "Infinity", float("-inf"): "-Infinity"}


def _encode_double(value: float, _: Written) -> float | str:
    return "NaN" if value != value else _SPECIAL.get(value, float(value))


@functools.cache
def _to_json(t: Type) -> Writer:
    match t:
        case Base("bool") | EnumOf() | Base("i32") | Base("i64"):
            return _encode_int
        case Base("binary"):
            return _encode_base64
        case Base("double"):
            return _encode_double
        case Base(_):
            return _same
        case StructOf(cls):
            return _struct_to_json(cls)
        case ListOf(element) | SetOf(element):
            name, convert = _name(element), _to_json(element)
            return lambda values, written: [name, len(values), *[convert(value, written) for value in values]]
        case MapOf(key, value):
            return _map_to_json(key, value)


def _map_to_json(key: Type, value: Type) -> Writer:
    key_name, value_name, convert_key, convert_value = _name(key), _name(value), _to_json(key), _to_json(value)

    def convert(values: Any, written: Written) -> Any:
        pairs = {str(convert_key(k, written)): convert_value(v, written) for k, v in values.items()}
        return [key_name, value_name, len(pairs), pairs]

    return convert


@functools.cache
def _struct_to_json(cls: type[ThriftStruct]) -> Writer:
    rows = [(f.attribute, str(f.id), _name(f.type), _to_json(f.type)) for f in fields_of(cls)]

    def convert(value: Any, written: Written) -> Any:
        out = {}
        for attribute, field_id, name, convert_field in rows:
            field = getattr(value, attribute)
            if field is not None:
                out[field_id] = {name: convert_field(field, written)}
        return out

    def convert_or_copy(value: Any, written: Written) -> Any:
        known = written.get(id(value))
        if known is None:
            written[id(value)] = known = msgspec.Raw(msgspec.json.encode(convert(value, written)))
        return known

    return convert if len(rows) < _LARGE_FIELD_COUNT else convert_or_copy


def _integer(bits: int) -> Convert:
    limit = 1 << (bits - 1)

    def convert(value: Any) -> int:
        number = int(value) if isinstance(value, str) else value
        if not isinstance(number, int) or isinstance(number, bool) or not -limit <= number < limit:
            raise WireError(f"{reprlib.repr(value)} where a {bits}-bit integer was expected")
        return number

    return convert


def _decode_bool(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    raise WireError(f"{reprlib.repr(value)} where 0 or 1 was expected")


def _decode_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise WireError(f"{reprlib.repr(value)} where a string was expected")


def _decode_base64(value: Any) -> bytes:
    text = _decode_string(value)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)  # Apache's libraries drop the padding
    except binascii.Error as error:
        raise WireError(f"not base64: {error}") from None


def _decode_double(value: Any) -> float:
    if isinstance(value, bool):
        raise WireError(f"{reprlib.repr(value)} where a number was expected")
    return float(value)


_BASE_DECODERS: dict[str, Convert] = {
    "bool": _decode_bool,
    "i32": _integer(32),
    "i64": _integer(64),
    "double": _decode_double,
    "string": _decode_string,
    "binary": _decode_base64,
}


@functools.cache
def _from_json(t: Type) -> Convert:
    match t:
        case Base(name):
            return _BASE_DECODERS[name]
        case EnumOf(cls):
            return _enum_from_json({int(member): member for member in cls})
        case StructOf(struct_cls):
            return _struct_from_json(struct_cls)
        case ListOf(element):
            return _collection_from_json(element, tuple)
        case SetOf(element):
            return _collection_from_json(element, frozenset)
        case MapOf(key, value):
            return _map_from_json(key, value)


def _enum_from_json(members: dict[int, Any]) -> Convert:
    integer = _integer(32)

    def convert(value: Any) -> Any:
        number = integer(value)
        return members.get(number, number)

    return convert


def _collection_from_json(element: Type, make: Callable[[Iterable[Any]], Any]) -> Convert:
    name, convert = _name(element), _from_json(element)

    def convert_all(value: Any) -> Any:
        got, size, *values = value
        if size != len(values) or (got != name and values):
            raise WireError(
                f'["{name}", {len(values)}, ...] was expected, not [{reprlib.repr(got)}, {reprlib.repr(size)}, ...]'
            )
        return make(map(convert, values))

    return convert_all


def _map_from_json(key: Type, value: Type) -> Convert:
    names, convert_key, convert_value = (_name(key), _name(value)), _from_json(key), _from_json(value)

    def convert(raw: Any) -> Any:
        key_name, value_name, size, pairs = raw
        if size != len(pairs) or (pairs and (key_name, value_name) != names):
            got = reprlib.repr((key_name, value_name, size))
            raise WireError(f"a map of {names} with {len(pairs)} pairs was expected, not {got}")
        return frozendict({convert_key(k): convert_value(v) for k, v in pairs.items()})

    return convert


@functools.cache
def _struct_from_json(cls: type[ThriftStruct]) -> Convert:
    """Fields of an unknown id, of another type or with an unknown enum number are as if they were not there."""
    rows: dict[str, tuple[str, str, Convert, bool]] = {}
    is_union = issubclass(cls, ThriftUnion)
    for f in fields_of(cls):
        rows[str(f.id)] = (f.attribute, _name(f.type), _from_json(f.type), isinstance(f.type, EnumOf))

    def convert(raw: Any) -> ThriftStruct:
        if not isinstance(raw, dict):
            raise WireError(f"{cls.__name__}: a JSON object was expected, not {reprlib.repr(raw)}")
        values: dict[str, Any] = {}
        for field_id, typed in raw.items():
            ((name, value),) = typed.items()
            row = rows.get(field_id)
            if row is not None and row[1] == name:
                member = row[2](value)
                if not row[3] or isinstance(member, IntEnum):
                    values[row[0]] = member
        if is_union and len(values) != 1:
            raise UnionError(f"{cls.__name__}: {len(values)} members set where exactly one was expected")
        return cls(**values)

    return convert
