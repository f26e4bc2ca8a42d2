"""Running commands where tasks run: by ssh, or right here as the user whom the sandbox belongs to."""

from __future__ import annotations

import dataclasses
import glob
import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

from aurorad.api.tasks import AssignedTask
from client.errors import CommandError, Exit
from client.sandboxes import Agents, filled_in

_SIGNALLED = 128


@dataclasses.dataclass(frozen=True)
class Command:
    """What to run on this machine, and as whom: None is whoever runs the client."""

    words: Sequence[str]
    user: User | None = None

    def start(
        self,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Raises `CommandError` if there is no such program."""
        user = self.user
        try:
            return subprocess.Popen(
                list(self.words),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                user=user.uid if user is not None else None,
                group=user.gid if user is not None else None,
                extra_groups=user.groups if user is not None else None,
                env=user.environment if user is not None else None,
            )
        except OSError as error:
            raise CommandError(Exit.COMMAND_FAILURE, f"Error running {self.words[0]}: {error.strerror}") from None

    def run(self, started: Callable[[int], None] = lambda pid: None) -> int:
        """The exit status, as a shell has it. `started` is told the process id.

        ^C is the command's: it sits at the same terminal, and decides what that means.
        """
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            process = self.start()
            started(process.pid)
            return status_of(process)
        finally:
            signal.signal(signal.SIGINT, before)


def status_of(process: subprocess.Popen[bytes]) -> int:
    """Once it has ended."""
    code = process.wait()
    return code if code >= 0 else _SIGNALLED - code


class User(NamedTuple):
    """Somebody whom only root can become."""

    uid: int
    gid: int
    groups: Sequence[int]
    environment: Mapping[str, str]

    @classmethod
    def of(cls, entry: pwd.struct_passwd) -> User:
        own = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        return cls(entry.pw_uid, entry.pw_gid, groups, {**os.environ, **own})


class Ssh(NamedTuple):
    """How to log in: as `user`, or as the task's role."""

    user: str | None
    options: Sequence[str]

    def login(self, task: AssignedTask) -> str:
        return f"{self.user or task.task.job.role}@{task.slave_host}"


def command(
    agents: Agents, task: AssignedTask, ssh: Ssh, text: str, flags: Sequence[str], *, of_executor: bool
) -> Command:
    """`text`, run by a shell in the task's folder; `flags` are for ssh. Raises `CommandError`."""
    folder = agents.folder(task, of_executor=of_executor)
    line = f"cd {folder} || exit 1;{filled_in(text, task)}"
    if agents.are_here(task):
        return Command(("/bin/bash", "-c", line), owner(agents, task, ssh.user))
    return Command(("ssh", *flags, ssh.login(task), line))


def owner(agents: Agents, task: AssignedTask, wanted: str | None = None) -> User | None:
    """Whom to become on this machine: the user whom the sandbox belongs to, unless another one is `wanted`.

    Nobody, for who is that user already; and for who cannot, and may look as far as the sandbox lets. Raises
    `CommandError`.
    """
    if wanted is None:
        uid = os.lstat(sandbox(agents, task)).st_uid
    else:
        try:
            uid = pwd.getpwnam(wanted).pw_uid
        except KeyError:
            raise CommandError(Exit.INVALID_PARAMETER, f"There is no user {wanted} on this machine") from None
    if uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        if wanted is not None:
            raise CommandError(Exit.INVALID_PARAMETER, f"Only root can become {wanted} on this machine")
        return None
    return User.of(pwd.getpwuid(uid))


def sandbox(agents: Agents, task: AssignedTask) -> str:
    """The sandbox on this machine. Raises `CommandError`."""
    pattern = f"{glob.escape(agents.root)}/slaves/*/frameworks/*/executors/thermos-{task.task_id}"
    found = sorted(glob.glob(f"{pattern}/runs/{agents.run_directory}/sandbox"))
    if not found or not stat.S_ISDIR(os.lstat(found[0]).st_mode):
        text = f"The sandbox of {task.task_id} is not below {agents.root}, or this user may not see it"
        raise CommandError(Exit.INVALID_PARAMETER, text)
    return found[0]
