"""Where a task's sandbox and logs are, as far as its checkpoints may be believed.

The header of a stream names both. Whoever can write the stream can name any folder of the machine, which an observer
run by root would then show to everybody. What an agent keeps is in the run of the executor, and only that much of
a path is believed. Elsewhere, below a checkpoint root of the operator's choice, a folder must belong to the
task's user, or lie where nobody but root or ourselves could have put it.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import PurePosixPath

import msgspec

from aurorad.observer import walk
from aurorad.observer.files import File
from aurorad.observer.walk import Place, Refused
from executor.checkpoint import RunnerHeader
from executor.paths import CHECKPOINTS

_RUN_STEPS = 8  # slaves/S/frameworks/F/executors/E/runs/R


class Root(msgspec.Struct, frozen=True):
    """A checkpoint root: that of a `run` of an executor below an agent's work directory, or any other."""

    place: Place
    run: str | None = None


def root_of_run(run: str) -> Root:
    return Root(Place(run, (CHECKPOINTS,)), run)


def sandbox(root: Root, header: RunnerHeader | None, stream_owner: int) -> Place:
    """The task's sandbox. Raises `Refused` where the header names none, or none to be believed."""
    if header is None or not header.sandbox:
        raise Refused("a sandbox")
    return _believed(root, header, stream_owner, header.sandbox)


def log(root: Root, header: RunnerHeader | None, stream_owner: int, process: str, run: int, name: str) -> File:
    """One of a run's output files: ``stdout``, ``stderr``, or one rotated away. Raises `Refused`.

    Logs within the sandbox are looked for from there, since the task can move all that lies in it. Streams that name
    no place for logs are of the time when these were beside the checkpoints (thermos-runner sheet, section 1).
    """
    relative = f"{process}/{run}/{name}"
    if not process or process in (".", "..") or "/" in process or "\0" in process:
        raise Refused(relative)
    if header is None:
        raise Refused(relative)
    if not header.log_dir:
        return File(root.place.below("logs", header.task_id), relative)
    if header.sandbox and (within := _steps_below(header.log_dir, header.sandbox)) is not None:
        return File(sandbox(root, header, stream_owner), "/".join((*within, relative)))
    return File(_believed(root, header, stream_owner, header.log_dir), relative)


def _believed(root: Root, header: RunnerHeader, stream_owner: int, claimed: str) -> Place:
    if "\0" in claimed:
        raise Refused(claimed)
    if root.run is not None:
        steps = _steps_in_run(root.run, claimed)
        if steps is None or ".." in steps:
            raise Refused(claimed)
        return Place(root.run, steps, also=(claimed,))
    place = Place(os.path.realpath(claimed), also=(claimed,))
    owner = walk.status_of(place).st_uid
    if not os.path.isabs(claimed) or not _may_be_shown(place.base, owner, header, stream_owner):
        raise Refused(claimed)
    return msgspec.structs.replace(place, owner=owner)


def _steps_in_run(run: str, claimed: str) -> tuple[str, ...] | None:
    """The steps from the run: whatever name the agent's work directory went by when the path was written down."""
    parts, tail = _parts(claimed), _parts(run)[-_RUN_STEPS:]
    for start in range(len(parts) - len(tail) + 1):
        if parts[start : start + len(tail)] == tail:
            return parts[start + len(tail) :]
    return None


def _steps_below(path: str, folder: str) -> tuple[str, ...] | None:
    parts, above = _parts(path), _parts(folder)
    return parts[len(above) :] if parts[: len(above)] == above else None


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(path).parts


def _may_be_shown(folder: str, owner: int, header: RunnerHeader, stream_owner: int) -> bool:
    ours = {0, os.geteuid()}
    if stream_owner not in ours:
        return owner == stream_owner
    return owner == _user_id(header) or (owner in ours and _only_ours(folder, ours))


def _user_id(header: RunnerHeader) -> int | None:
    if header.uid is not None:
        return header.uid
    try:
        return pwd.getpwnam(header.user).pw_uid if header.user else None
    except (KeyError, ValueError):
        return None


def _only_ours(folder: str, ours: set[int]) -> bool:
    """Whether nobody else can put another one in its place."""
    try:
        above = [os.lstat(parent) for parent in PurePosixPath(folder).parents]
    except OSError:
        return False
    return all(
        status.st_uid in ours and (not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_mode & stat.S_ISVTX)
        for status in above
    )
