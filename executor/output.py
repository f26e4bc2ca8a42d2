"""A command's stdout and stderr: opened for it, or read from pipes and passed on to files and the console.

All of this runs in coordinators, and acts as the task's user: whatever links and files the task puts in the way of its
logs lead no further than the user may go. Nothing here grows with what is written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import termios
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from executor.logger import LoggerSettings

STREAMS = ("stdout", "stderr")
_CHUNK = 64 << 10  # bytes of one read; a pipe holds no more, unless asked to
_CONSOLE = (1, 2)


class Output(NamedTuple):
    """What a command gets as its stdout and stderr, and what its coordinator has to pass on."""

    ends: tuple[int, int]
    tees: tuple[Tee, ...] = ()

    def close_ends(self) -> None:
        """They are the command's now. Only when nobody holds them does a pipe come to its end."""
        for fd in set(self.ends) - set(_CONSOLE):
            os.close(fd)


def open_output(settings: LoggerSettings, directory: Path) -> Output:
    """Raises `OSError`. `directory` is that of the run's logs; it is made only if files shall be in it."""
    if settings.destination == "console":
        return Output(_CONSOLE)
    if settings.destination == "none":
        null = os.open(os.devnull, os.O_WRONLY)
        return Output((null, null))
    os.makedirs(directory, exist_ok=True)
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not settings.piped:
        ends = [open_log(place, name) for name in STREAMS]
        os.close(place)
        return Output((ends[0], ends[1]))
    ends, tees = [], []
    for name, console in zip(STREAMS, _CONSOLE, strict=True):
        sinks: list[LogFile | Console] = [LogFile(place, name, settings)]
        if settings.destination == "both":
            sinks.append(Console(console))
        pipe, end = os.pipe()
        ends.append(end)
        tees.append(Tee(pipe, tuple(sinks)))
    return Output((ends[0], ends[1]), tuple(tees))


def open_log(place: int, name: str, flags: int = 0) -> int:
    """A log file for appending; `OSError` for anything else that has this name, and for links."""
    flags |= os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags | os.O_NONBLOCK, 0o644, dir_fd=place)  # a named pipe must not keep us waiting
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", name)
    os.set_blocking(fd, True)
    return fd


class Console:
    """The runner's own stdout or stderr."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._full = False

    def write(self, data: bytes) -> None:
        """What cannot be written is lost, and that is said once: a command does not stop for a full disk."""
        self._full = _lost(self._fd, data, self._full, "output is lost")


class LogFile:
    """A file of the run's log directory that rolls over if it is told to, and never keeps more than it shall."""

    def __init__(self, place: int, name: str, settings: LoggerSettings) -> None:
        self._place, self._name, self._settings = place, name, settings
        self._rotates = settings.mode == "rotate"
        self._fd = open_log(place, name, os.O_TRUNC if self._rotates else 0)
        self._size = 0
        self._full = False

    def write(self, data: bytes) -> None:
        """As `Console.write`."""
        self._full = _lost(self._fd, data, self._full, f"output is lost: {self._name}")
        self._size += len(data)  # lost or not: what rolls over makes room
        if self._rotates and self._size >= self._settings.log_size:
            self._roll_over()

    def _roll_over(self) -> None:
        """The log becomes the first of the old ones, each of which moves on by one; the last is gone.

        If the task has put something in the way, the log begins anew where it is: it must not grow for that.
        """
        self._size = 0
        try:
            for number in range(self._settings.backups - 1, 0, -1):
                self._rename(f"{self._name}.{number}", f"{self._name}.{number + 1}")
            self._rename(self._name, f"{self._name}.1")
            fresh = open_log(self._place, self._name, os.O_EXCL)
        except OSError:
            os.ftruncate(self._fd, 0)
        else:
            os.close(self._fd)
            self._fd = fresh

    def _rename(self, old: str, new: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # not that many yet, or removed by the task
            os.rename(old, new, src_dir_fd=self._place, dst_dir_fd=self._place)


class Tee:
    """One stream of a command, from its pipe to where it shall go."""

    def __init__(self, pipe: int, sinks: tuple[LogFile | Console, ...]) -> None:
        self.pipe, self._sinks = pipe, sinks

    def pass_on(self, most: int = _CHUNK) -> int:
        """What the pipe holds, or waits until it holds something; how many bytes, 0 at its end."""
        data = os.read(self.pipe, most)
        if data:
            for sink in self._sinks:
                sink.write(data)
        return len(data)

    def drain(self) -> None:
        """Passes on what the pipe holds by now, and nothing that comes later."""
        left: int = struct.unpack("i", fcntl.ioctl(self.pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
        while left > 0:
            left -= self.pass_on(min(left, _CHUNK))

    @property
    def over(self) -> bool:
        """Nothing is in the pipe, and nobody can write to it any more."""
        poll = select.poll()
        poll.register(self.pipe, select.POLLIN)
        return any(not event & select.POLLIN for _, event in poll.poll(0))


def pass_on(tees: Iterable[Tee], until: int | None = None) -> None:
    """Until all pipes have come to their end; if `until` is given, until that is readable."""
    flowing = {tee.pipe: tee for tee in tees}
    poll = select.poll()
    for fd in [*flowing, *([] if until is None else [until])]:
        poll.register(fd, select.POLLIN)
    while flowing or until is not None:
        for fd, _ in poll.poll():
            if fd == until:
                return
            if not flowing[fd].pass_on():
                poll.unregister(fd)
                del flowing[fd]


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _lost(fd: int, data: bytes, before: bool, what: str) -> bool:
    """Whether the data, or some of it, could not be written; said with `what`, unless that went before, too."""
    try:
        _write(fd, data)
    except OSError as error:
        _complain_unless(before, f"{what}: {error}")
        return True
    return False


def _complain_unless(said: bool, text: str) -> None:
    if not said:
        with contextlib.suppress(OSError):  # it is full as well
            os.write(2, f"{text}\n".encode())
