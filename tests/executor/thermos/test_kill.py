"""Whom `thermos kill` kills, and whom not (thermos-runner sheet, section 10.3)."""

from __future__ import annotations

import fcntl
import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor import offline
from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    StreamWriter,
    TaskState,
    TaskStatus,
)
from executor.execution import wall_clock_ms
from executor.offline import Refused, kill_task
from executor.paths import TaskPaths
from tests.executor.harness import alive
from tests.executor.thermos.command import look, state_of
from tests.somebody import let_others_in

NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that belongs to no task; the pid of a runner or a command may have become its pid."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process.pid
    process.kill()
    process.wait()


def seems_to_run(root: Path, runner: int, command: int, started_s: float) -> TaskPaths:
    paths = TaskPaths(root, "id")
    paths.active.parent.mkdir(parents=True)
    paths.active.write_text("{}")
    writer = StreamWriter(paths.runner)
    for record in (
        RunnerCkpt(task_status=TaskStatus(TaskState.ACTIVE, int(started_s * 1000), runner, os.getuid())),
        RunnerCkpt(runner_header=RunnerHeader("id", uid=os.getuid())),
        RunnerCkpt(process_status=ProcessStatus(0, "p")),
        RunnerCkpt(process_status=ProcessStatus(1, "p", ProcessState.FORKED, coordinator_pid=1, fork_time=started_s)),
        RunnerCkpt(process_status=ProcessStatus(2, "p", ProcessState.RUNNING, started_s, command)),
    ):
        writer.append(record)
    writer.close()
    return paths


def test_a_pid_that_became_somebody_elses_is_spared(tmp_path: Path, stranger: int) -> None:
    seems_to_run(tmp_path, stranger, stranger, time.time() - 1000)
    assert look(tmp_path, "kill", "id").stdout == "Killing id...done.\n"
    assert alive(stranger)
    (run,) = state_of(tmp_path, "id").processes["p"]
    assert run.state == ProcessState.LOST
    assert state_of(tmp_path, "id").statuses[-1].state == TaskState.KILLED


def test_only_who_holds_the_checkpoint_is_its_runner(
    tmp_path: Path, stranger: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "_PATIENCE_S", 0.0)
    paths = seems_to_run(tmp_path, stranger, stranger, time.time() - 1000)
    with paths.runner.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match=r"Could not open locked checkpoint: .*, and not its runner on record"):
            kill_task(paths, wall_clock_ms)
    assert alive(stranger)


def test_one_that_cannot_be_killed_does_not_save_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "_PATIENCE_S", 0.0)
    paths = seems_to_run(tmp_path, 1 << 22, 1 << 22, time.time())
    other = TaskPaths(tmp_path, "other")
    other.active.write_text("{}")
    with paths.runner.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = look(tmp_path, "kill", ".*")
    assert result.exit_code == 1
    assert result.stdout == "Killing id...failed.\nKilling other...done.\n"
    assert result.stderr.startswith("Could not kill id: Could not open locked checkpoint: ")
    assert other.finished.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_root_kills_nobody_else_on_a_users_word(tmp_path: Path, stranger: int) -> None:
    let_others_in(tmp_path)
    paths = seems_to_run(tmp_path, stranger, stranger, time.time())
    for folder, folders, files in os.walk(tmp_path):
        for name in (*folders, *files):
            os.chown(Path(folder, name), NOBODY, NOBODY)
    os.chown(tmp_path, NOBODY, NOBODY)
    assert look(tmp_path, "kill", "id").stdout == "Killing id...done.\n"
    assert alive(stranger)
    assert paths.finished.exists()
