"""How a job file's structs, lists and choices behave beyond Pystachio's (config-schema sheet, sections 1 and 17).

Pystachio makes every type, those inside of other types too, with the factory that is registered for its kind, and a new
factory for a kind replaces the old one. That is what importing this module does.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from pystachio.choice import ChoiceContainer, ChoiceFactory
from pystachio.composite import StructFactory, Structural
from pystachio.container import ListContainer, ListFactory
from pystachio.typing import TypeMetaclass

from aurorad.jobfile.schema import older, origins

# What was a list in Python 2 and is none today.
ONCE_LISTS = (Iterator, KeysView, ValuesView, ItemsView)


class UnknownField(AttributeError, ValueError):
    """A field that the struct does not have. A `ValueError` too, so that a choice goes on to its next alternative."""


def closest(word: str, known: Collection[str]) -> str:
    """`` (did you mean x?)``, or nothing when nothing is close."""
    matches = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


class Record(Structural):
    """The base of every struct: knows where it was made, takes fields of older versions, and tells its fields."""

    _made_at: str | None = None

    def __init__(self, *args: object, **fields: object) -> None:
        recorder = origins.current()
        if recorder is not None:
            self._made_at = recorder.here()
        for arg in args:
            if not isinstance(arg, Mapping):
                raise ValueError(f"{type(self).__name__} is made of fields as name = value, and not of {_shown(arg)}")
        super().__init__(*args, **fields)

    def dup(self) -> Any:
        copy = super().dup()
        if copy._made_at is None:
            copy._made_at = self._made_at
        return copy

    def _update_schema_data(self, **fields: object) -> None:
        if not fields.keys() <= self.TYPEMAP.keys():
            fields = older.translate(self, fields)
        super()._update_schema_data(**fields)

    def _process_schema_attribute(self, attr: str, value: object) -> Any:
        if attr not in self.TYPEMAP:
            fields = ", ".join(sorted(self.TYPEMAP))
            hint = closest(attr, self.TYPEMAP)
            raise UnknownField(f"Unknown schema attribute {attr}{hint}; {type(self).__name__} has {fields}")
        return super()._process_schema_attribute(attr, value.decode() if isinstance(value, bytes) else value)

    def __getattr__(self, attr: str) -> Any:
        try:
            return super().__getattr__(attr)
        except AttributeError as error:
            hint = "" if attr.startswith("_") else closest(attr, self.TYPEMAP)
            raise AttributeError(f"{error}{hint}") from None


def _shown(value: object) -> str:
    return f"a {type(value).__name__}" if isinstance(value, Structural) else repr(value)


class Listed(ListContainer):
    """A list that may also be made of what an iterator gives."""

    def __init__(self, values: object) -> None:
        super().__init__(list(values) if isinstance(values, ONCE_LISTS) else values)


class OneOf(ChoiceContainer):
    """A choice that says what is wrong with a struct of one of its kinds, where Pystachio's breaks."""

    def check(self) -> Any:
        if any(isinstance(self._value, kind) for kind in self.CHOICES):
            return self._value.in_scope(*self.scopes()).check()
        return super().check()


class _Structs(StructFactory):
    PROVIDES = "Struct"

    @staticmethod
    def create(type_dict: Any, *parameters: Any, class_cell: Any = None) -> Any:
        made = StructFactory.create(type_dict, *parameters)
        attributes = {"TYPEMAP": made.TYPEMAP, "TYPE_PARAMETERS": made.TYPE_PARAMETERS}
        if class_cell:
            attributes["__classcell__"] = class_cell
        return TypeMetaclass(made.__name__, (Record,), attributes)


class _Lists(ListFactory):
    PROVIDES = "List"

    @staticmethod
    def create(type_dict: Any, *parameters: Any) -> Any:
        made = ListFactory.create(type_dict, *parameters)
        attributes = {"TYPE": made.TYPE, "TYPE_PARAMETERS": made.TYPE_PARAMETERS}
        return TypeMetaclass(made.__name__, (Listed,), attributes)


class _Choices(ChoiceFactory):
    PROVIDES = "Choice"

    @staticmethod
    def create(type_dict: Any, *parameters: Any) -> Any:
        made = ChoiceFactory.create(type_dict, *parameters)
        attributes = {"CHOICES": made.CHOICES, "TYPE_PARAMETERS": made.TYPE_PARAMETERS}
        return TypeMetaclass(made.__name__, (OneOf,), attributes)
