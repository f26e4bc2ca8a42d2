"""The words of a command line in the order that the parser wants, with those of ``~/.thermosrc`` among them.

The original took its options in any order, so the global ones may stand after the command here too.
"""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_GLOBAL = ("--root", "--mesos-root")
_KEY = "options"


class BadDefaults(Exception):
    """``~/.thermosrc`` cannot be understood."""


class _Sorted(NamedTuple):
    everywhere: list[str]  # global options with their values
    rest: list[str]


def arranged(words: Sequence[str], defaults: configparser.ConfigParser) -> list[str]:
    """Global options first. What was given wins: the first of roots counts, and of a command's options the last.

    The defaults are those of the section named as the command, else of ``DEFAULT``. Raises `BadDefaults`.
    """
    given = _sort(words)
    command = next((word for word in given.rest if not word.startswith("-")), None)
    extra = _sort(_options(command, defaults))
    if command is None:
        return [*given.everywhere, *extra.everywhere, *given.rest]
    place = given.rest.index(command) + 1
    return [
        *given.everywhere,
        *extra.everywhere,
        *given.rest[:place],
        *extra.rest,
        *given.rest[place:],
    ]


def read_defaults(path: Path) -> configparser.ConfigParser:
    """No file is no defaults. Raises `BadDefaults`."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise BadDefaults(f"{path}: {error}") from None
    return parser


def _options(command: str | None, defaults: configparser.ConfigParser) -> list[str]:
    section = command if command is not None and defaults.has_section(command) else configparser.DEFAULTSECT
    try:
        return shlex.split(defaults.get(section, _KEY, fallback=""))
    except ValueError as error:
        raise BadDefaults(f"~/.thermosrc: [{section}] {_KEY}: {error}") from None


def _sort(words: Sequence[str]) -> _Sorted:
    found = _Sorted([], [])
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if word == "--" or (found.rest and _takes_all_that_follows(found.rest, word)):
            found.rest.extend([word, *todo])
            break
        if word in _GLOBAL:
            found.everywhere.extend([word, *todo[:1]])
            del todo[:1]
        elif word.startswith(tuple(f"{name}=" for name in _GLOBAL)):
            found.everywhere.append(word)
        else:
            found.rest.append(word)
    return found


def _takes_all_that_follows(before: Sequence[str], word: str) -> bool:
    """Whether this is the command line that `simplerun` shall run."""
    return before[0] == "simplerun" and not word.startswith("-") and not _is_value(before[-1])


def _is_value(option: str) -> bool:
    """Whether the word after this one belongs to it."""
    with_value = ("--user", "--name", "--task_id", "-P", "--port", "-E", "--environment")
    return option in with_value
