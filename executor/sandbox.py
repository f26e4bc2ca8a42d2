"""Whom a task runs as, and the directory it runs in (executor sheet, section 6; thermos-runner sheet, section 8)."""

from __future__ import annotations

import logging
import os
import pwd
import stat
from pathlib import Path

import msgspec

from executor.flags import ExecutorFlags
from executor.paths import RunDirectory


class SandboxError(Exception):
    """The text follows `Failed to initialize sandbox: `."""


class UnknownUser(SandboxError):
    """The role has no account on this host."""


class User(msgspec.Struct, frozen=True):
    """An account. With `drop`, processes must give up root's rights for it; otherwise it is who we are already."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    drop: bool = False


def current_user() -> User:
    """Who this process is; an account without a name goes by its number."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return User(name, uid, os.getegid())


def user_for(role: str, flags: ExecutorFlags, log: logging.Logger) -> User:
    """The account that a task of this role runs as, if we may become it; else who we are.

    Raises `UnknownUser` if root finds no such account: to run the task as root instead would hand root to whoever may
    name a role.
    """
    me = current_user()
    name = flags.execute_as_user or role
    if name == me.name:
        return me
    if me.uid != 0 or flags.nosetuid:
        reason = "told not to change user" if flags.nosetuid else "only root may become another user"
        log.warning("Processes run as %s, not as the user %s: %s.", me.name, name, reason)
        return me
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UnknownUser(f"Could not create sandbox because user does not exist: {name}") from None
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return User(name, entry.pw_uid, entry.pw_gid, groups, drop=True)


def create_sandbox(sandbox: Path, user: User) -> None:
    """A directory that only `user` may enter. The one that is there already stays as it is. Raises `SandboxError`.

    Only the sandbox becomes the user's: in a run directory of its own, a task could replace its checkpoints.
    """
    try:
        sandbox.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(f"Failed to create the sandbox root: {error}") from None
    try:
        if user.drop:
            _let_in(sandbox.parent, user)
            os.chown(sandbox, user.uid, user.gid)
        sandbox.chmod(0o700)
    except OSError as error:
        raise SandboxError(f"Failed to chown/chmod the sandbox: {error}") from None


def _let_in(directory: Path, user: User) -> None:
    """A Mesos agent closes a run directory to all but its own user: who runs there must pass, and read what the agent
    fetched for the job; not more."""
    mode = directory.stat().st_mode
    if not mode & stat.S_IXOTH:
        os.chown(directory, -1, user.gid)
        directory.chmod(stat.S_IMODE(mode) & ~stat.S_IWGRP | stat.S_IRGRP | stat.S_IXGRP)


def link_into_container(run: RunDirectory) -> None:
    """Within a Docker container: the run directory under its name on the host, so that both sides name files alike.

    Raises `SandboxError`.
    """
    if run.path == run.mounted:
        raise SandboxError("not within a Docker container: a Mesos agent starts them, the local engine has none")
    try:
        run.path.parent.mkdir(parents=True, exist_ok=True)
        if not run.path.is_symlink():
            run.path.symlink_to(run.mounted)
    except OSError as error:
        raise SandboxError(f"Failed to create the sandbox: {error}") from None
    try:
        run.mounted.chmod(0o755)
    except OSError as error:
        raise SandboxError(f"Failed to chown/chmod the sandbox: {error}") from None
