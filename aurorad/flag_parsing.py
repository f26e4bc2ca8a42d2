"""How flags are declared and read, whatever program they belong to.

A program's flags are the fields of a frozen dataclass, made by `declare`. They look as operators know them:
``-http_port=8081``, also ``--http-port 8081``; booleans ``-flag`` or ``-flag=false``; durations ``10secs``; amounts
of data ``64MB``; lists ``a,b``. ``-flagfile=FILE`` stands for those in a file.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, TypeVar

from aurorad.api import units

# The original's words, as `logging` counts.
LOG_LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "NONE": logging.CRITICAL + 1,
}

_NOT_SHOWN = "***"
_NO_ALIASES: Mapping[str, str] = types.MappingProxyType({})

Duration = Annotated[float, "duration"]  # seconds
Data = Annotated[int, "data"]  # bytes


class FlagError(ValueError):
    """A flag that cannot be accepted: the text names it, its value and what was expected."""


class HelpRequested(Exception):
    """``-help`` was given."""


class FlagValue(Protocol):
    """A type of a program's own for values of flags. `read` raises `ValueError`; `str` gives what it reads."""

    expected: ClassVar[str]

    @classmethod
    def read(cls, text: str) -> Self: ...


class Declared(Protocol):
    """A dataclass of flags."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


_Flags = TypeVar("_Flags", bound=Declared)


@dataclasses.dataclass(frozen=True)
class Declaration:
    """`check` gives what was expected in place of a value, None if it is fine.

    A `secret` value is never shown, and may be in a file: ``-flag=@path``.
    """

    meaning: str
    group: str
    check: Callable[[Any], str | None] | None = None
    secret: bool = False

    def shown(self, text: str) -> str:
        return _NOT_SHOWN if self.secret else text


def declare(
    default: Any, group: str, meaning: str, check: Callable[[Any], str | None] | None = None, *, secret: bool = False
) -> Any:  # a dataclass field, whose type is the annotation beside it
    return dataclasses.field(
        default=default, repr=not secret, metadata={"flag": Declaration(meaning, group, check, secret)}
    )


def positive(value: float) -> str | None:
    return None if value > 0 else "a value above 0"


def non_negative(value: float) -> str | None:
    return None if value >= 0 else "a value of 0 or more"


@dataclasses.dataclass(frozen=True)
class _Kind:
    expected: str
    parse: Callable[[str], object]


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _integer(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise ValueError("a whole number")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?", text, re.ASCII):
        raise ValueError("a number")
    return float(text)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("a path")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of a user there is not
        raise ValueError("a path") from None


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text not in ("", "''") else ()


_KINDS: dict[object, _Kind] = {
    bool: _Kind("true or false", _boolean),
    int: _Kind("a whole number", _integer),
    float: _Kind("a number", _number),
    str: _Kind("text", str),
    Path: _Kind("a path", _path),
    tuple[str, ...]: _Kind("a comma-separated list", _list),
    Duration: _Kind("a duration such as 10secs or 1mins", units.parse_duration),
    Data: _Kind("an amount of data such as 64MB", units.parse_data),
}
_FLAG_FILE = _Kind("a path", _path)


@functools.cache  # of all that reading flags takes, the types take the longest
def _kinds(of: type[Declared]) -> dict[str, _Kind]:
    hints = typing.get_type_hints(of, include_extras=True)
    return {f.name: _kind(_without_none(hints[f.name])) for f in dataclasses.fields(of)}


def _kind(hint: Any) -> _Kind:
    if hint in _KINDS:
        return _KINDS[hint]
    if typing.get_origin(hint) is Literal:
        words = typing.get_args(hint)
        return _Kind(f"one of {', '.join(words)}", {word: word for word in words}.__getitem__)
    own: type[FlagValue] = hint
    return _Kind(own.expected, own.read)


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (inner,) = [a for a in typing.get_args(hint) if a is not types.NoneType]
        return inner
    return hint


def parse(arguments: Sequence[str], of: type[_Flags], aliases: Mapping[str, str] = _NO_ALIASES) -> _Flags:
    """The flags given, the others at their defaults. `aliases` are other names of flags.

    ``-flagfile=FILE``, or ``@FILE`` as the original's library has it, stands for the flags in that file: one a line, as
    it stands there; empty lines and those that begin with # say nothing. Files may name others. The command line is a
    place, and each file is one: twice in one place is a mistake (a list grows); of several places the last one wins.
    Raises `FlagError` for an unknown flag, a bad value or file, `HelpRequested` for ``-help``.
    """
    reading = _Reading(of, aliases)
    reading.read(arguments, _Place())
    return of(**reading.values)


@dataclasses.dataclass(frozen=True, eq=False)
class _Place:
    """The command line, or a file of flags and the files that led there."""

    file: Path | None = None
    within: _Place | None = None

    def beside(self, text: str) -> Path:
        """What this path means here: in a file, that it is relative to the file."""
        path = _path(text)
        return path if self.file is None else self.file.parent / path

    def holds(self, file: Path) -> bool:
        return (self.file is not None and self.file.resolve() == file.resolve()) or (
            self.within is not None and self.within.holds(file)
        )


class _Reading:
    def __init__(self, of: type[Declared], aliases: Mapping[str, str]) -> None:
        self._kinds = _kinds(of)
        self._declarations: dict[str, Declaration] = {f.name: f.metadata["flag"] for f in dataclasses.fields(of)}
        self._aliases = aliases
        self.values: dict[str, Any] = {}
        self._given_in: dict[str, set[_Place]] = {}

    def read(self, arguments: Sequence[str], place: _Place) -> None:
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            if argument.startswith("@"):
                self._read_file(argument, argument[1:], place)
                continue
            flag, equals, text = argument.partition("=")
            name = flag.lstrip("-").replace("-", "_")
            name = self._aliases.get(name, name)
            if not argument.startswith("-"):
                raise FlagError(f"{argument!r} is not a flag: -name=value was expected")
            if name in ("help", "h", "short_help", "long_help"):
                raise HelpRequested
            kind = _FLAG_FILE if name == "flagfile" else self._kinds.get(name)
            if kind is None:
                raise FlagError(f"unknown flag {argument}: -help lists those there are")
            if not equals:
                text = _next_value(flag, kind, rest)
            if kind is _FLAG_FILE:
                self._read_file(f"{flag}={text}", text, place)
            else:
                self._give(flag, name, text, place)

    def _read_file(self, shown: str, text: str, place: _Place) -> None:
        try:
            file = place.beside(text)
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise FlagError(f"{shown}: a file of flags that can be read was expected ({error})") from None
        if place.holds(file):
            raise FlagError(f"{shown}: a file was expected that is not being read already")
        inside = _Place(file, place)
        for number, line in enumerate(map(str.strip, lines), 1):
            if line and not line.startswith("#"):
                try:
                    self.read([line], inside)
                except FlagError as error:
                    raise FlagError(f"{file}, line {number}: {error}") from None

    def _give(self, flag: str, name: str, text: str, place: _Place) -> None:
        declaration = self._declarations[name]
        value = _value(flag, self._kinds[name], text, declaration, place)
        given_in = self._given_in.setdefault(name, set())
        if place in given_in:
            if not isinstance(value, tuple):
                shown = declaration.shown(text)
                raise FlagError(f"{flag} was given twice, the second time with {shown!r}: once was expected")
            value = self.values[name] + value
        given_in.add(place)
        self.values[name] = value


def _next_value(flag: str, kind: _Kind, rest: list[str]) -> str:
    if kind.parse is _boolean:
        return rest.pop(0) if rest and rest[0].lower() in ("true", "false") else "true"
    if not rest:
        raise FlagError(f"{flag} has no value: {kind.expected} was expected")
    return rest.pop(0)


def _value(flag: str, kind: _Kind, text: str, declaration: Declaration, place: _Place) -> object:
    shown = declaration.shown(text)
    if declaration.secret and text.startswith("@"):
        text = _read_secret(flag, text, place)
    try:
        value = kind.parse(text)
    except (ValueError, KeyError):
        raise FlagError(f"{flag}={shown}: {kind.expected} was expected") from None
    wrong = declaration.check(value) if declaration.check is not None else None
    if wrong is not None:
        raise FlagError(f"{flag}={shown}: {wrong} was expected")
    return value


def _read_secret(flag: str, text: str, place: _Place) -> str:
    """The first line of the file ``@path``: everybody can see a command line."""
    try:
        lines = place.beside(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FlagError(f"{flag}={text}: a file that can be read was expected ({error})") from None
    if not lines:
        raise FlagError(f"{flag}={text}: a file with a line in it was expected")
    return lines[0]


def usage(defaults: Declared, dash: str = "-") -> str:
    """All flags by group, one line each, with their defaults."""
    kinds = _kinds(type(defaults))
    groups: dict[str, list[str]] = {}
    for field in dataclasses.fields(defaults):
        declaration: Declaration = field.metadata["flag"]
        default = _spell(kinds[field.name], getattr(defaults, field.name))
        row = f"  {dash}{field.name}={default}\n      {declaration.meaning}"
        groups.setdefault(declaration.group, []).append(row)
    return "\n".join(line for group, rows in groups.items() for line in ("", f"{group}:", *sorted(rows))) + "\n"


def _spell(kind: _Kind, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    if kind.parse is units.parse_duration and isinstance(value, float):
        return units.format_duration(value)
    if kind.parse is units.parse_data and isinstance(value, int):
        return units.format_data(value)
    return str(value)


def changed(flags: Declared, defaults: Declared) -> dict[str, str]:
    """The flags that are not at their defaults, by name, as they would be written."""
    kinds = _kinds(type(flags))
    declarations: dict[str, Declaration] = {f.name: f.metadata["flag"] for f in dataclasses.fields(flags)}
    values = {name: getattr(flags, name) for name in kinds}
    return {
        name: declarations[name].shown(_spell(kinds[name], value))
        for name, value in values.items()
        if value != getattr(defaults, name)
    }
