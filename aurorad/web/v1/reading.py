"""What a request says, checked against what its route declares: path, query and body.

Whatever is not declared is refused: a misspelt name that was passed over would do something else than was meant.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from werkzeug.datastructures import MultiDict

from aurorad.api import keys, named_json
from aurorad.api.struct import ListOf, MapOf, SetOf, StructOf, ThriftStruct, Type, fields_of
from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateKey
from aurorad.api.wire import WireError
from aurorad.web.v1.problems import Problem

S = TypeVar("S", bound=ThriftStruct)
V = TypeVar("V")

Json = dict[str, object]
Read = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A part of a path, or of a query. `read` makes its value, and raises `ValueError` with what was expected."""

    name: str
    description: str
    read: Read
    schema: Json
    in_path: bool = False
    many: bool = False
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Body:
    """What a request carries: a struct, without the fields that its path says."""

    cls: type[ThriftStruct]
    leave_out: frozenset[str] = frozenset()
    required: bool = True


class Asked:
    """A request that is as declared."""

    def __init__(self, values: Mapping[str, object], body: ThriftStruct | None) -> None:
        self._values = values
        self._body = body

    def get(self, name: str, kind: type[V]) -> V | None:
        """The value of a parameter, None if it was not given."""
        value = self._values.get(name)
        assert value is None or isinstance(value, kind)
        return value

    def text(self, name: str) -> str:
        return self._known(name, str)

    def number(self, name: str) -> int:
        return self._known(name, int)

    def each(self, name: str, kind: type[V]) -> frozenset[V]:
        """The values of a parameter that may be given several times."""
        values = self._values.get(name, ())
        assert isinstance(values, tuple)
        return frozenset(value for value in values if isinstance(value, kind))

    @property
    def job(self) -> JobKey:
        """Of the path."""
        return JobKey(self.text("role"), self.text("environment"), self.text("name"))

    @property
    def update(self) -> JobUpdateKey:
        """Of the path."""
        return JobUpdateKey(self.job, self.text("update"))

    def body(self, cls: type[S]) -> S:
        """What was carried; all unset, if nothing was, and need not be."""
        if self._body is None:
            return cls()
        assert isinstance(self._body, cls)
        return self._body

    def _known(self, name: str, kind: type[V]) -> V:
        value = self.get(name, kind)
        assert value is not None
        return value


def read_parameters(
    declared: tuple[Parameter, ...], path: Mapping[str, str], query: MultiDict[str, str]
) -> dict[str, object]:
    """The values by name. Raises `Problem`."""
    by_name = {parameter.name: parameter for parameter in declared if not parameter.in_path}
    for name in query:
        if name not in by_name:
            known = f"{', '.join(sorted(by_name))} can be given" if by_name else "none can be given"
            raise Problem(400, f"Unknown parameter {_short(name)}: {known}.")
    values: dict[str, object] = {}
    for parameter in declared:
        given = [path[parameter.name]] if parameter.in_path else query.getlist(parameter.name)
        if parameter.many:
            values[parameter.name] = tuple(_read(parameter, text) for text in given)
        elif len(given) > 1:
            raise Problem(400, f"{parameter.name} was given {len(given)} times: once was expected.")
        elif given:
            values[parameter.name] = _read(parameter, given[0])
        elif parameter.required:
            raise Problem(400, f"{parameter.name} is missing: {parameter.description}")
    return values


def _read(parameter: Parameter, text: str) -> object:
    try:
        return parameter.read(text)
    except ValueError as error:
        raise Problem(400, f"{parameter.name}={_short(text)}: {error} was expected.") from None


def read_body(declared: Body, content_type: str, body: bytes) -> ThriftStruct | None:
    """The struct; None if there was no body, and need not be one. Raises `Problem`."""
    if not body and not declared.required:
        return None
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "A body of the Content-Type application/json was expected.")
    try:
        value: object = msgspec.json.decode(body)
    except RecursionError:
        raise Problem(400, "The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"The body is not JSON: {error}.") from None
    try:
        _check_struct(declared.cls, value, "", declared.leave_out)
        return named_json.from_json(declared.cls, value)
    except (WireError, RecursionError) as error:
        raise Problem(400, f"{error}.") from None


def _check(type_: Type, value: object, path: str) -> None:
    """That there is nothing undeclared in what will be read as that type."""
    match type_:
        case StructOf(cls):
            _check_struct(cls, value, path, frozenset())
        case ListOf(element) | SetOf(element) if isinstance(value, list):
            for index, one in enumerate(value):
                _check(element, one, f"{path}[{index}]")
        case MapOf(_, inner) if isinstance(value, dict):
            for name, one in value.items():
                _check(inner, one, f"{path}[{_short(name)}]")


def _check_struct(cls: type[ThriftStruct], value: object, path: str, leave_out: frozenset[str]) -> None:
    if not isinstance(value, dict):
        return  # which the reading says
    known = {field.name: field.type for field in fields_of(cls) if field.attribute not in leave_out}
    for name, member in value.items():
        here = f"{path}.{name}".lstrip(".")
        if name not in known:
            names = ", ".join(known) or "nothing"
            raise WireError(f"{reprlib.repr(here)[1:-1]}: no such member of {cls.__name__}, which has {names}")
        if member is None:
            raise WireError(f"{here}: null where a value was expected; leave out what is unset")
        _check(known[name], member, here)


def _short(text: str) -> str:
    return reprlib.repr(text)


def identifier(text: str) -> str:
    if not keys.is_identifier(text):
        raise ValueError("letters, digits, '.', '-' and '_', at most 255 of them,")
    return text


def some_text(text: str) -> str:
    if not text:
        raise ValueError("a text")
    return text


def job_key(text: str) -> JobKey:
    try:
        return keys.parse(text)
    except ValueError:
        raise ValueError("role/environment/name") from None


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a number within these bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or len(text) > 10 or not least <= int(text) <= most:
            raise ValueError(f"a number from {least} to {most}")
        return int(text)

    return read


def one_of(names: Mapping[str, V]) -> Callable[[str], V]:
    def read(text: str) -> V:
        if text not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return names[text]

    return read
