"""TJSONProtocol: the encoding of the web pages and of scripts (wire sheet, section 1).

A struct is ``{"<id>": {"<type>": value}}``, a list ``["<type>", size, ...]``, a map ``["<k>", "<v>", size, {...}]``,
a message ``[1, "<method>", <type>, <sequence>, {struct}]``.
"""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any, TypeVar, cast

import msgspec
from frozendict import frozendict

from aurorad.api.struct import (
    Base,
    EnumOf,
    Field,
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
from aurorad.api.writing import Output, Writer, struct_writer

S = TypeVar("S", bound=ThriftStruct)

# JSON values, whose shape only the declaration knows.
Convert = Callable[[Any], Any]
_PROTOCOL_VERSION = 1
_NAMES = {"bool": "tf", "i32": "i32", "i64": "i64", "double": "dbl", "string": "str", "binary": "str"}


def encode(value: ThriftStruct) -> bytes:
    out = Output()
    _struct_writer(type(value))(value, out)
    return bytes(out)


def decode(cls: type[S], data: bytes) -> S:
    """Raises `WireError`."""
    return _build(cls, _parse(data))


def encode_message(header: MessageHeader, body: ThriftStruct) -> bytes:
    return bytes(write_message(header, body))


def write_message(header: MessageHeader, body: ThriftStruct) -> Output:
    """The same, not copied once more."""
    out = Output(b"[%d,%b,%d,%d," % (_PROTOCOL_VERSION, _text(header.method), header.type, header.sequence))
    _struct_writer(type(body))(body, out)
    out += b"]"
    return out


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


_text = msgspec.json.Encoder().encode


def _write_number(value: int, out: Output) -> None:
    out += b"%d" % value


def _write_string(value: str, out: Output) -> None:
    out += _text(value)


def _write_base64(value: bytes, out: Output) -> None:
    out += b'"%b"' % base64.b64encode(value)


_SPECIAL = {float("inf"): b'"Infinity"', float("-inf"): b'"-Infinity"'}


def _write_double(value: float, out: Output) -> None:
    out += b'"NaN"' if value != value else _SPECIAL.get(value) or _text(float(value))


_BASE_WRITERS: dict[str, Writer] = {
    "bool": _write_number,
    "i32": _write_number,
    "i64": _write_number,
    "double": _write_double,
    "string": _write_string,
    "binary": _write_base64,
}


@functools.cache
def _writer(t: Type) -> Writer:
    match t:
        case Base(name):
            return _BASE_WRITERS[name]
        case EnumOf():
            return _write_number
        case StructOf(cls):
            return _struct_writer(cls)
        case ListOf(element) | SetOf(element):
            return _collection_writer(element)
        case MapOf(key, value):
            return _map_writer(key, value)


def _collection_writer(element: Type) -> Writer:
    begin, write = b'["%b",%%d' % _name(element).encode(), _writer(element)

    def write_all(values: Any, out: Output) -> None:
        out += begin % len(values)
        for value in values:
            out += b","
            write(value, out)
        out += b"]"

    return write_all


def _map_writer(key: Type, value: Type) -> Writer:
    """Of texts: the declarations have no other maps but to numbers."""
    begin = b'["%b","%b",%%d,{' % (_name(key).encode(), _name(value).encode())
    write_key, write_value = _writer(key), _writer(value)
    quote = b"" if key == Base("string") else b'"'

    def write(values: Any, out: Output) -> None:
        out += begin % len(values)
        for k, v in values.items():
            out += quote
            write_key(k, out)
            out += quote + b":"
            write_value(v, out)
            out += b","
        _end(out)
        out += b"]"

    return write


def _end(out: Output) -> None:
    """Close an object, whose members are each followed by a comma."""
    if out.endswith(b","):
        out[-1:] = b"}"
    else:
        out += b"}"


@functools.cache
def _struct_writer(cls: type[ThriftStruct]) -> Writer:
    names: dict[str, object] = {"end": _end, "text": _text}
    return struct_writer(cls, ["out += b'{'", *_field_lines(fields_of(cls), names), "end(out)"], names)


def _field_lines(fields: Iterable[Field], names: dict[str, object]) -> Iterator[str]:
    """Statements that write each field of `value`; `names` gets what they refer to. Plain ones in a row go together."""
    for is_plain, group in itertools.groupby(fields, lambda f: bool(_plain(f.type)) and not f.nullable):
        if is_plain:
            row = list(group)
            template = b"".join(b'"%d":{"%b":%b},' % (f.id, _name(f.type).encode(), _plain(f.type)) for f in row)
            members = ", ".join(_member(f, f"value.{f.attribute}") for f in row)
            yield f"out += {template!r} % ({members},)"
            continue
        for field in group:
            names[f"write_{field.id}"] = _writer(field.type)
            begin = b'"%d":{"%b":' % (field.id, _name(field.type).encode())
            written = f"out += {begin!r}; write_{field.id}(field, out); out += b'}},'"
            yield f"field = value.{field.attribute}"
            yield f"if field is not None: {written}" if field.nullable else written


def _plain(t: Type) -> bytes:
    """The place of a value in a template, if all that it needs is that; else empty."""
    match t:
        case Base("bool" | "i32" | "i64") | EnumOf():
            return b"%d"
        case Base("string"):
            return b"%b"
    return b""


def _member(field: Field, expression: str) -> str:
    return f"text({expression})" if field.type == Base("string") else expression


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
