"""What `thermos` says of tasks, whoever ran them (thermos-runner sheet, section 13)."""

from __future__ import annotations

import re
from pathlib import Path

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
from executor.paths import TaskPaths, log_directory
from executor.thermos import roots
from tests.executor.thermos.command import look
from tests.somebody import somebody


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
    result = look(tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        "Must supply one of the following commands: "
        "gc, help, inspect, kill, read, run, simplerun, status, tail, version\n"
    )


def test_status_shows_active_and_finished_tasks(root: Path) -> None:
    result = look(root, "status")
    assert re.fullmatch(
        r"Active tasks:\n  goes-on-2            \[owner: +\w+\]\n\n"
        r"Finished tasks:\n  done-1               \[owner: +\w+\]\n",
        result.stdout,
    )


def test_status_says_more_if_asked(root: Path) -> None:
    result = look(root, "status", "--verbosity", "3", "--only", "finished", "do")
    assert "goes-on" not in result.stdout
    assert "  state:   FAILED start: " in result.stdout
    assert "    user: me ports: None\n    sandbox: /sandbox/done-1\n    process table:\n" in result.stdout
    assert "      - p runs: 2 last: pid=None, rc=, finish:None, state:WAITING\n" in result.stdout


def test_status_of_nothing_fails(root: Path) -> None:
    result = look(root, "status", "nothing-like-it")
    assert (result.exit_code, result.stderr) == (1, "No tasks found.\n")


def test_status_tells_of_a_stream_that_cannot_be_read(root: Path) -> None:
    TaskPaths(root, "done-1").runner.write_bytes(b"\xff" * 8)
    assert "done-1               - checkpoint stream CORRUPT or outdated format" in look(root, "status").stdout


def test_read_tells_the_story_of_a_stream(root: Path) -> None:
    result = look(root, "read", str(TaskPaths(root, "done-1").runner))
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
    result = look(root, "read", "--simple", str(TaskPaths(root, "done-1").runner))
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
        (["status", "*"], "'*' is no regular expression: nothing to repeat"),
        (["kill", "*"], "'*' is no regular expression: nothing to repeat"),
        (["tail", "done-1", "*"], "ERROR: '*' is no regular expression: nothing to repeat"),
        (["tail", "goes-on-2", "--stderr"], "ERROR: There is no {root}/goes-on-2/p/1/stderr."),
    ],
)
def test_mistakes_are_told_in_a_sentence(root: Path, words: list[str], says: str) -> None:
    result = look(root, *words)
    assert (result.exit_code, result.stderr) == (1, f"{says}\n".replace("{root}", str(root)))


def test_tail_shows_the_last_lines_of_a_run_that_is_over(root: Path) -> None:
    paths = TaskPaths(root, "done-1")
    writer = StreamWriter(paths.runner)
    writer.append(RunnerCkpt(process_status=ProcessStatus(5, "p", ProcessState.FAILED)))
    writer.close()
    result = look(root, "tail", "done-1")
    log = root / "done-1" / "p" / "1" / "stdout"
    assert result.stdout == f"Tail of terminal log {log}\n" + "".join(f"1: {n}\n" for n in range(10, 20))


def test_kill_kills_what_matches(root: Path) -> None:
    assert look(root, "kill", "done").stdout == "No active tasks matched.\n"
    assert look(root, "kill", "goes").stdout == "Killing goes-on-2...done.\n"
    assert TaskPaths(root, "goes-on-2").finished.exists()


def test_status_names_what_may_not_be_looked_into(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look(root, "status")  # imports what it needs
    with somebody() as own:
        monkeypatch.setattr(roots, "DEFAULT_ROOT", own / "thermos")
        own.chmod(0o300)
        result = look(own, "status", "nothing-like-it")
        own.chmod(0o700)
    assert result.stderr == f"No tasks found.\n(Not looked into, for lack of permission: {own})\n"


# Streams as Aurora's own runners wrote them: field by field, since what we write ourselves proves nothing of them.


def frame(body: str) -> bytes:
    data = bytes.fromhex(body)
    return len(data).to_bytes(4, "big") + data


def text(word: str) -> str:
    return len(word).to_bytes(4, "big").hex() + word.encode().hex()


def task_status(state: int) -> bytes:
    return frame(f"0c0003 080001{state:08x} 0a00020000015d3ef79800 08000300000042 08000400000000 00 00")


def process_status(seq: int, state: int, more: str = "") -> bytes:
    return frame(f"0c0002 0a0001{seq:016x} 0b0003{text('echo')} 080005{state:08x} {more} 00 00")


def old_stream(*, log_dir: str | None, uid: bool) -> bytes:
    """Of a task whose one process succeeded. Before Aurora 0.9 the header named no log_dir, and no uid."""
    more = f"0b0007{text(log_dir)}" if log_dir is not None else ""
    more += "08000800000000" if uid else ""
    # An unknown field, 99, is one that a later version may bring.
    header = (
        f"0c0001 0b0001{text('old')} 0a00020000015d3ef79800 0b0003{text('/sandbox')} 0b0004{text('host')} "
        f"0b0005{text('mesos')} 0d0006 0b0a00000001{text('http')}0000000000007a69 {more} 0b0063{text('new')} 00 00"
    )
    forked, ran, ended = "41d65a0bc0200000", "41d65a0bc0400000", "41d65a0bc0800000"
    return b"".join(
        [
            task_status(0),
            frame(header),
            process_status(0, 0),
            process_status(1, 1, f"08000a00001092 04000b{forked}"),
            process_status(2, 2, f"040006{ran} 08000700001093"),
            process_status(3, 3, f"040008{ended} 08000900000000"),
            task_status(1),
        ]
    )


@pytest.mark.parametrize(("log_dir", "uid"), [("{root}/logs", True), (None, False)], ids=["0.22", "0.5"])
def test_checkpoints_of_the_original_are_read(tmp_path: Path, log_dir: str | None, uid: bool) -> None:
    paths = TaskPaths(tmp_path, "old")
    for file in (paths.runner, paths.finished):
        file.parent.mkdir(parents=True)
    paths.runner.write_bytes(old_stream(log_dir=log_dir and log_dir.format(root=tmp_path), uid=uid))
    paths.finished.write_text("{}")
    log = log_directory(tmp_path / "logs" if log_dir else tmp_path / "logs" / "old", "echo", 0)
    log.mkdir(parents=True)
    (log / "stdout").write_text("hi\n")
    shown = look(tmp_path, "status", "--verbosity", "3").stdout
    assert "  state:  SUCCESS start: " in shown
    assert "    user: mesos ports: http -> 31337\n    sandbox: /sandbox\n" in shown
    assert "      - echo runs: 1 last: pid=4243, rc=0, finish:" in shown
    told = look(tmp_path, "read", str(paths.runner)).stdout
    assert "  ports:   http->31337\n" in told
    assert "[pid: 66] => ACTIVE\n" in told
    assert len(look(tmp_path, "read", "--simple", str(paths.runner)).stdout.splitlines()) == 7
    assert look(tmp_path, "tail", "old").stdout == f"Tail of terminal log {log}/stdout\nhi\n"
