"""Files of sandboxes and logs: looked up without ever leaving the sandbox, and read in windows (observer sheet, 7).

Whoever owns a sandbox may put links into it at any time, while the observer may be able to read everything. So a path
is resolved first, and then opened step by step from the sandbox without following any link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from aurorad.pages.paging import Page, paginate

LARGEST_WINDOW = 1 << 20  # bytes in one answer; what is longer is asked for in pieces
LISTED_AT_ONCE = 1000  # entries of a folder


class Refused(Exception):
    """There is no such file within the sandbox, or it is none that can be shown."""


class Window(msgspec.Struct, frozen=True):
    """Part of a file: where it starts, its bytes, and how long the file is."""

    offset: int
    data: bytes
    size: int

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class Entry(msgspec.Struct, frozen=True):
    """One line of a folder, as ``ls -l`` has it."""

    name: str
    mode: int
    links: int
    uid: int
    gid: int
    size: int
    mtime_s: float


def open_within(sandbox: Path, relative: str) -> int:
    """A file descriptor of what `relative` names below `sandbox`, links within the sandbox followed.

    Raises `Refused` for what is not there, is outside, or cannot be opened. A pipe does not block.
    """
    try:
        base = Path(os.path.realpath(sandbox, strict=True))
        target = Path(os.path.realpath(base / relative.lstrip("/"), strict=True))
        steps = target.relative_to(base).parts
        fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        for step in steps:
            parent = fd
            try:
                fd = os.open(step, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
            finally:
                os.close(parent)
    except (OSError, ValueError):  # ValueError: outside, or a zero byte in the name
        raise Refused(relative) from None
    return fd


@contextmanager
def opened(sandbox: Path, relative: str) -> Iterator[int]:
    """As `open_within`, closed at the end."""
    fd = open_within(sandbox, relative)
    try:
        yield fd
    finally:
        os.close(fd)


def open_regular(sandbox: Path, relative: str) -> tuple[int, int]:
    """A regular file's descriptor and size. Raises `Refused`."""
    fd = open_within(sandbox, relative)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise Refused(relative)
    return fd, status.st_size


def read_window(sandbox: Path, relative: str, offset: int, length: int) -> Window:
    """Part of a regular file, cut between characters of UTF-8.

    A negative `offset` is the end of the file, a negative `length` all up to the end; at most `LARGEST_WINDOW`.
    Raises `Refused`.
    """
    fd, size = open_regular(sandbox, relative)
    try:
        start = size if offset < 0 else min(offset, size)
        wanted = LARGEST_WINDOW if length < 0 else min(length, LARGEST_WINDOW)
        data = os.pread(fd, wanted, start) if wanted else b""
    except OSError:
        raise Refused(relative) from None
    finally:
        os.close(fd)
    return Window(start, _whole_characters(data), size)


def read_tail(sandbox: Path, relative: str, length: int) -> Window:
    """The last `length` bytes, from the beginning of a line where there is one. Raises `Refused`."""
    size = read_window(sandbox, relative, 0, 0).size
    return from_line(read_window(sandbox, relative, max(0, size - length), length))


def from_line(window: Window) -> Window:
    """The window without the broken line at its start, if it starts within the file and has any other."""
    cut = window.data.find(b"\n") + 1
    if window.offset == 0 or cut == 0 or cut == len(window.data):
        return window
    return Window(window.offset + cut, window.data[cut:], window.size)


def _whole_characters(data: bytes) -> bytes:
    """Without the beginning of a character at the end, whose rest comes later; bytes that are no text stay."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:  # a character of 2, 3 or 4 bytes begins here
            whole = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if back < whole and back < len(data) else data
        if byte < 0x80:
            break
    return data


def list_folder(sandbox: Path, relative: str, number: int = 1) -> Page[Entry]:
    """What is in a folder, by name: one page of it. Entries that cannot be looked at are skipped.

    Raises `Refused`, and `NotADirectoryError` for a file.
    """
    with opened(sandbox, relative) as fd:
        names = paginate(sorted(os.listdir(fd)), number, LISTED_AT_ONCE)
        entries = tuple(entry for name in names.rows if (entry := _entry(fd, name)) is not None)
    return Page(entries, names.number, names.size, names.total)


def _entry(folder: int, name: str) -> Entry | None:
    """Of a link what it is itself: what it points to may lie outside."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
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
    )


def log_file(sandbox: str | None, log_dir: str | None, process: str, run: int, stream: str) -> tuple[Path, str]:
    """Where a run's ``stdout`` or ``stderr`` is: a folder that the task cannot move, and the path below it.

    Raises `Refused` where the task's header names no place.
    """
    if not process or process in (".", "..") or "/" in process or "\0" in process:
        raise Refused(process)
    relative = f"{process}/{run}/{stream}"
    logs = Path(log_dir) if log_dir else Path(sandbox) / ".logs" if sandbox else None
    if logs is None:
        raise Refused(relative)
    if sandbox and logs.is_relative_to(sandbox):
        return Path(sandbox), f"{logs.relative_to(sandbox)}/{relative}"
    return logs, relative
