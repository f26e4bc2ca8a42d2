"""The `thermos` command for tests: in this process where it only looks, in one of its own where it runs tasks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner, Result

import executor
from executor.checkpoint import RunnerState, read_stream, replay
from executor.paths import TaskPaths
from executor.thermos.main import thermos

PATIENCE_S = 60.0  # only a test that hangs waits so long
_SOURCE = Path(executor.__file__).parents[1]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def look(root: Path, *words: str, answer: str = "") -> Result:
    return CliRunner().invoke(thermos, ["--root", str(root), *words], input=answer, prog_name="thermos")


class Command:
    """A `thermos` at work, in a folder without anything, with a home of its own beside the root.

    It writes into files: the coordinators of one that is killed would hold a pipe open.
    """

    def __init__(self, root: Path, *words: str | Path) -> None:
        home = root.parent / "home"
        home.mkdir(exist_ok=True)
        self._stdout = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `end` closes them
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "executor.thermos.main", "--root", str(root), *words],
            env={**os.environ, "PYTHONPATH": str(_SOURCE), "HOME": str(home), "TMPDIR": str(home)},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=self._stderr,
        )

    def end(self) -> Done:
        """Waits for it."""
        code = self.process.wait(PATIENCE_S)
        with self._stdout as stdout, self._stderr as stderr:
            stdout.seek(0)
            stderr.seek(0)
            return Done(code, stdout.read(), stderr.read())


def run(root: Path, *words: str | Path) -> Done:
    return Command(root, *words).end()


def state_of(root: Path, task_id: str) -> RunnerState:
    return replay(read_stream(TaskPaths(root, task_id).runner), recovering=False)
