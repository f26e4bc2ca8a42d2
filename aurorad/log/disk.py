"""What the log asks of a disk, and the real one: a folder that one process holds at a time.

All calls block. What was written is durable after `File.sync`, a file's name after `Disk.sync`; before that a crash may
keep any part of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from aurorad.folders import sync_folder
from aurorad.log.errors import LogInUse

UNREADABLE = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EILSEQ)
"""What a disk or a file system says when it has lost what was written."""


class File(Protocol):
    """One open file. Every call may raise `OSError`."""

    def size(self) -> int: ...

    def read(self, size: int, offset: int = 0) -> bytes:
        """The `size` bytes from `offset` on, or all there are."""

    def write(self, data: bytes, offset: int) -> None:
        """Write all of `data`; if that fails, any part of it may be there."""

    def truncate(self, size: int) -> None: ...

    def allocate(self, size: int) -> None:
        """Make the file at least so large, of zeros, and the room for it its own; if that fails, part of it may be."""

    def sync(self) -> None:
        """Make the content durable. After a failure the content is unknown: never sync again in hope."""

    def close(self) -> None: ...


class Disk(Protocol):
    """One folder. Every call may raise `OSError`."""

    def describe(self, name: str) -> str:
        """How an error message names a file."""

    def names(self) -> list[str]: ...

    def open(self, name: str) -> File:
        """Open for reading and writing; an empty file is created where there is none."""

    def remove(self, name: str) -> None: ...

    def rename(self, old: str, new: str) -> None:
        """Call a file by another name, at once or not at all; what had that name is gone."""

    def sync(self) -> None:
        """Make the names durable, created and removed ones."""

    def close(self) -> None: ...


class _FolderFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, size: int, offset: int = 0) -> bytes:
        parts: list[bytes] = []
        end = offset + size
        while offset < end and (part := os.pread(self._descriptor, end - offset, offset)):
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, data: bytes, offset: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            rest = rest[written:]
            offset += written

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def allocate(self, size: int) -> None:
        os.posix_fallocate(self._descriptor, 0, size)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class Folder:
    """A folder of the file system, created if need be (readable by its owner alone) and locked while open."""

    def __init__(self, path: Path) -> None:
        """Raises `LogInUse` if another process holds the folder, `OSError` if it cannot be made or opened."""
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(path.parent)
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise LogInUse(f"{path} is in use by another aurorad: stop that one, or use another folder") from None

    def describe(self, name: str) -> str:
        return str(self._path / name)

    def names(self) -> list[str]:
        return os.listdir(self._descriptor)

    def open(self, name: str) -> File:
        return _FolderFile(os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._descriptor))

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._descriptor)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the lock too."""
        os.close(self._descriptor)


class ReadOnlyFolder:
    """A folder to look into, held by nobody or by another process. Whatever would change something raises `OSError`."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` if there is no such folder, or it may not be read."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def is_in_use(self) -> bool:
        """Whether another process holds it now."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return False

    def describe(self, name: str) -> str:
        return str(self._path / name)

    def names(self) -> list[str]:
        return os.listdir(self._descriptor)

    def open(self, name: str) -> File:
        return _FolderFile(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._descriptor))

    def remove(self, name: str) -> None:
        raise _read_only(self.describe(name))

    def rename(self, old: str, new: str) -> None:
        raise _read_only(self.describe(old))

    def sync(self) -> None:
        raise _read_only(str(self._path))

    def close(self) -> None:
        os.close(self._descriptor)


def _read_only(name: str) -> OSError:
    return OSError(errno.EROFS, os.strerror(errno.EROFS), name)
