"""What a verb of the older dialect is (client-commands sheet, section 12.2)."""

from __future__ import annotations

import dataclasses
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import Any

from client.arguments import JobPath, job_path
from client.errors import CommandError, Exit
from client.session import Session

# Carries out a command of today, given as its words.
Dispatch = Callable[[list[str], Session], int]


@dataclasses.dataclass(frozen=True)
class OldVerb:
    """`run` gets the options, and how to carry out a command of today; what it returns is the exit status.

    Results of those who do not `print` are log lines.
    """

    summary: str
    declare: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Session, Dispatch], int]
    prints: bool = False


def translated(
    summary: str,
    declare: Callable[[ArgumentParser], None],
    words: Callable[[Namespace], Sequence[object]],
    *,
    prints: bool = False,
) -> OldVerb:
    """A verb that is a command of today by another name."""

    def run(given: Namespace, session: Session, dispatch: Dispatch) -> int:
        return dispatch(as_words(words(given)), session)

    return OldVerb(summary, declare, run, prints)


def as_words(words: Sequence[object]) -> list[str]:
    return [str(word) for word in words]


def key(parser: ArgumentParser) -> None:
    parser.add_argument("key", metavar="CLUSTER/ROLE/ENV/NAME", help="the job")


def file(parser: ArgumentParser) -> None:
    """The key, or a name that the file makes one of, and the job file."""
    key(parser)
    parser.add_argument("file", metavar="FILE", help="the job file")
    parser.add_argument(
        "-E", action="append", default=[], metavar="NAME=VALUE", help="give a template variable a value"
    )
    parser.add_argument("-j", "--json", action="store_true", help="the job file is JSON")
    parser.add_argument("--cluster", help="which of the jobs of that name is meant, if NAME stands in place of the key")
    parser.add_argument("--env", help="likewise")


def hooks_file(parser: ArgumentParser) -> None:
    key(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help="a job file, for its hooks")


def open_browser(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--open_browser", action="store_true", help="open the page in a browser")


def shards(parser: ArgumentParser) -> None:
    parser.add_argument("--shards", metavar="0,2,5-7", help="only these instances")


def number(parser: ArgumentParser, name: str, default: int | None, words: str) -> None:
    shown = f"{words} ({default})" if default is not None else words
    parser.add_argument(name, type=int, default=default, metavar="N", help=shown)


def ignored(parser: ArgumentParser, *names: str, **more: Any) -> None:
    """Taken, and of no effect."""
    parser.add_argument(*names, help=SUPPRESS, **more)


def target(given: Namespace) -> str:
    """The key, with the instances if there are any."""
    return f"{given.key}/{given.shards}" if given.shards is not None else str(given.key)


def path(given: Namespace) -> JobPath:
    """Raises `CommandError`."""
    try:
        return job_path(given.key)
    except ArgumentTypeError as error:
        raise CommandError(Exit.FATAL, str(error)) from None


def reading(given: Namespace) -> list[object]:
    binds = [word for bind in given.E for word in ("--bind", bind)]
    return [*binds, *(["--read-json"] if given.json else [])]


def opening(given: Namespace) -> list[object]:
    return ["--open-browser"] if given.open_browser else []


def hooking(given: Namespace) -> list[object]:
    return ["--config", given.file] if given.file is not None else []
