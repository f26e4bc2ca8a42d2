"""Ending a task without its runner: from what the checkpoints say alone (thermos-runner sheet, section 10.3)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from aurorad import procfs
from executor import ladder
from executor.checkpoint import (
    CheckpointError,
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    Story,
    StreamReader,
    StreamWriter,
    TaskState,
    TaskStatus,
)
from executor.paths import TaskPaths


class Refused(Exception):
    """The task was left as it is; the text says why."""


def kill_task(paths: TaskPaths, now_ms: Callable[[], int], *, force: bool = True) -> None:
    """SIGKILL all of a task and record it as KILLED, at once and without finalizing processes.

    A runner that holds the task is killed first, if `force`. Raises `Refused`, `OSError`. Blocks until the runner is
    gone. Daemons that escaped their session are found only by a runner, which is their ancestor.
    """
    story = _read(paths)
    if story is None or not story.statuses:
        if not force:
            raise Refused("Cannot update states in uninitialized TaskState!")
        paths.retire()
        return
    writer = _take_over(paths, story, force)
    try:
        reader = StreamReader(paths.runner)
        story = Story(recovering=True)
        for record in reader.read():
            story.apply(record)
        writer.cut(reader.offset)
        if not story.statuses[-1].state.terminal:
            _end(story, writer, now_ms)
    finally:
        writer.close()
    paths.retire()


def _read(paths: TaskPaths) -> Story | None:
    story = Story(recovering=True)
    try:
        for record in StreamReader(paths.runner).read():
            story.apply(record)
    except CheckpointError:
        return None
    return story


def _take_over(paths: TaskPaths, story: Story, force: bool) -> StreamWriter:
    try:
        return StreamWriter(paths.runner)
    except CheckpointError as error:
        runner = story.statuses[-1].runner_pid
        if not force or runner is None:
            raise Refused(f"Could not open locked checkpoint: {error}") from None
        if runner == os.getpid():
            raise Refused("Unwilling to commit seppuku.") from None
        holder = procfs.info(runner)
        if holder is not None:
            procfs.send(holder, signal.SIGKILL)
        return StreamWriter(paths.runner, wait=True)


def _end(story: Story, writer: StreamWriter, now_ms: Callable[[], int]) -> None:
    def say(record: RunnerCkpt) -> None:
        story.apply(record)
        writer.append(record)

    def enter(state: TaskState) -> None:
        say(RunnerCkpt(task_status=TaskStatus(state, now_ms(), os.getpid(), os.getuid())))

    enter(TaskState.ACTIVE)
    for name, runs in story.processes.items():
        last = runs[-1]
        if last.state.terminal or last.state == ProcessState.WAITING:
            continue
        if ladder.kill_run(last):
            status = ProcessStatus(
                last.seq + 1, name, ProcessState.KILLED, stop_time=now_ms() / 1000, return_code=-signal.SIGKILL
            )
        else:
            status = ProcessStatus(last.seq + 1, name, ProcessState.LOST)
        say(RunnerCkpt(process_status=status))
    enter(TaskState.KILLED)
