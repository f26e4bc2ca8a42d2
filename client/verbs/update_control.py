"""`aurora update pause | resume | abort | rollback` (client-commands sheet, section 7.3)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from aurorad.api.calls import AbortJobUpdate, Call, PauseJobUpdate, ResumeJobUpdate, RollbackJobUpdate
from aurorad.api.updates import JobUpdateKey
from client import options, updates
from client.arguments import JobPath
from client.command import Command
from client.errors import Exit
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.update_message(parser)
    options.job_key(parser)


def _declare_rollback(parser: ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="return when the update has ended")
    _declare(parser)


def _control(verb: str, call: Callable[[JobUpdateKey, str | None], Call], done: str) -> Command:
    def run(given: Namespace, session: Session) -> int:
        path: JobPath = given.job
        scheduler = session.scheduler(path.cluster)
        key = updates.active(scheduler, path.key, "No active update found for this job.")
        scheduler.ask(call(key, given.message), f"Failed to {verb} update due to error:")
        session.terminal.out(done)
        if verb == "rollback" and given.wait:
            return updates.wait(scheduler, key, updates.BACK)
        return Exit.OK

    return Command(_declare_rollback if verb == "rollback" else _declare, run)


PAUSE = _control("pause", PauseJobUpdate, "Update has been paused.")
RESUME = _control("resume", ResumeJobUpdate, "Update has been resumed.")
ABORT = _control("abort", AbortJobUpdate, "Update has been aborted.")
ROLLBACK = _control("rollback", RollbackJobUpdate, "Update rollback has started.")
