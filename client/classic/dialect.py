"""The verb-only dialect of Aurora 0.5: its words, and how its commands end (client-commands sheet, section 12)."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from aurorad.api import keys
from aurorad.api.calls import Call, CreateJob, KillTasks, ReadOnlyCall
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from client import pages
from client.classic import verb as v
from client.classic.verb import Dispatch, OldVerb
from client.classic.verbs import VERBS
from client.errors import CommandError, Exit, FatalError
from client.nouns import OLD_VERBS
from client.scheduler import messages
from client.session import Session

_TELL_PAGE = ("create", "kill", "killall", "restart")
_OWN_STATUS = (Exit.USAGE, Exit.INTERRUPTED)
_LAST_WORDS = ("run", "ssh")  # what stands behind their arguments is none of our options


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        is_option = message.startswith(("argument -", "unrecognized arguments: -"))
        if not is_option:
            usage = self.format_usage().strip()
            raise FatalError(f"Incorrect parameters for {self.prog.split()[-1]}\n{usage}\n{message}")
        super().error(message)


def run(name: str, words: Sequence[str], session: Session, dispatch: Dispatch) -> int:
    """The exit status. Raises `CommandError`."""
    verb = VERBS[name]
    given = _read(name, verb, words)
    if "env" in given and "/" not in given.key:
        given.key = _whole_key(given)
    hint = f"'aurora {name}' is called 'aurora {OLD_VERBS[name]}' now"
    if session.terminal.stderr.isatty():
        session.terminal.info(hint)
    terminal = dataclasses.replace(session.terminal, results_logged=not verb.prints)
    old = dataclasses.replace(session, terminal=terminal, heard=lambda call, response: _tell(old, call, response))
    if given.disable_all_hooks_reason is not None:
        terminal.info(f"Client hooks disabled; reason given by user: {given.disable_all_hooks_reason}")
        old = dataclasses.replace(old, without_hooks=True)
    try:
        status = verb.run(given, old, dispatch)
        if name in _TELL_PAGE and status == Exit.OK:
            path = v.path(given)
            terminal.info(f"Job url: {pages.job(old.scheduler(path.cluster), path.key)}")
    except FatalError:
        raise
    except CommandError as error:
        if error.code in _OWN_STATUS:
            raise
        late = error.code == Exit.TIMEOUT and name in ("kill", "killall")
        raise CommandError(Exit.FATAL, "Tasks were not killed in time." if late else str(error)) from error
    return status if name == "ssh" or status == Exit.OK else Exit.FATAL


def _read(name: str, verb: OldVerb, words: Sequence[str]) -> Namespace:
    parser = parser_of(name, verb)
    if name in _LAST_WORDS:
        return parser.parse_args(words)
    return parser.parse_intermixed_args(words)


def parser_of(name: str, verb: OldVerb) -> ArgumentParser:
    parser = _Parser(f"aurora {name}", description=f"{verb.summary}. 'aurora {OLD_VERBS[name]}' is its name now.")
    verb.declare(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say more, and where errors happened")
    parser.add_argument("-q", "--quiet", action="store_true", help="no log lines")
    parser.add_argument("--disable_all_hooks_reason", metavar="TEXT", help="run no hooks, and why")
    return parser


def _whole_key(given: Namespace) -> str:
    """The key of the job that a bare name means. Raises `CommandError`."""
    from aurorad.jobfile import jobs
    from aurorad.jobfile.errors import ConfigError
    from client import config

    try:
        there = [jobs.describe(job) for job in config.read(Path(given.file), as_json=given.json).jobs]
    except ConfigError as error:
        raise CommandError(Exit.FATAL, f"Error loading configuration: {error}") from error
    wanted = (given.cluster or "*", "*", given.env or "*", given.key)
    found = [one for one in there if all(map(fnmatchcase, one.split("/"), wanted))]
    if len(found) != 1:
        which = f"{len(found)} of its jobs: {', '.join(found)}" if found else f"none of its jobs: {', '.join(there)}"
        raise CommandError(Exit.FATAL, f"{given.key}, by --cluster, --env and name, is {which} ({given.file})")
    return found[0]


def _tell(session: Session, call: Call, response: Response) -> None:
    """What each call that changes something logged."""
    if isinstance(call, ReadOnlyCall) and response.response_code is ResponseCode.OK:
        return
    text = messages(response) or _words(call)
    session.terminal.info(f"Response from scheduler: {response.response_code.name} (message: {text})")


def _words(call: Call) -> str:
    """What schedulers said of themselves then, and do not say now."""
    match call:
        case CreateJob(description=job) if job is not None:
            return f"{job.instance_count} new tasks pending for job {keys.canonical(job.key)}"
        case KillTasks():
            return "Tasks killed."
    return ""
