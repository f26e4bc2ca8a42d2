"""Whom a task runs as, and the directory it runs in (executor sheet, section 6; thermos-runner sheet, section 8)."""

from __future__ import annotations

import logging
import os
import pwd
from pathlib import Path

import msgspec


class SandboxError(Exception):
    """The text follows `Failed to initialize sandbox: `."""


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


def user_for(role: str, log: logging.Logger, *, set_user: bool = True) -> User:
    """The role's account if we may become it, else who we are; raises `SandboxError` if root finds no such account.

    To run an unknown role's task as root instead would hand root to whoever may name a role.
    """
    me = current_user()
    if role == me.name:
        return me
    if me.uid != 0 or not set_user:
        log.warning("Processes run as %s, not as the role's user %s: %s.", me.name, role, _why_not(set_user))
        return me
    try:
        entry = pwd.getpwnam(role)
    except KeyError:
        raise SandboxError(f"Could not create sandbox because user does not exist: {role}") from None
    groups = tuple(os.getgrouplist(role, entry.pw_gid))
    return User(role, entry.pw_uid, entry.pw_gid, groups, drop=True)


def _why_not(set_user: bool) -> str:
    return "only root may become another user" if set_user else "told not to change user"


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
            os.chown(sandbox, user.uid, user.gid)
        sandbox.chmod(0o700)
    except OSError as error:
        raise SandboxError(f"Failed to chown/chmod the sandbox: {error}") from None
