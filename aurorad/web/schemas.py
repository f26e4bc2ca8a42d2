"""JSON Schemas of the contract's structs, as `named_json` writes and reads them, made from their declarations."""

from __future__ import annotations

import re
from typing import cast

import msgspec

from aurorad.api.struct import Base, EnumOf, ListOf, MapOf, SetOf, StructOf, ThriftStruct, ThriftUnion, Type, fields_of

Json = dict[str, object]

REF = "#/components/schemas/"
_LARGEST = 1.7976931348623157e308
_BASES: dict[str, Json] = {
    "bool": {"type": "boolean"},
    "i32": {"type": "integer", "format": "int32", "minimum": -(1 << 31), "maximum": (1 << 31) - 1},
    "i64": {"type": "integer", "format": "int64", "minimum": -(1 << 63), "maximum": (1 << 63) - 1},
    "double": {"type": "number", "format": "double", "minimum": -_LARGEST, "maximum": _LARGEST},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
}


class Schemas:
    """The schemas that are referred to, each declared once."""

    def __init__(self) -> None:
        self._named: dict[str, Json] = {}

    def all(self) -> dict[str, Json]:
        return {name: self._named[name] for name in sorted(self._named)}

    def of(self, cls: type[msgspec.Struct]) -> Json:
        """A reference to a struct's schema."""
        if issubclass(cls, ThriftStruct):
            if cls.__name__ not in self._named:
                self._named[cls.__name__] = {}  # so that a struct within itself finds it
                self._named[cls.__name__] = self.members(cls, frozenset())
            return {"$ref": f"{REF}{cls.__name__}"}
        (schema,), components = msgspec.json.schema_components([cls], ref_template=f"{REF}{{name}}")
        self._named |= cast(dict[str, Json], components)
        return cast(Json, schema)

    def members(self, cls: type[ThriftStruct], leave_out: frozenset[str]) -> Json:
        """A struct's own schema, without some of its fields."""
        properties = {field.name: self._of(field.type) for field in fields_of(cls) if field.attribute not in leave_out}
        schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
        if _doc(cls):
            schema["description"] = _doc(cls)
        if issubclass(cls, ThriftUnion):
            schema |= {"minProperties": 1, "maxProperties": 1}
        return schema

    def _of(self, type_: Type) -> Json:
        match type_:
            case Base(name):
                return _BASES[name]
            case EnumOf(cls):
                return {"type": "string", "enum": [member.name for member in cls]}
            case StructOf(struct):
                return self.of(struct)
            case ListOf(element) | SetOf(element):
                return {"type": "array", "items": self._of(element)}
            case MapOf(_, value):
                return {"type": "object", "additionalProperties": self._of(value)}


def _doc(cls: type) -> str:
    """What a class says of itself, unless it is only a part of a call."""
    return re.sub(r"\s+", " ", (cls.__dict__.get("__doc__") or "").strip()).strip()
