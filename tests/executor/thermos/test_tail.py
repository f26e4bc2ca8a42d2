"""Following the output of a process."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    StreamWriter,
    TaskState,
    TaskStatus,
)
from executor.paths import TaskPaths
from executor.thermos.tail import Watch, follow, last_lines, open_log


@pytest.fixture
def paths(tmp_path: Path) -> TaskPaths:
    """A task with one process that runs."""
    found = TaskPaths(tmp_path, "id")
    write(found.runner, RunnerCkpt(task_status=TaskStatus(TaskState.ACTIVE, 1, 2, 3)))
    write(found.runner, RunnerCkpt(runner_header=RunnerHeader("id")))
    write(found.runner, process(0, ProcessState.WAITING))
    write(found.runner, process(1, ProcessState.FORKED))
    write(found.runner, process(2, ProcessState.RUNNING))
    return found


def process(seq: int, state: ProcessState) -> RunnerCkpt:
    return RunnerCkpt(process_status=ProcessStatus(seq, "p", state))


def write(file: Path, record: RunnerCkpt) -> None:
    writer = StreamWriter(file)
    writer.append(record)
    writer.close()


def test_a_run_is_over_when_runner_or_coordinator_say_so(paths: TaskPaths) -> None:
    watch = Watch(paths, "p", 0)
    assert not watch.over()
    write(paths.coordinator("p"), process(3, ProcessState.SUCCESS))
    assert watch.over()
    watch = Watch(paths, "p", 0)
    paths.coordinator("p").unlink()
    assert not watch.over()
    write(paths.runner, process(3, ProcessState.LOST))
    assert watch.over()


def test_a_run_is_over_when_its_task_is(paths: TaskPaths) -> None:
    watch = Watch(paths, "p", 0)
    write(paths.runner, RunnerCkpt(task_status=TaskStatus(TaskState.KILLED, 1, 2, 3)))
    assert watch.over()


def test_what_comes_is_followed_over_a_roll_and_a_cut(paths: TaskPaths, tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text("".join(f"{n}\n" for n in range(20)))
    parts = follow(log, Watch(paths, "p", 0))
    assert next(parts) == b"".join(b"%d\n" % n for n in range(10, 20))
    with log.open("a") as file:
        file.write("more\n")
    assert next(parts) == b"more\n"
    log.rename(tmp_path / "stdout.1")
    log.write_text("new\n")
    assert next(parts) == b"new\n"
    log.write_text("cut")
    assert next(parts) == b"cut"
    write(paths.runner, process(3, ProcessState.SUCCESS))
    with log.open("a") as file:
        file.write("!\n")
    assert list(parts) == [b"!\n"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"", b""),
        (b"a", b"a"),
        (b"a\nb\nc\nd\n", b"b\nc\nd\n"),
        (b"a\nb\nc\nd", b"b\nc\nd"),
        (b"x\n" + b"y" * 200_000 + b"\nz\n\n", b"y" * 200_000 + b"\nz\n\n"),
    ],
)
def test_the_last_lines_are_found_from_the_end(tmp_path: Path, written: bytes, shown: bytes) -> None:
    (tmp_path / "log").write_bytes(written)
    with open_log(tmp_path / "log") as log:
        assert last_lines(log, 3) == shown
        assert log.read() == b""


def test_a_log_without_lines_is_read_once(tmp_path: Path) -> None:
    class Counted(io.FileIO):
        bytes_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            part = super().read(size)
            self.bytes_read += len(part)
            return part

    (tmp_path / "log").write_bytes(b"x" * (4 << 20))
    with Counted(tmp_path / "log") as log:
        assert last_lines(cast(BinaryIO, log)) == b"x" * (4 << 20)
        assert log.bytes_read == 4 << 20


def test_only_a_plain_file_is_a_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="is no file"):
        open_log(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        open_log(tmp_path / "link")
