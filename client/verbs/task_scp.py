"""`aurora task scp` (client-commands sheet, section 6.3)."""

from __future__ import annotations

import glob
import posixpath
import re
import subprocess
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import NamedTuple

from aurorad.api.tasks import AssignedTask
from client import arguments, copying, entering, options, sandboxes
from client.arguments import JobInstance
from client.command import Command
from client.errors import CommandError, Exit
from client.session import Session

_RECURSIVE = re.compile(r"-[346ABCOpqRrsTv]*r[346ABCOpqRrsTv]*")
# From this version of OpenSSH on, scp has no shell expand patterns at the other end, unless told to be like before.
_WITHOUT_SHELL_SINCE = 9


class _Place(NamedTuple):
    """A path on this machine, or with `agents` in or beside the sandbox of a task there."""

    path: str
    task: AssignedTask | None = None
    agents: sandboxes.Agents | None = None

    @property
    def is_here(self) -> bool:
        return self.agents is None or self.task is None or self.agents.are_here(self.task)


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--scp-options", type=str.split, default=[], metavar="'OPTIONS'", help="more options for scp, in one argument"
    )
    options.executor_sandbox(parser)
    place = "[CLUSTER/ROLE/ENV/NAME/INSTANCE:]path"
    parser.add_argument("source", nargs="+", metavar="source", help=f"{place}: what to copy")
    parser.add_argument("dest", metavar="dest", help=f"{place}: where to")


def _run(given: Namespace, session: Session) -> int:
    places = [_place(text, given.executor_sandbox, session) for text in (*given.source, given.dest)]
    of_tasks = [place for place in places if place.task is not None]
    if of_tasks and all(place.is_here for place in of_tasks):
        return _copy(places, given.scp_options, session)
    if any(place.is_here for place in of_tasks):
        text = "Some of these tasks are reached by ssh, and some are on this machine: copy in two steps"
        raise CommandError(Exit.INVALID_PARAMETER, text)
    words = [_remote(place) for place in places]
    as_before = ["-O"] if of_tasks and _version() >= _WITHOUT_SHELL_SINCE else []
    return entering.Command(("scp", *as_before, *given.scp_options, *words)).run()


def _place(text: str, of_executor: bool, session: Session) -> _Place:
    """Raises `CommandError`."""
    key, colon, path = text.partition(":")
    if not colon:
        return _Place(text)
    try:
        instance = arguments.job_instance(key)
    except ArgumentTypeError as error:
        raise CommandError(Exit.INVALID_PARAMETER, str(error)) from None
    if path == "~" or path.startswith("~/"):
        text = f"Command does not support tilde expansion for path: {path}"
        raise CommandError(Exit.INVALID_PARAMETER, text)
    task, agents = _find(instance, session)
    folder = agents.folder(task, of_executor=of_executor)
    whole = posixpath.normpath(posixpath.join(folder, sandboxes.filled_in(path, task)))
    return _Place(whole + ("/" if path.endswith("/") else ""), task, agents)


def _find(target: JobInstance, session: Session) -> tuple[AssignedTask, sandboxes.Agents]:
    path, instance = target
    scheduler = session.scheduler(path.cluster)
    failure = "Unable to get information about instance:"
    there = sandboxes.live_tasks(scheduler, path.key, {instance}, lambda answer: scheduler.require_ok(answer, failure))
    if not there:
        raise CommandError(Exit.INVALID_PARAMETER, f"Job or instance {path}/{instance} not found")
    return there[0], sandboxes.Agents.of(scheduler)


def _remote(place: _Place) -> str:
    if place.task is None:
        return place.path
    return f"{place.task.task.job.role}@{place.task.slave_host}:{place.path}"


def _copy(places: list[_Place], scp_options: list[str], session: Session) -> int:
    """What scp would do, without it."""
    *sources, target = places
    spots = [copying.Spot(path, _user(place)) for place in sources for path in _found(place)]
    recursive = any(_RECURSIVE.fullmatch(word) for word in scp_options)
    return copying.copy(spots, copying.Spot(_here(target)[0], _user(target)), recursive, session.terminal)


def _here(place: _Place) -> tuple[str, str]:
    """The path as it is on this machine, and as a pattern in which only what was typed for a task counts as one."""
    if place.task is None or place.agents is None:
        return place.path, glob.escape(place.path)
    folder = place.agents.folder(place.task, of_executor=True)
    found = posixpath.dirname(entering.sandbox(place.agents, place.task))
    if not place.path.startswith(folder):
        return place.path, place.path
    typed = place.path.removeprefix(folder)
    return found + typed, glob.escape(found) + typed


def _found(place: _Place) -> list[str]:
    path, pattern = _here(place)
    return sorted(glob.glob(pattern)) or [path]


def _user(place: _Place) -> entering.User | None:
    if place.task is None or place.agents is None:
        return None
    return entering.owner(place.agents, place.task)


def _version() -> int:
    """Of OpenSSH, its first number; 0 if that cannot be told."""
    with entering.Command(("ssh", "-V")).start(subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT) as process:
        found = re.match(rb"OpenSSH_(\d+)", process.communicate()[0])
    return int(found[1]) if found else 0


SCP = Command(_declare, _run)
