"""Runs on disk: what a restarted engine knows. One run is one executor with its one task.

<agent>/id  framework_id  lock  agent.sock
<agent>/slaves/<agent id>/frameworks/<framework id>/executors/<executor id>/runs/<run id>/   Mesos' own layout,
    found there by the observer and by clients: sandbox/ checkpoints/ stdout stderr; `runs/latest` links to it
<agent>/meta/<run id>/     what only the engine may write; a task's user may own the run's directory
    run.json    the `Run`, durable before its executor starts
    executor    the `Identity` of its process, claimed by that process before it does anything else
    executor.N  likewise of the Nth executor that took over after one died
    updates     status updates, their acknowledgements and the starts of other executors, a line each, in order
    ended       the executor is gone and every update acknowledged; its age decides when the run is removed
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aurorad.engine.base import StatusUpdate, TaskInfo
from aurorad.engine.local.processes import NOBODY, Identity, claimant
from aurorad.folders import removal, sync_folder

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-]*", re.ASCII)
_MAX_FILE_NAME = 255


class Run(msgspec.Struct, frozen=True):
    """`token` is what its executor must show to be believed."""

    id: str
    framework_id: str
    agent_id: str
    token: str
    task: TaskInfo


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of `updates`.

    An update, the uuid of one that was acknowledged, or when another executor was about to be started (ms since the
    epoch).
    """

    update: StatusUpdate | None = None
    acknowledged: bytes | None = None
    restarted_ms: int | None = None


class Known(msgspec.Struct, frozen=True):
    """A run as its files tell it.

    `executor` is the latest one's process, if it has come to one; `restarts_ms` when one took over after another.
    """

    run: Run
    executor: Identity | None
    updates: tuple[StatusUpdate, ...]
    unacknowledged: tuple[StatusUpdate, ...]
    restarts_ms: tuple[int, ...] = ()


def is_file_name(name: str) -> bool:
    """Whether an id may become a directory. Task ids always may, unless they are too long (task sheet, section 11)."""
    return len(name) <= _MAX_FILE_NAME and _FILE_NAME.fullmatch(name) is not None


class Runs:
    """The files of one agent. All methods touch the disk: call them in a thread where that could take long."""

    def __init__(self, agent: Path) -> None:
        self._agent = agent
        self._meta = agent / "meta"

    def directory(self, run: Run) -> Path:
        """The run's directory, the executor's MESOS_DIRECTORY."""
        return self._executor_directory(run) / "runs" / run.id

    def checkpoints(self, run: Run) -> Path:
        """Where the run's executor writes down how its task goes on."""
        return self.directory(run) / "checkpoints"

    def identity_file(self, run: Run, number: int = 0) -> Path:
        """Where the process of the run's first executor, or of one that took over, says who it is."""
        return self._meta / run.id / (f"executor.{number}" if number else "executor")

    def _executor_directory(self, run: Run) -> Path:
        for name in (run.agent_id, run.framework_id, run.task.executor_id, run.id):
            if not is_file_name(name):
                raise ValueError(f"{name!r} cannot be the name of a directory")
        slave = self._agent / "slaves" / run.agent_id
        return slave / "frameworks" / run.framework_id / "executors" / run.task.executor_id

    def create(self, runs: list[Run]) -> None:
        """Make the directories and write `run.json`, durably. Raises `OSError`; then none of them exists."""
        self._meta.mkdir(mode=0o700, exist_ok=True)
        try:
            for run in runs:
                self._create(run)
            sync_folder(self._meta)
        except OSError:
            for run in runs:
                shutil.rmtree(self._meta / run.id, ignore_errors=True)
                shutil.rmtree(self._executor_directory(run), ignore_errors=True)
            raise

    def _create(self, run: Run) -> None:
        directory = self.directory(run)
        (directory / "sandbox").mkdir(parents=True)
        for folder in (directory, *directory.parents):
            if folder == self._agent:
                break
            folder.chmod(0o755)  # whatever our umask: the task's user must get to its sandbox
        _relink(directory.parent / "latest", run.id)
        meta = self._meta / run.id
        meta.mkdir()
        # In place and not by renaming, for one wait on the disk less: cut short, it is no JSON.
        _write(meta / "run.json", msgspec.json.encode(run))
        sync_folder(meta)

    def has_checkpoints(self, run: Run) -> bool:
        """Whether an executor of it came so far as to write any."""
        return self.checkpoints(run).is_dir()

    def append(self, run: Run, line: Line, *, durably: bool) -> None:
        """Add to `updates`. Not durable, a line survives the engine but not the machine."""
        file = os.open(self._meta / run.id / "updates", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            data = msgspec.json.encode(line) + b"\n"
            written = os.write(file, data)
            if written != len(data):
                os.ftruncate(file, os.fstat(file).st_size - written)
                raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes written", f"updates of run {run.id}")
            if durably:
                os.fdatasync(file)
        finally:
            os.close(file)

    def end(self, run: Run) -> None:
        """Mark the run as one that nobody needs any more."""
        (self._meta / run.id / "ended").touch()

    def load(self) -> list[Known]:
        """All runs that may still matter. Raises `ValueError` for a damaged file."""
        living = (meta for meta in self._entries() if not (meta / "ended").exists())
        return [known for meta in living if (known := self._load(meta)) is not None]

    def identity(self, run: Run, number: int = 0) -> Identity | None:
        found = claimant(self.identity_file(run, number))
        return None if found == NOBODY else found

    def ended(self) -> dict[str, float]:
        """The ids of runs that nobody needs any more, and when they ended, in seconds since the epoch."""
        found = {}
        for meta in self._entries():
            with contextlib.suppress(FileNotFoundError):
                found[meta.name] = (meta / "ended").stat().st_mtime
        return found

    def place_of(self, run_id: str) -> Path:
        """All that an ended run left. Each task has an executor id and a run of its own: the whole executor's.

        Raises `ValueError` where `run.json` is damaged.
        """
        run = _read_run(self._meta / run_id)
        return self._executor_directory(run) if run is not None else self._meta / run_id

    def forget(self, run_id: str) -> None:
        """The end of an ended run whose place was removed."""
        for _ in removal(self._meta / run_id):
            pass

    def _entries(self) -> Iterator[Path]:
        if self._meta.is_dir():
            yield from sorted(self._meta.iterdir())

    def _load(self, meta: Path) -> Known | None:
        run = _read_run(meta)
        if run is None:  # its launch was never finished, so nothing was started
            shutil.rmtree(meta)
            return None
        updates: dict[bytes, StatusUpdate] = {}
        acknowledged: set[bytes] = set()
        restarts_ms: list[int] = []
        for line in _lines(meta / "updates"):
            if line.update is not None and line.update.uuid is not None:
                updates[line.update.uuid] = line.update
            if line.acknowledged is not None:
                acknowledged.add(line.acknowledged)
            if line.restarted_ms is not None:
                restarts_ms.append(line.restarted_ms)
        pending = tuple(update for uuid, update in updates.items() if uuid not in acknowledged)
        executor = self.identity(run, len(restarts_ms))
        return Known(run, executor, tuple(updates.values()), pending, tuple(restarts_ms))


def _read_run(meta: Path) -> Run | None:
    """None for a launch that was never finished. Raises `ValueError` for a damaged file."""
    file = meta / "run.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=Run)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        if claimant(meta / "executor") is None:
            return None
        raise ValueError(f"{file} is damaged: {error}") from None


def _lines(path: Path) -> Iterator[Line]:
    if not path.exists():
        return
    *lines, torn = path.read_bytes().split(b"\n")
    if torn:  # the machine stopped while it was written: it was never acknowledged
        os.truncate(path, path.stat().st_size - len(torn))
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=Line)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path} is damaged: {error}") from None


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it holds all of the new or all of the old, also after a power loss."""
    temporary = path.with_suffix(".new")
    _write(temporary, data)
    temporary.rename(path)
    sync_folder(path.parent)


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _relink(link: Path, target: str) -> None:
    temporary = link.with_name(".latest")
    temporary.symlink_to(target)
    temporary.rename(link)
