"""What the commands take, as values: for completions of shells and for manuals."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Iterator
from typing import NamedTuple

from client import nouns
from client.admin_commands.command import AdminCommand
from client.admin_commands.table import COMMANDS
from client.build import Build
from client.classic import dialect
from client.classic.verbs import VERBS


class Option(NamedTuple):
    names: tuple[str, ...]
    value: str | None
    """What its value is called; None for a flag."""
    choices: tuple[str, ...]
    help: str


class Described(NamedTuple):
    """A command: ``job create``. `arguments` stand behind the options: what each is called, and what it is."""

    words: tuple[str, ...]
    summary: str
    usage: str
    options: tuple[Option, ...]
    arguments: tuple[tuple[str, str], ...]


class Program(NamedTuple):
    name: str
    summary: str
    groups: tuple[tuple[str, str], ...]
    """The first words of commands of two, and what each group is about."""
    commands: tuple[Described, ...]


def aurora() -> Program:
    """The client, with the words of 0.5 behind those of today."""
    from client.main import parser_of

    commands = [
        described((noun, name), verb.summary, parser_of(noun, name, verb, nouns.command_of(verb), Build()))
        for noun, about in nouns.NOUNS.items()
        for name, verb in about.verbs.items()
    ]
    commands += [
        described((name,), f"{verb.summary} (as in 0.5)", dialect.parser_of(name, verb)) for name, verb in VERBS.items()
    ]
    groups = tuple((noun, about.summary) for noun, about in nouns.NOUNS.items())
    return Program("aurora", "run jobs on a cluster, look at them and change them", groups, tuple(commands))


def aurora_admin() -> Program:
    commands = []
    for name, verb in COMMANDS.items():
        command: AdminCommand = verb.load()
        commands.append(described((name,), verb.summary, command.parser(name, verb.summary)))
    return Program("aurora_admin", "administer a cluster", (), tuple(commands))


def described(words: tuple[str, ...], summary: str, parser: ArgumentParser) -> Described:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    actions = [action for action in parser._actions if action.help != SUPPRESS]
    options = tuple(_option(action, parser) for action in actions if action.option_strings)
    arguments = tuple((_called(action), _help(action, parser)) for action in actions if not action.option_strings)
    return Described(words, summary, usage, options, arguments)


def _option(action: Action, parser: ArgumentParser) -> Option:
    value = None if action.nargs == 0 else _called(action)
    return Option(tuple(action.option_strings), value, tuple(map(str, action.choices or ())), _help(action, parser))


def _called(action: Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _help(action: Action, parser: ArgumentParser) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}


def long_names(option: Option) -> Iterator[str]:
    """Those that say what they mean; the short ones if there are no others."""
    long = [name for name in option.names if name.startswith("--")]
    yield from long or option.names
