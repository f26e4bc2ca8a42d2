"""The `aurora_admin` command (admin-commands sheet, sections 1 and 3)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from typing import TYPE_CHECKING

from aurorad import __version__
from client import helptext
from client.admin_commands.table import COMMANDS, OLDER
from client.errors import CommandError, Exit
from client.guard import guarded, real_world
from client.session import Outside, Session
from client.terminal import Terminal

if TYPE_CHECKING:
    from client.admin_commands.command import AdminCommand

_GLOBAL_FLAGS = ("-v", "-q", "--verbose", "--bypass-leader-redirect")
# Of the framework that the original's program was made with; they may be ignored.
_IGNORED = ("--log_to_stderr", "--log_to_disk", "--log_dir", "--app_")
_OWN_STATUS = (Exit.USAGE, Exit.INTERRUPTED)


def entry() -> None:
    """The `aurora_admin` command."""
    sys.exit(run(sys.argv[1:], real_world()))


def run(arguments: Sequence[str], outside: Outside) -> int:
    """The exit status."""
    verbose = any(argument in ("-v", "--verbose") for argument in arguments)
    terminal = Terminal(sys.stdout, sys.stderr, verbose, quiet="-q" in arguments)
    words = [word for word in arguments if word not in _GLOBAL_FLAGS and not word.startswith(_IGNORED)]
    with ExitStack() as closing:
        bypass = "--bypass-leader-redirect" in arguments
        session = Session(terminal, outside, closing, user_agent="Aurora Admin", bypass_leader_redirect=bypass)
        return guarded(terminal, lambda: _dispatch(words, session))


def _dispatch(words: list[str], session: Session) -> int:
    match words:
        case ["help", _, _, *_]:
            raise CommandError(Exit.FATAL, "Please specify at most one subcommand.")
        case ["help", "help" | "version"] | ["help" | "-h" | "--help" | "--long-help"]:
            session.terminal.out(_usage())
        case ["help", command]:
            return _carry_out(command, ["--help"], session)
        case ["version" | "--version", *_]:
            session.terminal.out(helptext.version(__version__))
        case [command, *rest]:
            return _carry_out(command, rest, session)
        case _:
            session.terminal.out(_usage())
            return Exit.FATAL
    return Exit.OK


def _carry_out(name: str, words: list[str], session: Session) -> int:
    name = OLDER.get(name, name)
    verb = COMMANDS.get(name)
    if verb is None:
        raise CommandError(Exit.FATAL, _unknown(name))
    command: AdminCommand = verb.load()
    try:
        return command.carry_out(name, f"{verb.summary}.", words, session)
    except CommandError as error:  # for scripts there is one status of what was refused
        if error.code in _OWN_STATUS:
            raise
        raise CommandError(Exit.FATAL, str(error)) from error


def _unknown(name: str) -> str:
    close = get_close_matches(name, COMMANDS, n=1)
    return f"Subcommand {name} not found" + (f": did you mean {close[0]}?" if close else ".")


def _usage() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"    {name:<{width}}  {verb.summary}" for name, verb in sorted(COMMANDS.items())]
    return "\n".join(
        [
            "usage: aurora_admin COMMAND [options] ARGUMENTS",
            "",
            "Available commands:",
            *rows,
            "",
            "For more help on an individual command:",
            "    aurora_admin help COMMAND",
        ]
    )


if __name__ == "__main__":
    entry()
