"""Processes that are nobody's children: who one is beyond its pid, whether it lives, and how to end all of a run's.

An executor outlives the engine that had it started, so it is known by what the kernel keeps: pid, start time, boot.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import trio

from aurorad import procfs
from aurorad.cgroups import TaskGroup
from aurorad.ending import end_all as ending_of
from aurorad.procfs import ProcessInfo

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LIMIT_S = 10.0

_log = logging.getLogger(__name__)


class Identity(msgspec.Struct, frozen=True):
    """One process of one boot; `start_ticks` since boot tells it from a later one with the same pid."""

    pid: int
    start_ticks: int
    boot_id: str


NOBODY = Identity(0, 0, "-")
"""Claims a place so that no process can."""


def identity_of(pid: int) -> Identity:
    """Raises `ProcessLookupError` if there is no such process."""
    stat = procfs.info(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return Identity(pid, stat.start_ticks, _boot_id())


def of_this_boot(identity: Identity) -> bool:
    """Whether the machine was not started anew since."""
    return identity.boot_id == _boot_id()


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def lives(identity: Identity) -> bool:
    """Whether it runs; one that ended and was not reaped yet does not."""
    stat = procfs.info(identity.pid)
    return stat is not None and not stat.zombie and stat.start_ticks == identity.start_ticks and of_this_boot(identity)


def claim(place: Path, own: Identity) -> Identity:
    """Put `own` at `place` unless another was there first; whoever was. Raises `OSError`.

    A symbolic link that points nowhere: made at once or not at all, only once, and it holds the text itself.
    """
    try:
        place.symlink_to(f"{own.pid} {own.start_ticks} {own.boot_id}")
    except FileExistsError:
        first = claimant(place)
        assert first is not None, f"{place} was claimed and then removed"
        return first
    return own


def claimant(place: Path) -> Identity | None:
    """Who claimed it."""
    try:
        pid, start_ticks, boot_id = os.readlink(place).split()
    except FileNotFoundError:
        return None
    return Identity(int(pid), int(start_ticks), boot_id)


async def wait_for_end(identity: Identity) -> None:
    """Return once the process has ended, whoever's child it is."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if lives(identity):  # looked up after opening: the handle is its own, not that of a later process
            await trio.lowlevel.wait_readable(handle)
    finally:
        os.close(handle)


def end_all(
    executor: Identity | None, marker: str, agent_mark: str, directory: Path, group: TaskGroup | None = None
) -> int:
    """SIGKILL every process of a run until there is none; how many there were. Call it in a thread.

    If the run's executor was started in its control `group`, they are those in there. Else all of /proc is read: a
    process belongs to the run if it is the executor, if its environment holds `marker` (the run's id is part of HOME
    and MESOS_DIRECTORY), if it is a fork of our launcher (its environment holds `agent_mark`) that works below
    `directory`, or if it descends from such a process or shares its session. A shell that somebody else has in the
    sandbox does not.
    """

    def look() -> Iterable[ProcessInfo]:
        if group is not None and group.holds_executor:
            return ()
        return _members(executor, marker.encode(), agent_mark.encode(), directory).values()

    ending, deadline = ending_of(look, group=group), time.monotonic() + _LIMIT_S
    while True:
        try:
            pause_s = next(ending)
        except StopIteration as end:
            if group is not None:
                group.remove()
            count: int = end.value
            return count
        if time.monotonic() > deadline:
            # The kernel holds them (a dead file server, say); they will run none of their own code again.
            left = [process.pid for process in look()] + ([] if group is None else group.pids(leaf=None))
            _log.warning("processes %s of %s do not go away after SIGKILL", sorted(left), directory)
            return len(left)
        time.sleep(pause_s)


def _members(executor: Identity | None, marker: bytes, agent_mark: bytes, directory: Path) -> Mapping[int, ProcessInfo]:
    living = {pid: process for pid, process in procfs.processes().items() if not process.zombie}
    found = {pid for pid in living if _is_marked(pid, marker, agent_mark, directory)}
    if executor is not None and lives(executor):
        found.add(executor.pid)
    sessions = {living[pid].session for pid in found} - {0, os.getsid(0)}
    grown = True
    while grown:
        more = {p for p, s in living.items() if p not in found and (s.parent in found or s.session in sessions)}
        sessions |= {living[pid].session for pid in more} - {0, os.getsid(0)}
        found |= more
        grown = bool(more)
    return {pid: living[pid] for pid in found - {os.getpid()}}


def _is_marked(pid: int, marker: bytes, agent_mark: bytes, directory: Path) -> bool:
    try:
        environment = procfs.read(pid, "environ")
        if marker in environment:
            return True
        return agent_mark in environment and _within(Path(os.readlink(f"/proc/{pid}/cwd")), directory)
    except (PermissionError, ProcessLookupError, FileNotFoundError):
        return False  # of another user, who cannot be one of ours; or gone meanwhile


def _within(path: Path, directory: Path) -> bool:
    return path == directory or directory in path.parents
