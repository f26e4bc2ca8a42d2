"""API values as plain data, to and from the wire: read by Apache's library and the original's IDL, not by our code.

Structs are dicts by the IDL's field names, without those that are unset; enums are their names. A set comes back as
`Unordered`, and so do the tasks of a task query, whose order means nothing; an update's instance events come back by
instance, in order only for each.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from frozendict import frozendict
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.protocol.TProtocol import TProtocolBase
from thrift.Thrift import TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer

from aurorad.api.wire import BINARY_TYPE, COMPACT_TYPE, JSON_TYPE

IDL = Path(__file__).parents[1] / "api" / "contract.json"

TYPES = frozendict({"json": JSON_TYPE, "binary": BINARY_TYPE, "compact": COMPACT_TYPE})
_PROTOCOLS: frozendict[str, type[TProtocolBase]] = frozendict(
    {"json": TJSONProtocol, "binary": TBinaryProtocol, "compact": TCompactProtocol}
)
_BASE = frozendict(
    {
        "bool": (TType.BOOL, "Bool"),
        "i32": (TType.I32, "I32"),
        "i64": (TType.I64, "I64"),
        "double": (TType.DOUBLE, "Double"),
        "string": (TType.STRING, "String"),
        "binary": (TType.STRING, "Binary"),
    }
)
_BY_INSTANCE = ("JobUpdateDetails", "instanceEvents")
_NO_ORDER = frozenset({("ScheduleStatusResult", "tasks")})


class Unordered(list[Any]):
    """A list whose order does not matter."""


class Field(NamedTuple):
    id: int
    name: str
    type: str


class Garbled(Exception):
    """What came back is no answer in this protocol."""


def request(protocol: str, method: str, args: dict[str, Any]) -> bytes:
    """The bytes of a call."""
    buffer = TMemoryBuffer()
    out = _PROTOCOLS[protocol](buffer)
    out.writeMessageBegin(method, TMessageType.CALL, 1)
    _write_struct(out, _arguments(method), args)
    out.writeMessageEnd()
    written: bytes = buffer.getvalue()
    return written


def answer(protocol: str, data: bytes) -> dict[str, Any]:
    """``{"success": Response}``, or ``{"exception": ..., "method": ...}``. Raises `Garbled`."""
    try:
        source = _PROTOCOLS[protocol](TMemoryBuffer(data))
        method, kind, _ = source.readMessageBegin()
        if kind == TMessageType.EXCEPTION:
            fields = [Field(1, "message", "string"), Field(2, "type", "i32")]
            return {"exception": _read_struct(source, "TApplicationException", fields), "method": method}
        return _read_struct(source, "", [Field(0, "success", "Response")])
    except Exception as error:  # whatever Apache's library stumbles over
        raise Garbled(f"{type(error).__name__}: {error}") from error


def stored(struct: str, data: bytes) -> dict[str, Any]:
    """A struct that storage keeps, such as the ``Snapshot`` of a backup. Raises `Garbled`."""
    try:
        return _read_struct(TBinaryProtocol(TMemoryBuffer(data)), struct, _fields(struct))
    except Exception as error:
        raise Garbled(f"{type(error).__name__}: {error}") from error


@functools.cache
def _idl() -> dict[str, Any]:
    idl: dict[str, Any] = json.loads(IDL.read_text())["api"]
    return idl


@functools.cache
def _fields(struct: str) -> list[Field]:
    storage = json.loads(IDL.read_text())["storage"]
    for kinds in (_idl(), storage):
        declared = kinds["structs"].get(struct) or kinds["unions"].get(struct)
        if declared is not None:
            return [_field(text.replace("api.", "")) for text in declared]
    raise KeyError(struct)


@functools.cache
def _arguments(method: str) -> list[Field]:
    for service in _idl()["services"].values():
        for text in service["methods"]:
            match = re.fullmatch(rf"\S+ {re.escape(method)}\((.*)\)", text)
            if match:
                return [_field(part) for part in re.split(r", (?=\d+:)", match[1]) if part]
    raise KeyError(method)


def _field(text: str) -> Field:
    match = re.fullmatch(r"(\d+): (?:optional |required )?(.+?) (\w+)(?: = .*)?", text)
    assert match, text
    return Field(int(match[1]), match[3], match[2])


@functools.cache
def _parts(type_: str) -> tuple[str, list[str]]:
    """``set<i32>`` as ``set`` and its element; a map has two."""
    match = re.fullmatch(r"(set|list|map)<(.+)>", type_)
    return (match[1], re.split(r", ?", match[2])) if match else (type_, [])


def _wire_type(type_: str) -> int:
    name, _ = _parts(type_)
    if name in _BASE:
        return int(_BASE[name][0])
    if name in _idl()["enums"]:
        return int(TType.I32)
    return int({"set": TType.SET, "list": TType.LIST, "map": TType.MAP}.get(name, TType.STRUCT))


def _write_struct(out: TProtocolBase, fields: list[Field], value: dict[str, Any]) -> None:
    by_name = {field.name: field for field in fields}
    out.writeStructBegin("")
    for name, member in value.items():
        field = by_name[name]
        out.writeFieldBegin(name, _wire_type(field.type), field.id)
        _write(out, field.type, member)
        out.writeFieldEnd()
    out.writeFieldStop()
    out.writeStructEnd()


def _write(out: TProtocolBase, type_: str, value: Any) -> None:
    name, elements = _parts(type_)
    if name in _BASE:
        getattr(out, f"write{_BASE[name][1]}")(float(value) if name == "double" else value)
    elif name in _idl()["enums"]:
        out.writeI32(value if isinstance(value, int) else _idl()["enums"][name][value])
    elif name == "map":
        out.writeMapBegin(_wire_type(elements[0]), _wire_type(elements[1]), len(value))
        for key, member in value.items():
            _write(out, elements[0], key)
            _write(out, elements[1], member)
        out.writeMapEnd()
    elif name in ("set", "list"):
        kind = name.capitalize()
        getattr(out, f"write{kind}Begin")(_wire_type(elements[0]), len(value))
        for member in value:
            _write(out, elements[0], member)
        getattr(out, f"write{kind}End")()
    else:
        _write_struct(out, _fields(name), value)


def _read_struct(source: TProtocolBase, struct: str, fields: list[Field]) -> dict[str, Any]:
    by_id = {field.id: field for field in fields}
    value: dict[str, Any] = {}
    source.readStructBegin()
    while True:
        _, wire_type, id_ = source.readFieldBegin()
        if wire_type == TType.STOP:
            break
        field = by_id.get(id_)
        if field is None:
            source.skip(wire_type)
            value[f"unknown field {id_}"] = True
        else:
            member = _read(source, field.type)
            if (struct, field.name) in _NO_ORDER:
                member = Unordered(member)
            elif (struct, field.name) == _BY_INSTANCE:
                member.sort(key=lambda event: event["instanceId"])
            value[field.name] = member
        source.readFieldEnd()
    source.readStructEnd()
    return value


def _read(source: TProtocolBase, type_: str) -> Any:
    name, elements = _parts(type_)
    if name in _BASE:
        return getattr(source, f"read{_BASE[name][1]}")()
    if name in _idl()["enums"]:
        number = source.readI32()
        return next((text for text, value in _idl()["enums"][name].items() if value == number), number)
    if name == "map":
        _, _, size = source.readMapBegin()
        pairs = {str(_read(source, elements[0])): _read(source, elements[1]) for _ in range(size)}
        source.readMapEnd()
        return pairs
    if name in ("set", "list"):
        _, size = getattr(source, f"read{name.capitalize()}Begin")()
        members = [_read(source, elements[0]) for _ in range(size)]
        getattr(source, f"read{name.capitalize()}End")()
        return Unordered(members) if name == "set" else members
    return _read_struct(source, name, _fields(name))
