"""What must be right outside the daemon before it starts."""

from __future__ import annotations

import os
import resource
import shlex
from pathlib import Path

from aurorad.flags import Flags, HelpRequested
from aurorad.storage.backup_folder import BackupFolder, BadFolder
from executor import flags as executor_flags
from executor.announcement import AnnouncerSettings


class CannotStart(Exception):
    """Something outside the daemon is not as it must be; one sentence says what."""


class InUse(CannotStart):
    """What it needs belongs to another process, which may be about to end: to be tried again."""


FEWEST_OPEN_FILES = 64
"""With fewer it could start, perhaps, and not go on. What a scheduler should have is told in its units."""


def check_open_files() -> None:
    """Raises `CannotStart` where the process may open too few files."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < FEWEST_OPEN_FILES:
        raise CannotStart(
            f"this process may have {allowed} files open (ulimit -n); at least {FEWEST_OPEN_FILES} were expected"
        )


def executor_arguments(flags: Flags) -> tuple[str, ...]:
    """What every executor is told; better found wrong here than by each task's end. Raises `CannotStart`.

    Nothing with Mesos, whose agents start what was written down for them, on machines that look otherwise.
    """
    if flags.engine == "mesos":
        return ()
    try:
        arguments = tuple(shlex.split(flags.thermos_executor_flags))
        AnnouncerSettings.read(executor_flags.parse(arguments))
    except HelpRequested:
        raise CannotStart("-thermos_executor_flags asks for help: aurorad -role=executor -help gives it") from None
    except ValueError as error:
        raise CannotStart(f"-thermos_executor_flags cannot be used: {error}") from None
    return arguments


def backup_folder(flags: Flags) -> BackupFolder:
    """The folder of backups, ready for use. Raises `CannotStart`."""
    folder = BackupFolder(flags.backup_dir or flags.work_dir / "backups", flags.max_saved_backups)
    try:
        folder.prepare()
    except BadFolder as error:
        raise CannotStart(str(error)) from None
    return folder


def check_work_dir(folder: Path, *within: Path | None) -> None:
    """Make it if it is not there. Its mode will be set: that must not happen to a folder that serves others too.

    `within` are folders that may be there too, for flags name them. Raises `CannotStart`.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = {entry.name for entry in folder.iterdir()}
    except (FileExistsError, NotADirectoryError):
        raise CannotStart(f"-work_dir={folder} cannot be used: a file is in its place") from None
    except OSError as error:
        raise CannotStart(f"-work_dir={folder} cannot be used: {error.strerror}") from error
    for place in (folder, *folder.glob("*"), *folder.glob("log/*")):
        if not os.access(place, os.R_OK | os.W_OK):
            raise CannotStart(f"-work_dir={folder} cannot be used: this user may not read and write {place}")
    named = {"lost+found", *(path.relative_to(folder).parts[0] for path in within if path and folder in path.parents)}
    if there - named and not there & {"agent", "backups", "log", "state.db"}:
        raise CannotStart(f"-work_dir={folder} cannot be used: other things are kept there, and aurorad wants it alone")
