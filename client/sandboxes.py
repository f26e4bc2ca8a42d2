"""Where the sandbox of a task is, on its agent's machine (client-internals sheet, section 12)."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Callable, Collection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aurorad.api.calls import GetTasksStatus
from aurorad.api.enums import LIVE_STATES
from aurorad.api.results import Response
from aurorad.api.tasks import AssignedTask, JobKey, TaskQuery
from client.errors import CommandError, Exit
from client.scheduler import Scheduler

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LATEST = "latest"
_PLAIN = re.compile(r"[\w.:-]+", re.ASCII)
_PLAIN_OR_PATTERN = re.compile(r"[\w@%+=:,./~*?\[\]{}-]*", re.ASCII)
_TEMPLATE = re.compile(r"\{\{\s*(thermos\.task_id|mesos\.instance|thermos\.ports\[(\w+)\])\s*\}\}")


class Agents(NamedTuple):
    """Where the agents of a cluster keep sandboxes.

    `near` is for a scheduler of this machine that runs tasks itself: they need no ssh.
    """

    root: str
    run_directory: str
    near: bool

    @classmethod
    def of(cls, scheduler: Scheduler) -> Agents:
        """As clusters.json has it; without `slave_root` there, as a scheduler tells it that has agents of its own.

        Raises `CommandError`.
        """
        cluster = scheduler.cluster
        root = cluster.text("slave_root")
        if root is not None:
            return cls(root.rstrip("/"), cluster.text("slave_run_directory") or _LATEST, False)
        told = scheduler.sandboxes()
        if told.slave_root is None:
            raise cluster.lacks("slave_root is needed: the folder where agents keep the sandboxes of tasks")
        return cls(told.slave_root, told.slave_run_directory, is_this_machine(scheduler.transport.url))

    def are_here(self, task: AssignedTask) -> bool:
        """Whether the task is to be entered without ssh."""
        return self.near and _names_this_machine(task.slave_host or "")

    def folder(self, task: AssignedTask, *, of_executor: bool) -> str:
        """A pattern for a shell; the executor's own folder, or the task's sandbox in it."""
        run = f"executors/thermos-{shlex.quote(task.task_id)}/runs/{_quoted(self.run_directory)}"
        sandbox = "" if of_executor else "/sandbox"
        return filled_in(f"{_quoted(self.root)}/slaves/*/frameworks/*/{run}{sandbox}", task)


def live_tasks(
    scheduler: Scheduler, key: JobKey, instances: Collection[int] | None, check: Callable[[Response], None]
) -> list[AssignedTask]:
    """In the order of their instances. `check` raises for an answer that is not OK; `CommandError` is raised too.

    What is told of them becomes part of commands: whoever answers as the scheduler must not choose these.
    """
    query = TaskQuery(job_keys=frozenset({key}), instance_ids=frozenset(instances or ()), statuses=LIVE_STATES)
    response = scheduler.call(GetTasksStatus(query))
    check(response)
    result = response.result.schedule_status_result if response.result is not None else None
    found = [task.assigned_task for task in (result.tasks if result is not None else ())]
    for task in found:
        if task.task.job != key or not _PLAIN.fullmatch(task.task_id) or not _PLAIN.fullmatch(task.slave_host or "-"):
            text = f"The task {task.task_id!r} that {scheduler.cluster.name} tells of is not what was asked for"
            raise CommandError(Exit.UNKNOWN_ERROR, text)
    return sorted(found, key=lambda task: task.instance_id)


def filled_in(text: str, task: AssignedTask) -> str:
    """With what only the running task knows; templates of other names stay as they are."""

    def value(found: re.Match[str]) -> str:
        if found[1] == "thermos.task_id":
            return task.task_id
        if found[1] == "mesos.instance":
            return str(task.instance_id)
        return str(task.assigned_ports.get(found[2], found[0]))

    return _TEMPLATE.sub(value, text)


def _quoted(text: str) -> str:
    """For a shell, to which patterns are left, and the home of who logs in."""
    return text if _PLAIN_OR_PATTERN.fullmatch(text) else shlex.quote(text)


def is_this_machine(url: str) -> bool:
    """Whether who listens at this URL is on this machine: elsewhere nobody can listen at its addresses."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(_is_own(family, address) for family, _, _, _, address in found)


def _is_own(family: int, address: Any) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind(address)
    except OSError:
        return False
    return True


def _names_this_machine(host: str) -> bool:
    return host in _LOOPBACK or host == socket.gethostname() or host == socket.getfqdn()
