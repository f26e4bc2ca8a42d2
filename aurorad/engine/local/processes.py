"""Processes that are nobody's children: who one is beyond its pid, whether it lives, and how to end all of a run's.

An executor outlives the engine that had it started, so it is known by what the kernel keeps: pid, start time, boot.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import trio

from aurorad import procfs
from aurorad.procfs import ProcessInfo

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_SWEEPS = 100
_SWEEP_PAUSE_S = 0.02

_log = logging.getLogger(__name__)


class Identity(msgspec.Struct, frozen=True):
    """One process of one boot; `start_ticks` since boot tells it from a later one with the same pid."""

    pid: int
    start_ticks: int
    boot_id: str


def identity_of(pid: int) -> Identity:
    """Raises `ProcessLookupError` if there is no such process."""
    stat = procfs.info(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return Identity(pid, stat.start_ticks, _BOOT_ID.read_text().strip())


def lives(identity: Identity) -> bool:
    """Whether it runs; one that ended and was not reaped yet does not."""
    stat = procfs.info(identity.pid)
    return (
        stat is not None
        and not stat.zombie
        and stat.start_ticks == identity.start_ticks
        and identity.boot_id == _BOOT_ID.read_text().strip()
    )


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


def end_all(executor: Identity | None, marker: str, agent_mark: str, directory: Path) -> int:
    """SIGKILL every process of a run until there is none; how many there were. Reads /proc: call it in a thread.

    A process belongs to the run if it is the executor, if its environment holds `marker` (the run's id is part of HOME
    and MESOS_DIRECTORY), if it is a fork of our launcher (its environment holds `agent_mark`) that works below
    `directory`, or if it descends from such a process or shares its session. A shell that somebody else has in the
    sandbox does not.
    """
    ended: set[int] = set()
    for _ in range(_MAX_SWEEPS):
        members = _members(executor, marker.encode(), agent_mark.encode(), directory)
        if not members:
            return len(ended)
        for member in members.values():
            procfs.send(member, signal.SIGKILL)
        ended.update(members)
        time.sleep(_SWEEP_PAUSE_S)
    # The kernel holds them (a dead file server, say); they were told to end and will run none of their own code again.
    _log.warning("processes %s of %s do not go away after SIGKILL", sorted(members), directory)
    return len(ended)


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
