"""`aurora job list` (client-commands sheet, section 5.7)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from client import arguments
from client.command import Command
from client.errors import Exit
from client.matching import matching
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "pattern",
        type=arguments.job_pattern,
        metavar="CLUSTER[/ROLE[/ENV[/NAME]]]",
        help="which jobs; each part may hold * globs",
    )


def _run(given: Namespace, session: Session) -> int:
    for _, path in matching(given.pattern, session):
        session.terminal.out(str(path))
    return Exit.OK


LIST = Command(_declare, _run)
