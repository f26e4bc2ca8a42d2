"""Files of sandboxes and logs, read in windows, and folders, listed in pages (observer sheet, section 7)."""

from __future__ import annotations

import errno
import itertools
import os
import re

import msgspec

from aurorad.observer import walk
from aurorad.observer.walk import Place, Refused
from aurorad.pages.paging import Page, paginate

LARGEST_WINDOW = 1 << 20  # bytes in one answer; what is longer is asked for in pieces
LISTED_AT_ONCE = 1000  # entries of a folder
MOST_LISTED = 200_000  # entries of a folder that are looked at at all
MOST_ROTATED = 100  # old logs that are offered

_ROTATED = re.compile(r"(?P<stream>stdout|stderr)(\.(?P<number>[1-9]\d{0,5}))?", re.ASCII)


class File(msgspec.Struct, frozen=True):
    """A file to be looked for: the folder that must not be left, and the way from there."""

    place: Place
    relative: str

    @property
    def name(self) -> str:
        return self.relative.rpartition("/")[2]

    def sibling(self, name: str) -> File:
        folder, slash, _ = self.relative.rpartition("/")
        return File(self.place, f"{folder}{slash}{name}")


class Window(msgspec.Struct, frozen=True):
    """Part of a file: where it starts, its bytes, and how long the file is."""

    offset: int
    data: bytes
    size: int

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class Entry(msgspec.Struct, frozen=True):
    """One line of a folder, as ``ls -l`` has it. Of a link `target` is what it says."""

    name: str
    mode: int
    links: int
    uid: int
    gid: int
    size: int
    mtime_s: float
    target: str | None = None


class Rotated(msgspec.Struct, frozen=True):
    """An old log: ``stdout.1`` is the latest."""

    name: str
    size: int
    mtime_s: float


def read_window(file: File, offset: int, length: int) -> Window:
    """Part of a regular file, cut between characters of UTF-8.

    A negative `offset` is the end of the file, a negative `length` all up to the end; at most `LARGEST_WINDOW`.
    Raises `Refused`.
    """
    fd, status = walk.regular_file(file.place, file.relative)
    try:
        start = status.st_size if offset < 0 else min(offset, status.st_size)
        wanted = LARGEST_WINDOW if length < 0 else min(length, LARGEST_WINDOW)
        data = os.pread(fd, wanted, start) if wanted else b""
    except OSError:
        raise Refused(file.relative) from None
    finally:
        os.close(fd)
    return Window(start, whole_characters(data), status.st_size)


def read_tail(file: File, length: int) -> Window:
    """The last `length` bytes, from the beginning of a line where there is one. Raises `Refused`."""
    size = read_window(file, 0, 0).size
    return from_line(read_window(file, max(0, size - length), length))


def from_line(window: Window) -> Window:
    """The window without the broken line at its start, if it starts within the file and has any other."""
    cut = window.data.find(b"\n") + 1
    if window.offset == 0 or cut == 0 or cut == len(window.data):
        return window
    return Window(window.offset + cut, window.data[cut:], window.size)


def whole_characters(data: bytes) -> bytes:
    """Without the beginning of a character at the end, whose rest comes later; bytes that are no text stay."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:  # a character of 2, 3 or 4 bytes begins here
            whole = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if back < whole and back < len(data) else data
        if byte < 0x80:
            break
    return data


def list_folder(place: Place, relative: str, number: int = 1) -> Page[Entry]:
    """What is in a folder, by name: one page of it. Entries that cannot be looked at are skipped.

    Raises `Refused`, and `NotADirectoryError` for a file.
    """
    with walk.folder(place, relative) as fd:
        with os.scandir(fd) as found:  # and no list of what may be without end
            names = [entry.name for entry in itertools.islice(found, MOST_LISTED)]
        page = paginate(sorted(names), number, LISTED_AT_ONCE)
        entries = tuple(entry for name in page.rows if (entry := _entry(fd, name)) is not None)
    return Page(entries, page.number, page.size, page.total)


def _entry(folder: int, name: str) -> Entry | None:
    """Of a link what it is itself: what it points to may lie outside."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        target = os.readlink(name, dir_fd=folder) if status.st_mode & 0o170000 == 0o120000 else None
    except OSError:
        return None
    return Entry(
        name,
        status.st_mode,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime,
        target,
    )


def is_stream(name: str) -> bool:
    """``stdout``, ``stderr``, or one that was rotated away: ``stdout.1``."""
    return _ROTATED.fullmatch(name) is not None


def rotated(file: File) -> list[Rotated]:
    """The old logs beside a log, latest first; none where they cannot be looked at."""
    stream = file.name.partition(".")[0]
    found: dict[int, Rotated] = {}
    try:
        with walk.folder(file.place, file.relative.rpartition("/")[0]) as fd, os.scandir(fd) as entries:
            for entry in itertools.islice(entries, MOST_LISTED):
                match = _ROTATED.fullmatch(entry.name)
                if match is None or match["stream"] != stream or match["number"] is None:
                    continue
                status = entry.stat(follow_symlinks=False)
                if entry.is_file(follow_symlinks=False):
                    found[int(match["number"])] = Rotated(entry.name, status.st_size, status.st_mtime)
    except (Refused, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            raise
    return [found[number] for number in sorted(found)[:MOST_ROTATED]]
