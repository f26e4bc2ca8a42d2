"""`thermos tail`: the end of a process's output, and what comes."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from executor.checkpoint import CheckpointError, RunnerState, Story, StreamReader, read_stream, replay
from executor.paths import TaskPaths, log_directory
from executor.thermos.failure import fail
from executor.thermos.roots import Found, Roots

LAST_LINES = 10
_BLOCK = 64 << 10
_POLL_S = 0.25
_LOOK_S = 1.0  # so often it is checked that the run goes on


@click.command()
@click.option("--stderr", "stream", flag_value="stderr", help="Instead of standard output.")
@click.option("--stdout", "stream", flag_value="stdout", default=True, hidden=True)
@click.argument("words", nargs=-1, metavar="TASK_ID [PROCESS]")
@click.pass_obj
def tail(roots: Roots, stream: str, words: tuple[str, ...]) -> None:
    """Show the end of a process's output.

    While the process runs it goes on with what comes. PROCESS is a regular expression; it may be left out if the task
    has one process only.
    """
    if not words:
        fail("Expected a task to tail, got nothing!")
    if len(words) > 2:
        fail(f"Expected at most two arguments (task and optional process), got {len(words)}")
    found = next((task for task in roots.tasks() if task.task_id == words[0]), None)
    if found is None:
        fail("ERROR: Could not find task.")
    try:
        _tail(found, words[1] if len(words) == 2 else "", stream)
    except FileNotFoundError as error:
        fail(f"ERROR: There is no {error.filename}.")
    except (CheckpointError, OSError) as error:
        fail(f"ERROR: {error}")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _tail(task: Found, pattern: str, stream: str) -> None:
    state = replay(read_stream(task.paths.runner))
    name = _pick(state, pattern)
    run = len(state.processes[name]) - 1
    file = log_directory(log_base(task.paths, state), name, run) / stream
    watch = Watch(task.paths, name, run)
    over = watch.over()
    click.echo(f"Tail of {'terminal' if over else 'active'} log {file}")
    if over:
        with open_log(file) as log:
            click.echo(last_lines(log), nl=False)
    else:
        for part in follow(file, watch):
            click.echo(part, nl=False)


def _pick(state: RunnerState, pattern: str) -> str:
    try:
        names = [name for name in state.processes if re.match(pattern, name)]
    except re.error as error:
        fail(f"ERROR: {pattern!r} is no regular expression: {error.msg}")
    if pattern in names:
        return pattern
    if not names:
        fail("ERROR: No processes found.")
    if len(names) > 1:
        fail("ERROR: More than one process matches query.")
    return names[0]


def log_base(paths: TaskPaths, state: RunnerState) -> Path:
    """Where a task's logs are; streams of before Aurora 0.9 do not say it."""
    recorded = state.header.log_dir if state.header is not None else None
    return Path(recorded) if recorded else paths.root / "logs" / paths.task_id


class Watch:
    """Whether one run of a process goes on, as the runner tells, or without a runner its coordinator."""

    def __init__(self, paths: TaskPaths, process: str, run: int) -> None:
        self._process, self._run = process, run
        self._story = Story(recovering=True)
        self._runner, self._coordinator = StreamReader(paths.runner), StreamReader(paths.coordinator(process))
        self._last_words = -1  # the number of the last record that ended a run

    def over(self) -> bool:
        for record in self._runner.read():
            self._story.apply(record)
        for record in self._coordinator.read():
            if record.process_status is not None and record.process_status.state.terminal:
                self._last_words = record.process_status.seq
        statuses, runs = self._story.statuses, self._story.processes[self._process]
        run = runs[self._run]
        ended = run.state.terminal or self._last_words > run.seq
        return ended or len(runs) > self._run + 1 or bool(statuses and statuses[-1].state.terminal)


def follow(file: Path, watch: Watch) -> Iterator[bytes]:
    """The last lines, and what comes until the run is over; also when the file was cut, or rolled over to a new one."""
    log = open_log(file)
    try:
        yield last_lines(log)
        looked_s, over = time.monotonic(), False
        while True:
            if part := log.read(_BLOCK):
                yield part
            elif _rolled_over(file, log):
                log.close()
                log = open_log(file)
            elif over:
                return
            elif time.monotonic() - looked_s > _LOOK_S:
                looked_s, over = time.monotonic(), watch.over()
            else:
                time.sleep(_POLL_S)
    finally:
        log.close()


def _rolled_over(file: Path, log: BinaryIO) -> bool:
    try:
        was, now = os.fstat(log.fileno()), os.stat(file, follow_symlinks=False)
    except FileNotFoundError:  # between two, or gone with its task
        return False
    if (was.st_dev, was.st_ino) != (now.st_dev, now.st_ino):
        return True
    if was.st_size < log.tell():
        log.seek(0)
    return False


def open_log(file: Path) -> BinaryIO:
    """A plain file, and no link: a task's user may have put anything in its place. Raises `OSError`."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{file} is no file")
    return os.fdopen(fd, "rb", buffering=0)


def last_lines(log: BinaryIO, lines: int = LAST_LINES) -> bytes:
    """So many at most; the file is then read to its end. It is read from there backwards, however long it is."""
    position = end = log.seek(0, os.SEEK_END)
    parts: list[bytes] = []  # the last one first
    breaks = 0
    while position > 0 and breaks <= lines:
        size = min(position, _BLOCK)
        position = log.seek(position - size)
        parts.append(log.read(size))
        breaks += parts[-1].count(b"\n")
    log.seek(end)
    return b"".join(b"".join(reversed(parts)).splitlines(keepends=True)[-lines:])
