"""The agent's folder: its mode, its lock, and the ids that stay the same as long as it does."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aurorad.engine.local.runs import is_file_name, write_durably

_log = logging.getLogger(__name__)


class WorkDirInUse(Exception):
    """Another engine runs on this work_dir."""


class BadFrameworkId(Exception):
    """The framework id cannot be the name of a directory."""


class Home:
    """Where the agent of `work_dir` lives. All methods touch the disk, briefly."""

    def __init__(self, work_dir: Path) -> None:
        self._work_dir = work_dir.absolute()
        self.path = self._work_dir / "agent"
        self.socket = self.path / "agent.sock"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the folders and be the only one to use them. Raises `WorkDirInUse`.

        Only their user can look into them. Root's tasks run as other users, who may pass through to their sandboxes.
        """
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self.path.mkdir(parents=True, exist_ok=True)
        for folder in (self._work_dir, self.path):
            folder.chmod(mode)
        if os.geteuid() == 0:
            self._warn_of_closed_parents()
        # Nobody else may open it: whoever can, can lock it, and keep us from the next start.
        with os.fdopen(os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+b") as lock:
            os.fchmod(lock.fileno(), 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkDirInUse(
                    f"{self.path} is used by another aurorad: stop that one, or choose another -work_dir"
                ) from None
            yield

    def _warn_of_closed_parents(self) -> None:
        closed = [str(folder) for folder in self._work_dir.parents if not folder.stat().st_mode & stat.S_IXOTH]
        if closed:
            _log.warning(
                "tasks of other users than root cannot reach their own files by full path or $HOME, as %s is closed to "
                "them: choose another -work_dir, or open the way with chmod o+x",
                " and ".join(closed),
            )

    def agent_id(self) -> str:
        """Made once, ``<uuid>-S0`` as Mesos' are."""
        return self._kept("agent_id", f"{uuid.uuid4()}-S0")

    def framework_id(self, given: str | None) -> str:
        """`given`, or the one kept from before, or a new one; it is kept. Raises `BadFrameworkId`."""
        if given is None:
            return self._kept("framework_id", f"{uuid.uuid4()}-0000")
        if not is_file_name(given):
            raise BadFrameworkId(f"framework id {given!r}: letters, digits, - and _ were expected")
        file = self.path / "framework_id"
        if not file.exists() or file.read_text() != given:  # a start must not need room on the disk
            write_durably(file, given.encode())
        return given

    def known_framework_id(self) -> str | None:
        """The one kept from before."""
        file = self.path / "framework_id"
        return file.read_text() if file.exists() else None

    def _kept(self, name: str, new: str) -> str:
        file = self.path / name
        if not file.exists():
            write_durably(file, new.encode())
        return file.read_text()
