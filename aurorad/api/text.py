"""How messages print structs: ``IJobKey{role=R, environment=E, name=N}`` (thrift-api sheet, section 1)."""

from __future__ import annotations

from enum import IntEnum

from aurorad.api.struct import ThriftStruct, ThriftUnion, fields_of


def render(value: object) -> str:
    """A struct, or any value inside one, as the original prints it; unset is ``null``."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case IntEnum():
            return value.name
        case ThriftUnion():
            return _union(value)
        case ThriftStruct():
            inner = ", ".join(f"{f.name}={render(getattr(value, f.attribute))}" for f in fields_of(type(value)))
            return f"I{type(value).__name__}{{{inner}}}"
        case tuple() | frozenset():
            return f"[{', '.join(map(render, value))}]"
        case dict():
            return f"{{{', '.join(f'{render(k)}={render(v)}' for k, v in value.items())}}}"
    return str(value)


def _union(value: ThriftUnion) -> str:
    for field in fields_of(type(value)):
        member = getattr(value, field.attribute)
        if member is not None:
            words = "".join(f"_{c}" if c.isupper() else c.upper() for c in field.name)
            return f"I{type(value).__name__}{{setField={words}, value={render(member)}}}"
    return f"I{type(value).__name__}{{}}"
