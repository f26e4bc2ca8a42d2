"""`aurora update pause | resume | abort | rollback` (client-commands sheet, section 7.3)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from aurorad.api.calls import AbortJobUpdate, Call, PauseJobUpdate, ResumeJobUpdate, RollbackJobUpdate
from aurorad.api.results import Response
from aurorad.api.updates import JobUpdateKey
from client import options, updates
from client.arguments import JobPath
from client.command import Command
from client.errors import Exit
from client.hooks import Hooks, Point
from client.scheduler import Scheduler
from client.session import Session

Send = Callable[[], Response]


def _declare(parser: ArgumentParser) -> None:
    options.update_message(parser)
    options.job_key(parser)


def _control(verb: str, call: Callable[[JobUpdateKey, str | None], Call], done: str) -> Command:
    def run(given: Namespace, session: Session) -> int:
        _order(given, session, verb, call, done, lambda send: send())
        return Exit.OK

    return Command(_declare, run)


def _order(
    given: Namespace,
    session: Session,
    verb: str,
    call: Callable[[JobUpdateKey, str | None], Call],
    done: str,
    around: Callable[[Send], Response],
) -> tuple[Scheduler, JobUpdateKey]:
    """Do it to the active update, and say that it is `done`. Raises `CommandError`."""
    path: JobPath = given.job
    scheduler = session.scheduler(path.cluster)
    key = updates.active(scheduler, path.key, "No active update found for this job.")
    response = around(lambda: scheduler.call(call(key, given.message)))
    scheduler.require_ok(response, f"Failed to {verb} update due to error:")
    session.terminal.out(done)
    return scheduler, key


def _declare_abort(parser: ArgumentParser) -> None:
    options.optional_config(parser)
    _declare(parser)


def _abort(given: Namespace, session: Session) -> int:
    """Hooks know it by the name it had in 0.5."""
    hooks = Hooks.given(given, given.job, session)
    point = Point("cancel_update", (hooks.key,), {"config": hooks.config})
    done = "Update has been aborted."
    _order(given, session, "abort", AbortJobUpdate, done, lambda send: hooks.around(point, send))
    return Exit.OK


def _declare_rollback(parser: ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="return when the update has ended")
    _declare(parser)


def _rollback(given: Namespace, session: Session) -> int:
    done = "Update rollback has started."
    scheduler, key = _order(given, session, "rollback", RollbackJobUpdate, done, lambda send: send())
    return updates.wait(scheduler, key, updates.BACK) if given.wait else Exit.OK


PAUSE = _control("pause", PauseJobUpdate, "Update has been paused.")
RESUME = _control("resume", ResumeJobUpdate, "Update has been resumed.")
ABORT = Command(_declare_abort, _abort)
ROLLBACK = Command(_declare_rollback, _rollback)
