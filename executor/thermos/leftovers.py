"""What a finished task left, and how it is removed (thermos-runner sheet, section 14)."""

from __future__ import annotations

import errno
import functools
import os
import pwd
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from aurorad import folders
from executor.checkpoint import CheckpointError, RunnerHeader, RunnerState, StreamWriter, read_stream, replay
from executor.paths import TaskPaths
from executor.thermos.rights import Failed, as_user, owner_of
from executor.thermos.tail import log_base


class Parts(NamedTuple):
    """Which of it: all of the sandbox, the logs of processes, checkpoints and description."""

    data: bool
    logs: bool
    metadata: bool


class Leftover(NamedTuple):
    """`sandbox` and `logs` are None where the checkpoints do not say them. Time in seconds since the epoch."""

    paths: TaskPaths
    ended_s: float
    header: RunnerHeader | None
    sandbox: Path | None
    logs: Path | None

    @classmethod
    def of(cls, paths: TaskPaths) -> Leftover:
        """Raises `OSError`."""
        state = state_of(paths)
        file = paths.runner if paths.runner.exists() else paths.finished
        ended_s = file.stat().st_mtime
        if state is None or state.header is None or state.header.task_id != paths.task_id:
            return cls(paths, ended_s, None, None, None)
        sandbox = Path(state.header.sandbox) if state.header.sandbox else None
        return cls(paths, ended_s, state.header, sandbox, log_base(paths, state))


def state_of(paths: TaskPaths) -> RunnerState | None:
    """None where it cannot be read."""
    try:
        return replay(read_stream(paths.runner))
    except (CheckpointError, OSError):
        return None


def without(left: Leftover, kept: Iterable[Path], precious: Iterable[Path]) -> tuple[Leftover, list[str]]:
    """The same but for folders that others need, and a sentence for each of these.

    `kept` are those of other tasks; `precious` may lie in no folder that is removed.
    """
    others, above = set(kept), set(precious)
    task_id, reasons = left.paths.task_id, []
    if left.sandbox is not None and (reason := _hindrance(left.sandbox, others, above)) is not None:
        reasons.append(f"the sandbox {left.sandbox} of {task_id} {reason}")
        left = left._replace(sandbox=None)
    if left.logs is not None and (reason := _hindrance(left.logs, others, above)) is not None:
        reasons.append(f"the logs {left.logs} of {task_id} {reason}")
        left = left._replace(logs=None)
    return left, reasons


def _hindrance(folder: Path, others: Collection[Path], precious: Collection[Path]) -> str | None:
    if not folder.is_absolute() or ".." in folder.parts:
        return "is no absolute path"
    if any(other.is_relative_to(folder) or folder.is_relative_to(other) for other in others):
        return "is another task's too"
    found = next((one for one in precious if one.is_relative_to(folder)), None)
    return None if found is None else f"holds {found}"


def folders_of(left: Leftover, parts: Parts) -> dict[str, Path]:
    """What is to be removed, by part; there are no logs apart from a sandbox that goes as a whole."""
    found = {}
    if parts.data and left.sandbox is not None:
        found["data"] = left.sandbox
    if parts.logs and left.logs is not None and not (parts.data and _within(left)):
        found["logs"] = left.logs
    if parts.metadata:
        found["metadata"] = left.paths.runner.parent
    return found


def _within(left: Leftover) -> bool:
    """Whether the logs are in the sandbox."""
    return left.sandbox is not None and left.logs is not None and left.logs.is_relative_to(left.sandbox)


def size(left: Leftover, parts: Parts) -> int:
    """Bytes that `remove` sets free. May take long."""
    total = sum(sum(folders.sizes(folder)) for folder in folders_of(left, parts).values())
    if parts.data and not parts.logs and _within(left) and left.logs is not None:
        total -= sum(folders.sizes(left.logs))
    return total


def remove(left: Leftover, parts: Parts) -> None:
    """Removes it, the metadata last, so that what could not be removed is found again. Raises `Failed`.

    As root, with the rights of whoever wrote the checkpoints, and what the task itself wrote with those of its user.
    """
    stream = left.paths.runner if left.paths.runner.exists() else left.paths.finished

    def work() -> str:
        lock = _ended(left.paths)
        try:
            _remove_folders(left, parts)
            if parts.metadata:
                _drain(folders.removal(left.paths.runner.parent))
                left.paths.finished.unlink(missing_ok=True)
        finally:
            if lock is not None:
                lock.close()
        return ""

    try:
        as_user(owner_of(stream), work)
    except OSError as error:
        raise Failed(str(error)) from None


def _ended(paths: TaskPaths) -> StreamWriter | None:
    """Makes sure that nobody runs the task, and nobody will until we are done. Raises `Failed`."""
    if paths.active.exists():
        raise Failed("it is active")
    if not paths.runner.exists():
        return None
    try:
        lock = StreamWriter(paths.runner)
    except CheckpointError as error:
        raise Failed(str(error)) from None
    state = state_of(paths)
    if state is not None and state.state is not None and not state.state.terminal:
        lock.close()
        raise Failed(f"it is {state.state.name}, says its checkpoint")
    return lock


def _remove_folders(left: Leftover, parts: Parts) -> None:
    """What the task's user could move about is entered with that user's rights only."""
    wanted = folders_of(left, parts)
    if left.header is None or not ({"data", "logs"} & wanted.keys()):
        return
    spared = ""
    if parts.data and not parts.logs and _within(left) and left.logs != left.sandbox:
        assert left.logs is not None
        assert left.sandbox is not None
        spared = left.logs.relative_to(left.sandbox).parts[0]
    for part in ("data", "logs"):
        folder = wanted.get(part)
        if folder is None or not os.path.lexists(folder):
            continue
        as_user(_uid_of(left.header), functools.partial(_empty, folder, spared))
        try:
            folder.rmdir()
        except OSError as error:  # the logs stayed
            if error.errno != errno.ENOTEMPTY or not spared:
                raise


def _uid_of(header: RunnerHeader) -> int:
    if header.uid is not None:
        return header.uid
    try:
        return pwd.getpwnam(header.user or "").pw_uid
    except KeyError:
        raise Failed(f"nobody knows any more whose it is: there is no user {header.user}") from None


def _empty(folder: Path, spared: str) -> str:
    _drain(folders.emptying(folder, spared))
    return ""


def _drain(parts: Iterator[int]) -> None:
    for _ in parts:
        pass
