"""Copying from and to sandboxes of this machine, each side by a process of its own user.

What is in a sandbox is its user's work, links included: nobody follows those with more rights than that user has.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from client.entering import Command, User, status_of
from client.terminal import Terminal

_WRITE_FILE = 'cat > "$1" && chmod "$2" "$1"'
_WRITE_FOLDER = 'mkdir -p -- "$1" && tar --extract --no-same-owner --file=- --directory="$1"'


class Spot(NamedTuple):
    """A file or folder of this machine, and who reads or writes there."""

    path: str
    user: User | None


def copy(sources: Sequence[Spot], target: Spot, recursive: bool, terminal: Terminal) -> int:
    """The exit status, as scp has it: 1 if anything was not copied."""
    into = _test("-d", target)
    if len(sources) > 1 and not into:
        terminal.error(f"{target.path}: Not a directory")
        return 1
    return max([_one(source, target, into, recursive, terminal) for source in sources])


def _one(source: Spot, target: Spot, into: bool, recursive: bool, terminal: Terminal) -> int:
    name = os.path.basename(source.path.rstrip("/"))
    place = os.path.join(target.path, name) if into else target.path
    if not _test("-d", source):
        mode = _say(("stat", "-L", "--format=%a", "--", source.path), source.user)
        if not mode:
            return 1  # stat has said why
        if not _test("-r", source):
            terminal.error(f"{source.path}: Permission denied")
            return 1
        return _pipe(("cat", "--", source.path), source.user, ("sh", "-c", _WRITE_FILE, "sh", place, mode), target.user)
    if not recursive:
        terminal.error(f"{source.path}: not a regular file")
        return 1
    read = ("tar", "--create", "--file=-", f"--directory={source.path}", ".")
    return _pipe(read, source.user, ("sh", "-c", _WRITE_FOLDER, "sh", place), target.user)


def _pipe(read: Sequence[str], reader: User | None, write: Sequence[str], writer: User | None) -> int:
    source = Command(read, reader).start(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with source:
        target = Command(write, writer).start(stdin=source.stdout)
        assert source.stdout is not None
        source.stdout.close()  # so that the reader ends when the writer does
        return 1 if status_of(target) or status_of(source) else 0


def _test(what: str, spot: Spot) -> bool:
    return status_of(Command(("test", what, spot.path), spot.user).start(stdin=subprocess.DEVNULL)) == 0


def _say(words: Sequence[str], user: User | None) -> str:
    with Command(words, user).start(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        return process.communicate()[0].decode().strip()
