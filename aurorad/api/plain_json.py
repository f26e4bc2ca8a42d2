"""Structs as the JSON that webhooks send (http-endpoints sheet, section 9): fields by their wire names, enums by name,
unions as ``{"setField": "NUM_CPUS", "value": 0.1}``, unset fields left out, collections always there."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from aurorad.api.struct import ThriftStruct, ThriftUnion, fields_of
from aurorad.api.text import member_of, upper_snake

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool


def plain(value: object) -> Json:
    """Values for a JSON encoder; sets come in the order of their JSON. Raises `TypeError` for what has no such form."""
    match value:
        case ThriftUnion():
            member = member_of(value)
            if member is None:
                return {}
            return {"setField": upper_snake(member.name), "value": plain(getattr(value, member.attribute))}
        case ThriftStruct():
            fields = ((field.name, getattr(value, field.attribute)) for field in fields_of(type(value)))
            return {name: plain(inner) for name, inner in fields if inner is not None}
        case IntEnum():
            return value.name
        case tuple():
            return [plain(element) for element in value]
        case frozenset():
            return sorted((plain(element) for element in value), key=msgspec.json.encode)
        case dict():
            return {str(key): plain(element) for key, element in value.items()}
        case str() | int() | float():
            return value
    raise TypeError(f"{type(value).__name__} has no form in JSON")
