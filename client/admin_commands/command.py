"""What a command of `aurora_admin` is, and how its words are read (admin-commands sheet, sections 1 and 8)."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from aurorad.api.calls import Call
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Result
from client.errors import CommandError, Exit
from client.scheduler import Scheduler, messages
from client.session import Session


def _no_options(parser: ArgumentParser) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class AdminCommand:
    """`arguments` are names with blanks between, those in brackets may be left out; `run` raises `CommandError`."""

    arguments: str
    run: Callable[[Namespace, Session], None]
    declare: Callable[[ArgumentParser], None] = _no_options

    def parser(self, name: str, summary: str) -> ArgumentParser:
        parser = ArgumentParser(f"aurora_admin {name}", description=summary, allow_abbrev=False)
        for argument in self.arguments.split():
            parser.add_argument(argument.strip("[]"), nargs="?", metavar=argument.strip("[]").upper())
        self.declare(parser)
        return parser

    def carry_out(self, name: str, summary: str, words: Sequence[str], session: Session) -> int:
        """Raises `CommandError`."""
        parser = self.parser(name, summary)
        given, more = parser.parse_known_intermixed_args(words)
        if any(word.startswith("-") for word in more):
            parser.error(f"unrecognized arguments: {' '.join(more)}")
        required = [argument for argument in self.arguments.split() if not argument.startswith("[")]
        if more or any(getattr(given, argument) is None for argument in required):
            raise CommandError(
                Exit.FATAL,
                f"Incorrect parameters for {name}\n\n{name} {self.arguments} see the help subcommand for more details.",
            )
        self.run(given, session)
        return Exit.OK


def ask(scheduler: Scheduler, call: Call, *, repeatable: bool = True) -> Result:
    """Raises `CommandError` if the answer is not OK; what it says is in the log line."""
    response = scheduler.call(call, repeatable=repeatable)
    line = f"Response from scheduler: {response.response_code.name} (message: {messages(response)})"
    if response.response_code is not ResponseCode.OK:
        raise CommandError(Exit.FATAL, f" INFO] {line}")
    scheduler.terminal.info(line)
    return response.result or Result()
