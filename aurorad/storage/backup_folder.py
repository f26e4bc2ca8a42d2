"""The folder of backups: their names, how one comes to be there whole or not at all, and which ones stay.

All calls block. Files can be read by their owner alone, for they hold all that jobs tell executors.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from datetime import datetime
from pathlib import Path

from aurorad.api.binary import Recalling
from aurorad.folders import sync_folder

PREFIX = "scheduler-backup-"
_TEMPORARY = "temp_"
_READ_BYTES = 1 << 20


class BadFolder(Exception):
    """The folder cannot be used. The text says why."""


class NoSuchBackup(Exception):
    """There is no file of that name. The text says where it was looked for."""


def name_at(time_ms: int) -> str:
    """What a backup of that moment is called, by the clock on this process's wall. One a minute has a name."""
    return f"{PREFIX}{datetime.fromtimestamp(time_ms / 1000):%Y-%m-%d-%H-%M}"  # local on purpose: so the original


class BackupFolder:
    def __init__(self, path: Path, max_saved: int) -> None:
        self.path = path
        self._max_saved = max_saved

    def prepare(self) -> None:
        """Make the folder if need be, and remove what a crash left in the making. Raises `BadFolder`."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            raise BadFolder(f"Unable to create backup dir {self.path}.") from None
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise BadFolder(f"Backup dir {self.path} is not writable.")
        for left in self.path.glob(f"{_TEMPORARY}{PREFIX}*"):
            with contextlib.suppress(OSError):
                left.unlink()

    def names(self) -> list[str]:
        """All files, whatever their names, but for those in the making. Raises `OSError`."""
        with os.scandir(self.path) as found:
            files = [entry.name for entry in found if entry.is_file()]
        return sorted(name for name in files if not name.startswith(_TEMPORARY + PREFIX))

    def create(self, name: str) -> NewBackup:
        """Begin a file, which will be there once it is `finish`ed. Raises `OSError`."""
        return NewBackup(self.path, name)

    def prune(self) -> None:
        """Remove the oldest by their names beyond the most that shall be kept. Raises `OSError`."""
        saved = [name for name in self.names() if name.startswith(PREFIX)]
        for name in saved[: max(0, len(saved) - self._max_saved)]:
            (self.path / name).unlink(missing_ok=True)

    def read(self, name: str) -> Recalling:
        """What the file of that name in this very folder holds. Raises `NoSuchBackup`, `OSError`."""
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise NoSuchBackup(f"Backup {name!r} does not exist: the name of a file in {self.path} was expected.")
        path = self.path / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NoSuchBackup(f"Backup {path} does not exist.") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NoSuchBackup(f"Backup {path} does not exist: it is no file.")
            return _read(descriptor)
        finally:
            os.close(descriptor)


def _read(descriptor: int) -> Recalling:
    """In pieces, so that a large file is not copied while no other thread can run. Raises `OSError`."""
    size, read = os.fstat(descriptor).st_size, 0
    content = Recalling(max(1, size))
    with memoryview(content) as view, os.fdopen(descriptor, "rb", closefd=False, buffering=0) as file:
        while got := file.readinto(view[read : read + _READ_BYTES]):
            read += got
    if read == 0 or read != size:
        raise OSError(errno.EIO, "it is empty" if size == 0 else "it changed while it was read")
    return content


class NewBackup:
    """A file in the making, under a temporary name. Every call may raise `OSError`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._path = folder / name
        self._temporary = folder / (_TEMPORARY + name)
        self._temporary.unlink(missing_ok=True)
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Durable from now on, under its name; an older one of the same minute is replaced."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.rename(self._path)
        sync_folder(self._folder)

    def abandon(self) -> None:
        """It is gone, if it was not finished."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)
