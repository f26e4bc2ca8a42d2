"""`aurora job explain`: why instances of a job wait, and what would help."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from client import explained, options
from client.arguments import JobInstances
from client.command import Command
from client.errors import Exit
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.job_instances(parser)


def _run(given: Namespace, session: Session) -> int:
    target: JobInstances = given.job
    told = session.scheduler(target.path.cluster).explain(target.path.key, target.instances or ())
    for line in explained.lines(told):
        session.terminal.out(line)
    return Exit.OK


EXPLAIN = Command(_declare, _run)
