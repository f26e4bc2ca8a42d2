"""`aurora job open` (client-commands sheet, section 5.8)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from client import pages
from client.command import Command
from client.errors import Exit
from client.session import Session


def _parts(text: str) -> list[str]:
    parts = text.split("/")
    if not 1 <= len(parts) <= 4 or not all(parts):
        raise ArgumentTypeError(f"{text!r}: CLUSTER[/ROLE[/ENV[/NAME]]] was expected")
    return parts


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("page", type=_parts, metavar="CLUSTER[/ROLE[/ENV[/NAME]]]", help="what to look at")


def _run(given: Namespace, session: Session) -> int:
    cluster, *rest = given.page
    url = pages.scheduler(session.scheduler(cluster), *rest)
    session.terminal.out(url)
    session.open_page(url)
    return Exit.OK


OPEN = Command(_declare, _run)
