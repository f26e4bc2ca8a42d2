"""How messages print structs (thrift-api sheet, section 1): as the original's immutable values, or as thrift's own."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from aurorad.api.struct import Field, ThriftStruct, ThriftUnion, fields_of


def render(value: object) -> str:
    """``IJobKey{role=R, environment=E, name=N}``; unset is ``null``."""
    match value:
        case ThriftUnion():
            field = member_of(value)
            if field is None:
                return f"I{type(value).__name__}{{}}"
            inner = f"setField={upper_snake(field.name)}, value={render(getattr(value, field.attribute))}"
            return f"I{type(value).__name__}{{{inner}}}"
        case ThriftStruct():
            inner = ", ".join(f"{f.name}={render(getattr(value, f.attribute))}" for f in fields_of(type(value)))
            return f"I{type(value).__name__}{{{inner}}}"
    return _plain(value, render, "=")


def thrift_text(value: object) -> str:
    """``JobKey(role:R, environment:E, name:N)``; optional fields that are unset are left out."""
    match value:
        case ThriftUnion():
            field = member_of(value)
            inner = f"{field.name}:{thrift_text(getattr(value, field.attribute))}" if field is not None else ""
            return f"<{type(value).__name__} {inner}>"
        case ThriftStruct():
            fields = [(f, getattr(value, f.attribute)) for f in fields_of(type(value))]
            shown = ", ".join(f"{f.name}:{thrift_text(member)}" for f, member in fields if member or not f.optional)
            return f"{type(value).__name__}({shown})"
    return _plain(value, thrift_text, ":")


def member_of(union: ThriftUnion) -> Field | None:
    """The field that is set, if any is."""
    return next((f for f in fields_of(type(union)) if getattr(union, f.attribute) is not None), None)


def upper_snake(name: str) -> str:
    """``numCpus`` as ``NUM_CPUS``."""
    return "".join(f"_{c}" if c.isupper() else c.upper() for c in name)


def _plain(value: object, inner: Callable[[object], str], between: str) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case IntEnum():
            return value.name
        case tuple() | frozenset():
            return f"[{', '.join(map(inner, value))}]"
        case dict():
            return f"{{{', '.join(f'{inner(k)}{between}{inner(v)}' for k, v in value.items())}}}"
    return str(value)
