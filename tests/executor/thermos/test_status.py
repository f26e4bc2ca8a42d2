"""The `thermos` command (thermos-runner sheet, section 13)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    StreamWriter,
    TaskState,
    TaskStatus,
)
from executor.cli import thermos
from executor.paths import TaskPaths, log_directory


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(thermos, ["--root", str(root), *words], prog_name="thermos")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One finished task with a failed and a successful run, and one that seems to run."""
    for task_id, ended in (("done-1", True), ("goes-on-2", False)):
        paths = TaskPaths(tmp_path, task_id)
        where = paths.finished if ended else paths.active
        where.parent.mkdir(parents=True)
        where.write_text("{}")
        writer = StreamWriter(paths.runner)
        logs = tmp_path / task_id
        writer.append(RunnerCkpt(task_status=TaskStatus(TaskState.ACTIVE, 1_500_000_000_000, 77, 0)))
        header = RunnerHeader(task_id, 1, f"/sandbox/{task_id}", "host", "me", log_dir=str(logs))
        writer.append(RunnerCkpt(runner_header=header))
        steps = [
            ProcessStatus(0, "p"),
            ProcessStatus(1, "p", ProcessState.FORKED, coordinator_pid=3, fork_time=1.0),
            ProcessStatus(2, "p", ProcessState.RUNNING, 2.0, 4),
            ProcessStatus(3, "p", ProcessState.FAILED, stop_time=1_500_000_001.0, return_code=5),
            ProcessStatus(4, "p"),
        ]
        for step in steps:
            writer.append(RunnerCkpt(process_status=step))
        if ended:
            writer.append(RunnerCkpt(task_status=TaskStatus(TaskState.FAILED, 1_500_000_002_000, 77, 0)))
        writer.close()
        for number in (0, 1):
            log = log_directory(logs, "p", number)
            log.mkdir(parents=True)
            (log / "stdout").write_text("".join(f"{number}: {line}\n" for line in range(20)))
    return tmp_path


def test_without_a_command_it_names_them(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        "Must supply one of the following commands: help, inspect, kill, read, run, simplerun, status, tail, version\n"
    )


def test_status_shows_active_and_finished_tasks(root: Path) -> None:
    result = run(root, "status")
    assert re.fullmatch(
        r"Active tasks:\n  goes-on-2            \[owner: +\w+\]\n\n"
        r"Finished tasks:\n  done-1               \[owner: +\w+\]\n",
        result.stdout,
    )


def test_status_says_more_if_asked(root: Path) -> None:
    result = run(root, "status", "--verbosity", "3", "--only", "finished", "do")
    assert "goes-on" not in result.stdout
    assert "  state:   FAILED start: " in result.stdout
    assert "    user: me ports: None\n    sandbox: /sandbox/done-1\n    process table:\n" in result.stdout
    assert "      - p runs: 2 last: pid=None, rc=, finish:None, state:WAITING\n" in result.stdout


def test_status_of_nothing_fails(root: Path) -> None:
    result = run(root, "status", "nothing-like-it")
    assert (result.exit_code, result.stderr) == (1, "No tasks found.\n")


def test_status_tells_of_a_stream_that_cannot_be_read(root: Path) -> None:
    TaskPaths(root, "done-1").runner.write_bytes(b"\xff" * 8)
    assert "done-1               - checkpoint stream CORRUPT or outdated format" in run(root, "status").stdout


def test_read_tells_the_story_of_a_stream(root: Path) -> None:
    result = run(root, "read", str(TaskPaths(root, "done-1").runner))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:5] == [
        "Recovered Task Header:",
        "  id:      done-1",
        "  user:    me",
        "  host:    host",
        "  sandbox: /sandbox/done-1",
    ]
    assert lines[-4:-2] == ["Recovered Processes:", "  p   runs: 2"]
    assert lines[-2] == "     1: pid=None, rc=, finish:None, state:WAITING"
    assert lines[-1].startswith("     0: pid=4, rc=5, finish:")


def test_read_shows_records_as_they_are(root: Path) -> None:
    result = run(root, "read", "--simple", str(TaskPaths(root, "done-1").runner))
    assert len(result.stdout.splitlines()) == 8
    assert all(line.startswith("CKPT: RunnerCkpt(") for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["read"], "Expected one checkpoint file, got 0"),
        (["read", "/no/file"], "Could not find /no/file"),
        (["kill"], "Must specify tasks!"),
        (["tail"], "Expected a task to tail, got nothing!"),
        (["tail", "a", "b", "c"], "Expected at most two arguments (task and optional process), got 3"),
        (["tail", "none"], "ERROR: Could not find task."),
        (["tail", "done-1", "nobody"], "ERROR: No processes found."),
        (["help", "nothing"], "unknown command: nothing"),
        (["run", "file", "--task", "x"], "thermos run: not yet"),
    ],
)
def test_mistakes_are_told_in_a_sentence(root: Path, words: list[str], says: str) -> None:
    result = run(root, *words)
    assert (result.exit_code, result.stderr) == (1, f"{says}\n")


def test_tail_shows_the_last_lines_of_a_run_that_is_over(root: Path) -> None:
    paths = TaskPaths(root, "done-1")
    writer = StreamWriter(paths.runner)
    writer.append(RunnerCkpt(process_status=ProcessStatus(5, "p", ProcessState.FAILED)))
    writer.close()
    result = run(root, "tail", "done-1")
    log = root / "done-1" / "p" / "1" / "stdout"
    assert result.stdout == f"Tail of terminal log {log}\n" + "".join(f"1: {n}\n" for n in range(10, 20))


def test_kill_kills_what_matches(root: Path) -> None:
    assert run(root, "kill", "done").stdout == "No active tasks matched.\n"
    assert run(root, "kill", "goes").stdout == "Killing goes-on-2...done.\n"
    assert TaskPaths(root, "goes-on-2").finished.exists()
