"""How flags are declared and read, whatever program they belong to.

A program's flags are the fields of a frozen dataclass, made by `declare`. They look as operators know them:
``-http_port=8081``, also ``--http-port 8081``; booleans ``-flag`` or ``-flag=false``; durations ``10secs``; amounts
of data ``64MB``; lists ``a,b``.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
import types
import typing
from collections.abc import Callable, Sequence
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


def parse(arguments: Sequence[str], of: type[_Flags]) -> _Flags:
    """The flags given, the others at their defaults; a list that is given again grows.

    Raises `FlagError` for an unknown flag or a bad value, `HelpRequested` for ``-help``.
    """
    kinds = _kinds(of)
    declarations: dict[str, Declaration] = {f.name: f.metadata["flag"] for f in dataclasses.fields(of)}
    values: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        flag, equals, text = argument.partition("=")
        name = flag.lstrip("-").replace("-", "_")
        if not argument.startswith("-"):
            raise FlagError(f"{argument!r} is not a flag: -name=value was expected")
        if name in ("help", "h", "short_help", "long_help"):
            raise HelpRequested
        if name not in kinds:
            raise FlagError(f"unknown flag {argument}: -help lists those there are")
        kind = kinds[name]
        if not equals:
            text = _next_value(flag, kind, rest)
        declaration = declarations[name]
        value = _value(flag, kind, text, declaration)
        if name in values:
            if not isinstance(value, tuple):
                shown = declaration.shown(text)
                raise FlagError(f"{flag} was given twice, the second time with {shown!r}: once was expected")
            value = values[name] + value
        values[name] = value
    return of(**values)


def _next_value(flag: str, kind: _Kind, rest: list[str]) -> str:
    if kind.parse is _boolean:
        return rest.pop(0) if rest and rest[0].lower() in ("true", "false") else "true"
    if not rest:
        raise FlagError(f"{flag} has no value: {kind.expected} was expected")
    return rest.pop(0)


def _value(flag: str, kind: _Kind, text: str, declaration: Declaration) -> object:
    shown = declaration.shown(text)
    if declaration.secret and text.startswith("@"):
        text = _read_secret(flag, Path(text[1:]))
    try:
        value = kind.parse(text)
    except (ValueError, KeyError):
        raise FlagError(f"{flag}={shown}: {kind.expected} was expected") from None
    wrong = declaration.check(value) if declaration.check is not None else None
    if wrong is not None:
        raise FlagError(f"{flag}={shown}: {wrong} was expected")
    return value


def _read_secret(flag: str, path: Path) -> str:
    """The first line of a file: everybody can see a command line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FlagError(f"{flag}=@{path}: a file that can be read was expected ({error})") from None
    if not lines:
        raise FlagError(f"{flag}=@{path}: a file with a line in it was expected")
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
