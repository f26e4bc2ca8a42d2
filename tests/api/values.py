"""Any value of any declared struct, for property tests."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from frozendict import frozendict
from hypothesis import strategies as st

from aurorad.api import calls, results, storage, tasks, updates
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

STRUCTS: list[type[ThriftStruct]] = [
    value
    for module in (tasks, updates, results, storage)
    for value in vars(module).values()
    if inspect.isclass(value) and issubclass(value, ThriftStruct) and value.__module__ == module.__name__
]
BODIES: list[type[ThriftStruct]] = [*calls.CALLS.values(), calls.Reply]

_BASE: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "i32": st.integers(-(2**31), 2**31 - 1),
    "i64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(max_size=8),
    "binary": st.binary(max_size=8),
}


@functools.cache
def any_of(t: Type) -> st.SearchStrategy[Any]:
    match t:
        case Base(name):
            return _BASE[name]
        case EnumOf(enum):
            return st.sampled_from(enum)
        case StructOf(cls):
            return st.deferred(lambda: any_struct(cls))
        case ListOf(element):
            return st.lists(any_of(element), max_size=2).map(tuple)
        case SetOf(element):
            return st.frozensets(any_of(element), max_size=2)
        case MapOf(key, value):
            return st.dictionaries(any_of(key), any_of(value), max_size=2).map(frozendict)


@functools.cache
def any_struct(cls: type[ThriftStruct]) -> st.SearchStrategy[Any]:
    if issubclass(cls, ThriftUnion):
        return st.one_of([st.builds(cls, **{f.attribute: any_of(f.type)}) for f in fields_of(cls)])
    return st.builds(cls, **{f.attribute: _member(f) for f in fields_of(cls)})


def _member(field: Field) -> st.SearchStrategy[Any]:
    given = any_of(field.type)
    return st.none() | given if field.nullable else given
