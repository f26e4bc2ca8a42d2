"""`aurora config list` (client-commands sheet, section 9.2)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from aurorad.jobfile import jobs
from aurorad.jobfile.errors import ConfigError
from client import config, options
from client.command import Command
from client.errors import CommandError, Exit
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.reading(parser)
    options.config_file(parser)


def _run(given: Namespace, session: Session) -> int:
    try:
        found = config.read(given.config_file, as_json=given.read_json)
        for warning in found.warnings:
            session.terminal.warn(warning)
        there = jobs.bound(found.jobs, given.bind)
        session.terminal.out(f"jobs=[{', '.join(map(jobs.describe, there))}]")
    except ConfigError as error:
        raise CommandError(Exit.COMMAND_FAILURE, f"Error loading configuration file: {error}") from error
    return Exit.OK


LIST = Command(_declare, _run)
