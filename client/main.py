"""The `aurora` command: find the verb, read its arguments, run it (client-commands sheet, sections 1 and 2)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from aurorad import __version__
from client import helptext
from client.errors import CommandError, Exit
from client.guard import guarded, real_world
from client.nouns import NOUNS, OLD_VERBS, Verb
from client.session import Outside, Session
from client.terminal import Terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from client.command import Command


def entry() -> None:
    """The `aurora` command."""
    sys.exit(run(sys.argv[1:], real_world()))


def run(arguments: Sequence[str], outside: Outside) -> int:
    """The exit status."""
    verbose = any(argument in ("-v", "--verbose") for argument in arguments)
    terminal = Terminal(sys.stdout, sys.stderr, verbose)
    with ExitStack() as closing:
        session = Session(terminal, outside, closing)
        return guarded(terminal, lambda: _dispatch(list(arguments), session))


def _dispatch(arguments: list[str], session: Session) -> int:
    match arguments:
        case [] | ["-h" | "--help" | "-help" | "help"]:
            session.terminal.out(helptext.overview())
        case ["--version"]:
            session.terminal.out(__version__)
        case ["version", *_]:
            session.terminal.out(helptext.version(__version__))
        case ["help", *words]:
            return _dispatch([*words, "-h"], session)
        case [noun, *_] if noun not in NOUNS:
            raise _unknown(noun)
        case [noun] | [noun, "-h" | "--help", *_]:
            return _noun_alone(noun, len(arguments) > 1, session)
        case [noun, verb, *_] if verb not in NOUNS[noun].verbs:
            raise CommandError(Exit.USAGE, helptext.unknown_verb(noun, verb))
        case [noun, verb, *rest]:
            return _run_verb(noun, verb, rest, session)
    return Exit.OK


def _unknown(word: str) -> CommandError:
    if word in OLD_VERBS:
        return CommandError(
            Exit.INVALID_COMMAND,
            f"'aurora {word}' belongs to the older dialect, which is not available yet: use 'aurora {OLD_VERBS[word]}'",
        )
    return CommandError(Exit.USAGE, helptext.unknown_noun(word))


def _noun_alone(noun: str, wants_help: bool, session: Session) -> int:
    if not wants_help:
        raise CommandError(Exit.USAGE, helptext.missing_verb(noun))
    session.terminal.out(helptext.of_noun(noun))
    return Exit.OK


def _run_verb(noun: str, name: str, arguments: list[str], session: Session) -> int:
    verb = NOUNS[noun].verbs[name]
    command = _command(verb)
    if command is None:
        raise CommandError(Exit.INVALID_COMMAND, f"'aurora {noun} {name}' is not available yet")
    parser = _parser(noun, name, verb, command)
    return command.run(parser.parse_intermixed_args(arguments), session)


def _command(verb: Verb) -> Command | None:
    """Imports the verb's module."""
    from importlib import import_module

    if verb.place is None:
        return None
    module, _, name = verb.place.partition(":")
    command: Command = getattr(import_module(module), name)
    return command


def _parser(noun: str, name: str, verb: Verb, command: Command) -> ArgumentParser:
    from argparse import ArgumentParser

    parser = ArgumentParser(f"aurora {noun} {name}", description=verb.summary)
    command.declare(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say more, and where errors happened")
    parser.add_argument("--skip-hooks", metavar="HOOK,HOOK,...", help="accepted; there are no command hooks yet")
    return parser


if __name__ == "__main__":
    entry()
