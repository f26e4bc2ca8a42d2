"""TBinaryProtocol: the encoding of the original command line, of backups and of checkpoints (wire sheet, section 1).

For every type a reader (`binary_reader.py`) and a writer are built once from its declaration and kept; nothing here
knows a struct by name.
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from frozendict import frozendict

from aurorad.api.binary_reader import VERSION, Data, Recalling, decode_header, read_pieces, read_struct, tag_of
from aurorad.api.struct import Base, EnumOf, Field, ListOf, MapOf, SetOf, StructOf, ThriftStruct, Type, fields_of
from aurorad.api.wire import MessageHeader, Tag
from aurorad.api.writing import Output, Writer, struct_writer

__all__ = [
    "END",
    "Data",
    "Recalling",
    "decode",
    "decode_header",
    "encode",
    "encode_count",
    "encode_each",
    "encode_field",
    "encode_header",
    "encode_message",
    "read_pieces",
    "read_struct",
    "write_message",
]

S = TypeVar("S", bound=ThriftStruct)

_I32, _I64, _F64 = struct.Struct(">i"), struct.Struct(">q"), struct.Struct(">d")
_FIELD, _TEXT_HEADER, _LIST_HEADER = struct.Struct(">bh"), struct.Struct(">bhi"), struct.Struct(">bhbi")
END = bytes((Tag.STOP,))
"""What ends a struct."""


def encode(value: ThriftStruct, known: Mapping[int, bytes] = frozendict()) -> bytes:
    """The struct's bytes, without a message around it.

    `known` are the bytes of large structs within it, by their identity: they need not be made again.
    """
    out = Output()
    out.written.update(known)
    _struct_writer(type(value))(value, out)
    return bytes(out)


def decode(cls: type[S], data: bytes) -> S:
    """The struct at the start of `data`; what follows it is ignored. Raises `WireError`."""
    return read_struct(cls, data, 0)[0]


def encode_each(values: Iterable[ThriftStruct]) -> bytes:
    """The structs' bytes one after the other, as in a collection; large ones that they share are made once."""
    out, write = Output(), None
    for value in values:
        write = write or _struct_writer(type(value))
        write(value, out)
    return bytes(out)


def encode_header(cls: type[ThriftStruct], attribute: str) -> bytes:
    """What stands before a field's value. Fields, each with its header, and `END` are a struct's bytes."""
    (field,) = (field for field in fields_of(cls) if field.attribute == attribute)
    return _FIELD.pack(tag_of(field.type), field.id)


def encode_field(cls: type[ThriftStruct], attribute: str, value: Any) -> bytes:
    """A field of a struct: its header and its value."""
    (field,) = (field for field in fields_of(cls) if field.attribute == attribute)
    out = Output(encode_header(cls, attribute))
    _writer(field.type)(value, out)
    return bytes(out)


def encode_count(cls: type[ThriftStruct], attribute: str, count: int) -> bytes:
    """The beginning of a field that is a collection: so many elements must follow."""
    empty = encode_field(cls, attribute, ())
    return empty[: -_I32.size] + _I32.pack(count)


def encode_message(header: MessageHeader, body: ThriftStruct) -> bytes:
    return bytes(write_message(header, body))


def write_message(header: MessageHeader, body: ThriftStruct) -> Output:
    """The same, not copied once more."""
    out = Output()
    out += struct.pack(">I", VERSION | header.type)
    _write_bytes(header.method.encode(), out)
    out += _I32.pack(header.sequence)
    _struct_writer(type(body))(body, out)
    return out


def _write_bytes(value: bytes, out: Output) -> None:
    out += _I32.pack(len(value))
    out += value


def _write_string(value: str, out: Output) -> None:
    _write_bytes(value.encode(), out)


def _write_bool(value: bool, out: Output) -> None:
    out.append(1 if value else 0)


def _packer(packed: struct.Struct) -> Writer:
    pack = packed.pack

    def write(value: Any, out: Output) -> None:
        out += pack(value)

    return write


_BASE_WRITERS: dict[str, Writer] = {
    "bool": _write_bool,
    "i32": _packer(_I32),
    "i64": _packer(_I64),
    "double": _packer(_F64),
    "string": _write_string,
    "binary": _write_bytes,
}


@functools.cache
def _writer(t: Type) -> Writer:
    match t:
        case Base(name):
            return _BASE_WRITERS[name]
        case EnumOf():
            return _BASE_WRITERS["i32"]
        case StructOf(cls):
            return _struct_writer(cls)
        case ListOf(element) | SetOf(element):
            return _collection_writer(element)
        case MapOf(key, value):
            return _map_writer(key, value)


def _collection_writer(element: Type) -> Writer:
    tag, write = tag_of(element), _writer(element)

    def write_all(values: Any, out: Output) -> None:
        out.append(tag)
        out += _I32.pack(len(values))
        for value in values:
            write(value, out)

    return write_all


def _map_writer(key: Type, value: Type) -> Writer:
    tags, write_key, write_value = bytes((tag_of(key), tag_of(value))), _writer(key), _writer(value)

    def write(values: Any, out: Output) -> None:
        out += tags
        out += _I32.pack(len(values))
        for k, v in values.items():
            write_key(k, out)
            write_value(v, out)

    return write


@functools.cache
def _struct_writer(cls: type[ThriftStruct]) -> Writer:
    names: dict[str, object] = {"stop": END}
    lines = [*_field_lines(fields_of(cls), names), "out += stop"]
    if any("known_of(" in line for line in lines):
        lines.insert(0, "known_of = out.written.get")
    return struct_writer(cls, lines, names)


def _field_lines(fields: Iterable[Field], names: dict[str, object]) -> Iterator[str]:
    """Statements that write each field of `value`; `names` gets what they refer to. Numbers in a row go together."""
    for is_number, group in itertools.groupby(fields, lambda f: _packed(f.type) is not None and not f.nullable):
        if is_number:
            row = list(group)
            name = f"numbers_{row[0].id}"
            names[name] = struct.Struct(">" + "".join(f"bh{_packed(f.type)}" for f in row)).pack
            yield f"out += {name}({', '.join(f'{int(tag_of(f.type))}, {f.id}, value.{f.attribute}' for f in row)})"
            continue
        for field in group:
            yield f"field = value.{field.attribute}"
            if field.nullable:
                yield "if field is not None:"
                yield from ("    " + line for line in _lines(field, names))
            else:
                yield from _lines(field, names)


def _lines(field: Field, names: dict[str, object]) -> Iterator[str]:
    """Statements that write the value `field` and its header.

    What tasks have most of is written in place, for a call costs more than it does: texts, nothing, and what is known.
    """
    n = field.id
    header = _FIELD.pack(tag_of(field.type), n)
    match field.type:
        case Base("string"):
            names["text_header"] = _TEXT_HEADER.pack
            yield f"text = field.encode(); out += text_header({int(Tag.STRING)}, {n}, len(text)); out += text"
        case StructOf(cls) if cls.shared:
            names[f"header_{n}"], names[f"write_{n}"] = header, _struct_writer(cls)
            yield f"out += header_{n}"
            yield from _known_or("field", f"write_{n}")
        case ListOf(StructOf(cls)) if cls.shared:
            names["list_header"], names[f"write_{n}"] = _LIST_HEADER.pack, _struct_writer(cls)
            yield f"out += list_header({int(Tag.LIST)}, {n}, {int(Tag.STRUCT)}, len(field))"
            yield "for one in field:"
            yield from ("    " + line for line in _known_or("one", f"write_{n}"))
        case _:
            names[f"header_{n}"], names[f"write_{n}"] = header, _writer(field.type)
            written = f"out += header_{n}; write_{n}(field, out)"
            if isinstance(field.type, Base | EnumOf | StructOf):
                yield written
            else:
                names[f"empty_{n}"] = header + _empty(field.type)
                yield f"if field: {written}"
                yield f"else: out += empty_{n}"


def _known_or(value: str, write: str) -> Iterator[str]:
    yield f"known = known_of(id({value}))"
    yield f"if known is None: {write}({value}, out)"
    yield "else: out += known"


def _empty(t: Type) -> bytes:
    out = Output()
    _writer(t)(frozendict() if isinstance(t, MapOf) else (), out)
    return bytes(out)


def _packed(t: Type) -> str | None:
    """How `struct` packs a value, if it can do that alone."""
    match t:
        case EnumOf():
            return "i"
        case Base(name):
            return _PACKED.get(name)
    return None


_PACKED = frozendict({"bool": "?", "i32": "i", "i64": "q", "double": "d"})
