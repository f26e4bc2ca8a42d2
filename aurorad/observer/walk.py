"""Ways into folders that somebody else owns: never out of them again, and to nothing but folders and regular files.

Whoever owns a sandbox may put links there at any time, and swap them for what was just looked at, while the observer
may be able to read the whole machine. So each step of a path is taken from a descriptor of the one before (`O_PATH`),
and what was looked at is what is opened. Links are read and walked here, not by the kernel; one that leads out of the
folder is refused. Pipes, sockets and devices are never opened: opening alone can wake a writer, or set off a machine.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

_MOST_LINKS = 40  # on one way, as the kernel has it
_MOST_STEPS = 1000  # of one way, all links' included: nobody nests so deep but to keep us busy
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """There is no such file within the folder, or none that can be shown. The text is the way that was asked for."""


class Place(msgspec.Struct, frozen=True):
    """A folder that must not be left.

    `base` is a path that only the operator can change. Whoever owns what is below it may change the `steps` from there:
    they are taken only as long as none is a link. `also` are other spellings of the folder, by which links within may
    name it. With an `owner` it must be that user's.
    """

    base: str
    steps: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    owner: int | None = None

    def below(self, *steps: str) -> Place:
        """A folder in it, which links there may not lead out of either."""
        return Place(self.base, (*self.steps, *steps))

    def __str__(self) -> str:
        return "/".join((self.base.rstrip("/"), *self.steps))


class Opened(NamedTuple):
    """A descriptor, which the receiver closes, and what it is of."""

    fd: int
    status: os.stat_result


@contextmanager
def folder(place: Place, relative: str = "") -> Iterator[int]:
    """A descriptor for what is in a folder. Raises `Refused`, and `NotADirectoryError` for a file."""
    with _looked_at(place, relative) as (fd, status):
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(relative)
        with _refusing(relative):
            reading = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        yield reading
    finally:
        os.close(reading)


def regular_file(place: Place, relative: str) -> Opened:
    """A regular file, opened for reading. Raises `Refused`.

    A file with several names may have been put here by someone who may not read it himself: one that is not the
    folder's owner's must be readable by everybody.
    """
    with _looked_at(place, relative) as (fd, status):
        strange = status.st_nlink > 1 and status.st_uid != _owner(place) and not status.st_mode & stat.S_IROTH
        if strange or not stat.S_ISREG(status.st_mode):
            raise Refused(relative)
        with _refusing(relative):
            reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return Opened(reading, status)


def status_of(place: Place, relative: str = "") -> os.stat_result:
    """What is at the end of the way, which may be no file at all. Raises `Refused`."""
    with _looked_at(place, relative) as (_, status):
        return status


@contextmanager
def _refusing(relative: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError):  # ValueError: a zero byte, or what no path can be encoded to
        raise Refused(relative) from None


@contextmanager
def _looked_at(place: Place, relative: str) -> Iterator[Opened]:
    with _refusing(relative):
        fd = _Walk(place).to(relative)
    try:
        yield Opened(fd, os.fstat(fd))
    finally:
        os.close(fd)


def _owner(place: Place) -> int:
    with _looked_at(place, "") as (_, status):
        return status.st_uid


class _Walk:
    """One way. Holds two descriptors at most; a way back up starts again at the place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._spellings = [_parts(spelling) for spelling in (str(place), *place.also)]
        self._steps_left = _MOST_STEPS
        self._links_left = _MOST_LINKS

    def to(self, relative: str) -> int:
        """A descriptor for looking only. Raises `OSError`, `ValueError`."""
        here: list[str] = []  # folders, from the place on
        fd = self._enter(here)
        todo = deque(_parts(relative))
        try:
            while todo:
                step = todo.popleft()
                if step == "..":
                    if not here:
                        raise ValueError("it leads out of the place")
                    here.pop()
                    fd = _instead(fd, self._enter(here))
                    continue
                fd = _instead(fd, self._step(fd, step))
                mode = os.fstat(fd).st_mode
                if stat.S_ISLNK(mode):
                    absolute, steps = self._target(os.readlink("", dir_fd=fd))
                    if absolute:
                        here.clear()
                    todo.extendleft(reversed(steps))
                    fd = _instead(fd, self._enter(here))
                elif stat.S_ISDIR(mode):
                    here.append(step)
                elif todo:
                    raise NotADirectoryError(step)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _enter(self, here: list[str]) -> int:
        """The folder of those steps, none of which may be a link."""
        fd = os.open(self._place.base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for step in self._place.steps:
                fd = _instead(fd, self._step(fd, step, os.O_DIRECTORY))
            if self._place.owner not in (None, os.fstat(fd).st_uid):
                raise ValueError("it is somebody else's")
            for step in here:
                fd = _instead(fd, self._step(fd, step, os.O_DIRECTORY))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _step(self, fd: int, step: str, flags: int = 0) -> int:
        self._steps_left -= 1
        if self._steps_left < 0 or step in ("", ".", "..") or "/" in step:
            raise ValueError("no step to take")
        return os.open(step, _LOOK | flags, dir_fd=fd)

    def _target(self, link: str) -> tuple[bool, list[str]]:
        """Whether a link starts at the place, and the steps from where it starts."""
        self._links_left -= 1
        if self._links_left < 0:
            raise ValueError("links without end")
        steps = _parts(link)
        if not link.startswith("/"):
            return False, steps
        for spelling in self._spellings:
            if steps[: len(spelling)] == spelling:
                return True, steps[len(spelling) :]
        raise ValueError("it leads out of the place")


def _instead(old: int, new: int) -> int:
    os.close(old)
    return new


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def place_at(folder: Path | str) -> Place:
    """A folder named by the operator, whatever links lead there."""
    return Place(os.path.realpath(folder), also=(os.path.abspath(folder),))
