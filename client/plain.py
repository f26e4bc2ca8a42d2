"""API structs as plain JSON values, keyed by their names in the API; what is unset is left out."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from aurorad.api.struct import ThriftStruct, fields_of

Json = Any  # what json.dumps takes


def plain(value: object) -> Json:
    """Enums and booleans become numbers, as the original's `--write-json` has them; sets are sorted lists."""
    match value:
        case ThriftStruct():
            fields = ((field.name, getattr(value, field.attribute)) for field in fields_of(type(value)))
            return {name: plain(inner) for name, inner in fields if inner is not None}
        case bool() | IntEnum():
            return int(value)
        case frozenset():
            return sorted(map(plain, value), key=repr)
        case tuple():
            return list(map(plain, value))
        case dict():
            return {str(key): plain(inner) for key, inner in sorted(value.items())}
    return value
