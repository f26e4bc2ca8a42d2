"""The `aurora` command: find the verb, read its arguments, run it (client-commands sheet, sections 1 and 2)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from aurorad import __version__
from client import helptext
from client.build import Build, Context
from client.errors import CommandError, Exit
from client.guard import guarded, real_world
from client.nouns import NOUNS, OLD_VERBS, OLDER_SPELLINGS, Noun, Verb, command_of
from client.session import Outside, Session
from client.terminal import Terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from client.command import Command


def entry(build: Build | None = None) -> None:
    """The `aurora` command, or somebody's own with what `build` adds to it."""
    sys.exit(run(sys.argv[1:], real_world(), build or Build()))


def run(arguments: Sequence[str], outside: Outside, build: Build | None = None) -> int:
    """The exit status."""
    verbose = any(argument in ("-v", "--verbose") for argument in arguments)
    terminal = Terminal(sys.stdout, sys.stderr, verbose)
    with ExitStack() as closing:
        session = Session(terminal, outside, closing, build or Build())
        return guarded(terminal, lambda: _dispatch(_rewritten(arguments, session.build), session))


def _rewritten(arguments: Sequence[str], build: Build) -> list[str]:
    words = list(arguments)
    for plugin in build.plugins:
        try:
            words = plugin.before_dispatch(words)
        except CommandError as error:
            raise CommandError(error.code, f"Error in configuration plugin before dispatch: {error}") from error
    return words


def _dispatch(arguments: list[str], session: Session) -> int:
    nouns = {**NOUNS, **session.build.nouns}
    match arguments:
        case [] | ["-h" | "--help" | "-help" | "help"]:
            session.terminal.out(helptext.overview(nouns))
        case ["--version"]:
            session.terminal.out(__version__)
        case ["version", *_]:
            session.terminal.out(helptext.version(__version__))
        case [verb, *rest] if _is_old(arguments):
            from client.classic import dialect

            return dialect.run(verb, rest, session, _dispatch)
        case ["completion", *words]:
            return _complete(words, session)
        case ["help", *words]:
            return _dispatch([*words, "-h"], session)
        case [noun, verb, *rest] if (noun, verb) in OLDER_SPELLINGS:
            now = OLDER_SPELLINGS[noun, verb]
            session.terminal.warn(f"'aurora {noun} {verb}' is called 'aurora {' '.join(now)}' now")
            return _dispatch([*now, *rest], session)
        case [noun, *_] if noun not in nouns:
            raise CommandError(Exit.USAGE, helptext.unknown_noun(noun, nouns))
        case [noun] | [noun, "-h" | "--help", *_]:
            return _noun_alone(noun, nouns[noun], len(arguments) > 1, session)
        case [noun, verb, *rest]:
            name = verb if verb in nouns[noun].verbs else verb.replace("_", "-")
            if name not in nouns[noun].verbs:
                raise CommandError(Exit.USAGE, helptext.unknown_verb(noun, nouns[noun], verb))
            return _run_verb(noun, name, nouns[noun].verbs[name], rest, session)
    return Exit.OK


def _complete(words: list[str], session: Session) -> int:
    from client import completion, described

    match words:
        case [shell] if shell in completion.SHELLS:
            session.terminal.out(completion.SHELLS[shell](described.aurora()).rstrip("\n"))
        case [shell, "aurora_admin"] if shell in completion.SHELLS:
            session.terminal.out(completion.SHELLS[shell](described.aurora_admin()).rstrip("\n"))
        case _:
            shells = "|".join(completion.SHELLS)
            text = f"usage: aurora completion {shells} [aurora_admin]\n'aurora completion --help' is this"
            if words not in (["-h"], ["--help"]):
                raise CommandError(Exit.USAGE, text)
            session.terminal.out(text)
    return Exit.OK


def _is_old(arguments: list[str]) -> bool:
    """Whether this is of the older dialect; `update` is a noun if a verb of that follows."""
    match arguments:
        case ["update", word, *_]:
            return word not in (*NOUNS["update"].verbs, "-h", "--help")
        case ["update"] | []:
            return False
    return arguments[0] in OLD_VERBS


def _noun_alone(name: str, noun: Noun, wants_help: bool, session: Session) -> int:
    if not wants_help:
        raise CommandError(Exit.USAGE, helptext.missing_verb(name, noun))
    session.terminal.out(helptext.of_noun(name, noun))
    return Exit.OK


def _run_verb(noun: str, name: str, verb: Verb, arguments: list[str], session: Session) -> int:
    command = command_of(verb)
    from client.arguments import hidden  # takes its time to load, and has been by now for most

    given = parser_of(noun, name, verb, command, session.build).parse_intermixed_args(hidden(arguments))
    if not (session.build.command_hooks or session.build.plugins):
        return command.run(given, session)
    from client import command_hooks

    context = Context(given, session)
    return command_hooks.surrounded(
        noun, name, context, arguments, given.skip_hooks, lambda: command.run(given, session)
    )


def parser_of(noun: str, name: str, verb: Verb, command: Command, build: Build) -> ArgumentParser:
    from argparse import ArgumentParser

    parser = ArgumentParser(f"aurora {noun} {name}", description=verb.summary)
    command.declare(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say more, and where errors happened")
    parser.add_argument(
        "--skip-hooks", metavar="HOOK,HOOK,...", help="command hooks of this client not to run; all for none"
    )
    for plugin in build.plugins:
        plugin.declare(parser)
    return parser


if __name__ == "__main__":
    entry()
