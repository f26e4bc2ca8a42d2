"""TSimpleJSONProtocol: JSON under the IDL's field names, which nobody reads back (quota-tiers-sla sheet, section 6).

Enums are their numbers, bools 1 and 0, sets and lists arrays; what is unset is left out.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from typing import Any

from aurorad.api.struct import Base, EnumOf, ListOf, MapOf, SetOf, StructOf, ThriftStruct, Type, fields_of

Convert = Callable[[Any], Any]


def to_json(value: ThriftStruct) -> dict[str, Any]:
    """The struct as JSON values."""
    converted: dict[str, Any] = _convert_struct(type(value))(value)
    return converted


@functools.cache
def _convert(t: Type) -> Convert:
    match t:
        case Base("bool" | "i32" | "i64") | EnumOf():
            return int
        case Base("binary"):
            return lambda value: base64.b64encode(value).decode()
        case Base(_):
            return lambda value: value
        case StructOf(cls):
            return _convert_struct(cls)
        case ListOf(element) | SetOf(element):
            convert = _convert(element)
            return lambda values: [convert(value) for value in values]
        case MapOf(key, value):
            convert_key, convert_value = _convert(key), _convert(value)
            return lambda values: {str(convert_key(k)): convert_value(v) for k, v in values.items()}


@functools.cache
def _convert_struct(cls: type[ThriftStruct]) -> Convert:
    rows = [(field.attribute, field.name, _convert(field.type)) for field in fields_of(cls)]

    def convert(value: Any) -> Any:
        members = ((name, getattr(value, attribute), convert_field) for attribute, name, convert_field in rows)
        return {name: convert_field(member) for name, member, convert_field in members if member is not None}

    return convert
