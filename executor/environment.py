"""What a process finds around itself: its user, directories and variables (thermos-runner sheet, section 8)."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from executor.images import Image
from executor.paths import PROFILE
from executor.sandbox import User, current_user


class UserError(Exception):
    """Processes cannot run as that user; the text says why."""


def user_named(name: str) -> User:
    """An account that somebody asked for, by its name. Raises `UserError` if it is not there, or not ours to become."""
    me = current_user()
    if name == me.name:
        return me
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UserError("Unable to get pwent information!") from None
    if me.uid != 0:
        raise UserError("Must be root to run processes as other users!")
    return User(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)), drop=True)


class Place(msgspec.Struct, frozen=True):
    """Where a command runs, and as whom.

    `directory` None is where the runner is. With `chroot` the directory is all that the command can see. `home` and
    `profile` are paths as the command sees them; the profile is sourced if it is there when the command starts. With an
    `image` it sees that, and the directory within it.
    """

    user: User
    directory: Path | None
    chroot: bool
    home: str
    profile: Path
    image: Image | None = None

    @classmethod
    def of(cls, user: User, sandbox: Path | None, *, chroot: bool = False, image: Image | None = None) -> Self:
        """The rows of the sheet's table. Raises `UserError` if a home is needed and the user has none."""
        if sandbox is None:
            return cls(user, None, False, _home(user), Path.cwd() / PROFILE)
        if image is not None:
            return cls(user, sandbox, False, str(image.sandbox), image.sandbox / PROFILE, image)
        if chroot:
            return cls(user, sandbox, True, _home(user), Path("/", PROFILE))
        return cls(user, sandbox, False, str(sandbox), sandbox / PROFILE)

    def variables(self, path: str | None, inherited: Mapping[str, str]) -> dict[str, str]:
        """A command's whole environment but for its profile; `inherited` is what these come on top of."""
        return {
            **inherited,
            "HOME": self.home,
            "LOGNAME": self.user.name,
            "USER": self.user.name,
            "PATH": path or os.defpath,
        }


def _home(user: User) -> str:
    try:
        return pwd.getpwuid(user.uid).pw_dir
    except KeyError:
        raise UserError("Unable to get pwent information!") from None
