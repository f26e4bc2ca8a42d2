"""`aurora update wait` (client-commands sheet, section 7.2)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from aurorad.api.updates import JobUpdateKey
from client import options, updates
from client.arguments import JobPath
from client.command import Command
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.job_key(parser)
    parser.add_argument("id", nargs="?", metavar="ID", help="the update; without, the active one")


def _run(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    scheduler = session.scheduler(path.cluster)
    if given.id is not None:
        key = JobUpdateKey(path.key, given.id)
    else:
        key = updates.active(scheduler, path.key, "Job update not found.")
    return updates.wait(scheduler, key, updates.FORWARD)


WAIT = Command(_declare, _run)
