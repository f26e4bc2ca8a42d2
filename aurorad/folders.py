"""Folders that others may change while we walk them: measured and removed, without ever leaving them.

Every step goes from an open directory to an entry of it, never over a path, and never through a link: what a task
plants in its sandbox cannot lead root astray. Both walks are generators of small parts, so that whoever drives them
may do other things in between, and neither keeps names of files: a million of them take no more memory than one.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

_PART = 16  # entries between two yields: short even where the disk must seek for each
_HELD = 32  # levels that stay open, so that nobody can run us out of descriptors
_SECTOR_BYTES = 512
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class _Level:
    """An open directory on the way down. The entries of one that was set aside are not known any more."""

    def __init__(self, name: str, above: int | None) -> None:
        self.name = name
        self.fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        status = os.fstat(self.fd)
        self.device, self.identity = status.st_dev, (status.st_dev, status.st_ino)
        self.folders: list[str] = []
        self.listed = False

    @property
    def open(self) -> bool:
        return self.fd >= 0

    def close(self) -> None:
        if self.open:
            os.close(self.fd)
            self.fd = -1

    def come_back(self, below: int) -> bool:
        """Opens it again from what lies in it; False if that was moved away, or lets nobody out."""
        try:
            self.fd = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=below)
        except OSError:
            return False
        status = os.fstat(self.fd)
        if (status.st_dev, status.st_ino) == self.identity:
            return True
        self.close()
        return False


def sync_folder(path: Path) -> None:
    """Make the names in it durable: files that were created, renamed and removed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sizes(folder: Path, above: int | None = None) -> Iterator[int]:
    """Bytes in parts, whose sum is what the files below `folder` take on disk (executor sheet, section 11).

    It is looked for from the open directory `above`, if one is given.

    Counted are the blocks that a file has, so holes are free, and a link's length; of a file with several names each
    name counts its share. Directories, sockets and the like count nothing, nor does what is on another file system.
    What cannot be read, or vanishes, is passed over.
    """
    levels: list[_Level] = []
    try:
        with contextlib.suppress(OSError):
            levels.append(_Level(os.fspath(folder), above))
        while levels:
            level = levels[-1]
            if not level.listed:
                level.listed = True
                with contextlib.suppress(OSError):
                    yield from _file_sizes(level)
            elif level.folders:
                _descend(levels, level.folders.pop())
            else:
                _ascend(levels)
            yield 0
    finally:
        for level in levels:
            level.close()


def _file_sizes(level: _Level) -> Iterator[int]:
    with os.scandir(level.fd) as entries:
        while part := list(itertools.islice(entries, _PART)):
            total = 0
            for entry in part:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        level.folders.append(entry.name)
                    else:
                        total += file_size(entry.stat(follow_symlinks=False))
            yield total


def file_size(status: os.stat_result) -> int:
    """What one name of a file takes on disk."""
    if stat.S_ISREG(status.st_mode):
        return status.st_blocks * _SECTOR_BYTES // max(1, status.st_nlink)
    return status.st_size if stat.S_ISLNK(status.st_mode) else 0


def _descend(levels: list[_Level], name: str) -> None:
    above = levels[-1]
    try:
        level = _Level(name, above.fd)
    except OSError:
        return
    if level.device != levels[0].device:
        level.close()
        return
    if len(levels) > _HELD:
        above.close()
    levels.append(level)


def _ascend(levels: list[_Level]) -> None:
    """To the directory that we came from. If there is no way back, to the nearest one that is still open."""
    level = levels.pop()
    try:
        if levels and not levels[-1].open and not levels[-1].come_back(level.fd):
            while not levels[-1].open:
                levels.pop()
    finally:
        level.close()


def removal(folder: Path) -> Iterator[int]:
    """Removes `folder` with all that is in it; yields how many entries went, in parts. One that is gone is no error.

    Raises `OSError` for the first thing that could not be removed, after removing what could; and before anything,
    if some file system is mounted in it.
    """
    yield from _walked(folder, lambda name, above: _Removal().run(name, above))


def emptying(folder: Path, spared: str = "") -> Iterator[int]:
    """As `removal`, but the folder stays, and what is called `spared` in it."""
    yield from _walked(folder, lambda name, above: _Removal(spared).empty(name, above))


def _walked(folder: Path, walk: Callable[[str, int], Iterator[int]]) -> Iterator[int]:
    where = Path(os.path.realpath(folder.parent)) / folder.name
    if mounted := [place for place in _mount_points() if place == where or where in place.parents]:
        raise OSError(errno.EBUSY, "a file system is mounted in what shall be removed", str(mounted[0]))
    try:
        above = os.open(where.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        yield from walk(where.name, above)
    except FileNotFoundError:
        return
    finally:
        os.close(above)


class _Removal:
    """Depth first. What lies too deep is moved up first, beside what was on top."""

    def __init__(self, spared: str = "") -> None:
        self._spared = spared
        self._error: OSError | None = None
        self._prefix = f".removed-{secrets.token_hex(8)}-"
        self._moved: list[str] = []
        self._moves = 0

    def run(self, name: str, above: int) -> Iterator[int]:
        yield from self.empty(name, above)
        os.rmdir(name, dir_fd=above)
        yield 1

    def empty(self, name: str, above: int) -> Iterator[int]:
        _unlock(name, above)
        top = _Level(name, above)
        try:
            yield from self._empty(top, top, 1)
            while self._moved:
                with contextlib.suppress(FileNotFoundError):
                    yield from self._remove(self._moved.pop(), top, top, 1)
        finally:
            top.close()
        if self._error is not None:
            raise self._error

    def _remove(self, name: str, above: _Level, top: _Level, depth: int) -> Iterator[int]:
        _unlock(name, above.fd)
        level = _Level(name, above.fd)
        try:
            yield from self._empty(level, top, depth + 1)
        finally:
            level.close()
        os.rmdir(name, dir_fd=above.fd)

    def _empty(self, level: _Level, top: _Level, depth: int) -> Iterator[int]:
        with os.scandir(level.fd) as entries:
            while part := list(itertools.islice(entries, _PART)):
                for entry in part:
                    if level is top and entry.name == self._spared:
                        continue
                    try:
                        if not entry.is_dir(follow_symlinks=False):
                            os.unlink(entry.name, dir_fd=level.fd)
                        elif depth < _HELD:
                            yield from self._remove(entry.name, level, top, depth)
                        else:
                            self._move_up(entry.name, level, top)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        self._error = self._error or error
                yield len(part)

    def _move_up(self, name: str, level: _Level, top: _Level) -> None:
        _unlock(name, level.fd)
        self._moves += 1
        there = f"{self._prefix}{self._moves}"
        os.rename(name, there, src_dir_fd=level.fd, dst_dir_fd=top.fd)
        self._moved.append(there)


def _unlock(name: str, above: int) -> None:
    """Lets its owner into a directory; root needs no permission."""
    if os.geteuid() == 0:
        return
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)


def _mount_points() -> list[Path]:
    """Where file systems are mounted, as this process sees it."""
    with open("/proc/self/mountinfo", "rb") as table:
        escaped = [line.split()[4] for line in table]
    return [Path(os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), place))) for place in escaped]
