"""How a thrift struct is declared: one typed, immutable Python class, with the thrift field id beside each field.

A field reads ``name: Annotated[type, Id(n)] = default``. Python names are snake_case, wire names their camelCase.
``None`` means unset. As in the original's immutable values (thrift-api sheet, "Value normalisation"), primitives and
collections are never unset: they come back as zero or empty.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from enum import IntEnum
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from frozendict import frozendict


class Width(NamedTuple):
    """How many bits a thrift integer has on the wire."""

    bits: int


I32 = Annotated[int, Width(32)]
I64 = Annotated[int, Width(64)]


class Id(NamedTuple):
    """The thrift field id, and whether the IDL declares the field optional."""

    number: int
    optional: bool = False


class ThriftStruct(msgspec.Struct, frozen=True, cache_hash=True, gc=False, rename="camel", omit_defaults=True):
    """Base of every declared struct. Instances are values: immutable, hashable, compared by content.

    A value can hold nothing that holds it, so the garbage collector need not look at values: with 100,000 tasks in
    memory that is what keeps it from stopping the event loop for 60 ms and more.
    """

    shared: ClassVar[bool] = False
    """Whether one object is often in many others, so that it pays to encode it once for all of them."""


class ThriftUnion(ThriftStruct, frozen=True, cache_hash=True):
    """A struct of which exactly one field is set."""


@dataclasses.dataclass(frozen=True)
class Base:
    """A thrift base type: ``bool i32 i64 double string binary``."""

    name: str


@dataclasses.dataclass(frozen=True)
class EnumOf:
    cls: type[IntEnum]


@dataclasses.dataclass(frozen=True)
class StructOf:
    cls: type[ThriftStruct]


@dataclasses.dataclass(frozen=True)
class ListOf:
    element: Type


@dataclasses.dataclass(frozen=True)
class SetOf:
    element: Type


@dataclasses.dataclass(frozen=True)
class MapOf:
    key: Type
    value: Type


Type = Base | EnumOf | StructOf | ListOf | SetOf | MapOf


@dataclasses.dataclass(frozen=True)
class Field:
    """One field: ``attribute`` is its Python name, ``name`` the wire's; a ``nullable`` field may be unset."""

    id: int
    name: str
    attribute: str
    type: Type
    optional: bool
    nullable: bool


_BASE_TYPES = {bool: "bool", float: "double", str: "string", bytes: "binary"}


@functools.cache
def fields_of(cls: type[ThriftStruct]) -> tuple[Field, ...]:
    """The fields of a struct in declaration order. Raises `TypeError` for a field without an `Id`."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(_field(cls, f.name, f.encode_name, hints[f.name]) for f in msgspec.structs.fields(cls))


def _field(cls: type[ThriftStruct], attribute: str, name: str, hint: Any) -> Field:
    markers = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Id)]
    if len(markers) != 1:
        raise TypeError(f"{cls.__name__}.{attribute} needs exactly one Id(n) in its annotation")
    width = [m for m in hint.__metadata__ if isinstance(m, Width)]
    inner, nullable = _without_none(hint.__origin__)
    declared = Annotated[inner, width[0]] if width else inner
    return Field(markers[0].number, name, attribute, type_of(declared), markers[0].optional, nullable)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (inner,) = [a for a in typing.get_args(hint) if a is not types.NoneType]
        return inner, True
    return hint, False


def type_of(hint: Any) -> Type:
    """The thrift type that an annotation stands for. Raises `TypeError` where thrift has no such type."""
    for marker in getattr(hint, "__metadata__", ()):
        if isinstance(marker, Width):
            return Base(f"i{marker.bits}")
    if hint in _BASE_TYPES:
        return Base(_BASE_TYPES[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return ListOf(type_of(arguments[0]))
    if origin is frozenset:
        return SetOf(type_of(arguments[0]))
    if origin is frozendict:
        return MapOf(type_of(arguments[0]), type_of(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return EnumOf(hint)
    if isinstance(hint, type) and issubclass(hint, ThriftStruct):
        return StructOf(hint)
    raise TypeError(f"{hint!r} has no thrift type")
