"""Ending a task without its runner: from what the checkpoints say alone (thermos-runner sheet, section 10.3)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from aurorad import procfs
from aurorad.cgroups import TASK, find_group
from aurorad.ending import end_all
from executor import ladder
from executor.checkpoint import (
    CheckpointError,
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    Story,
    StreamHeld,
    StreamReader,
    StreamWriter,
    TaskState,
    TaskStatus,
    read_stream,
)
from executor.paths import TaskPaths

_RETRY_S = 0.02


class Refused(Exception):
    """The task was left as it is; the text says why."""


def kill_task(paths: TaskPaths, now_ms: Callable[[], int], *, force: bool = True) -> None:
    """SIGKILL all of a task and record it as KILLED, at once and without finalizing processes.

    A runner that holds the task is killed first, if `force`, and so is one that takes over from it. Raises `Refused`,
    `CheckpointError`, `OSError`. Blocks until the task is ours. Daemons that escaped their session are found by the
    task's control group; if it has none, only by a runner, which is their ancestor.
    """
    story = _read(paths)
    if story is None or not story.statuses:
        if not force:
            raise Refused("Cannot update states in uninitialized TaskState!")
        paths.retire()
        return
    _end(paths, _take_over(paths, force), TaskState.KILLED, now_ms, ladder.kill_run)
    group = find_group(paths.task_id, paths.root)
    if group is not None:
        for pause_s in end_all(lambda: (), group=group, leaf=TASK):
            time.sleep(pause_s)
        group.remove()


def record_end(paths: TaskPaths, state: TaskState, now_ms: Callable[[], int]) -> None:
    """Write down that a task is over of which nothing is alive any more, unless its checkpoints say how it ended.

    Raises `CheckpointError`, `OSError`.
    """
    if paths.runner.exists():
        _end(paths, StreamWriter(paths.runner, wait=True), state, now_ms, lambda run: False)


def _read(paths: TaskPaths) -> Story | None:
    story = Story(recovering=True)
    try:
        for record in StreamReader(paths.runner).read():
            story.apply(record)
    except CheckpointError:
        return None
    return story


def _take_over(paths: TaskPaths, force: bool) -> StreamWriter:
    killed = set()
    while True:
        try:
            return StreamWriter(paths.runner)
        except StreamHeld as error:
            story = _read(paths)
            runner = story.statuses[-1].runner_pid if story is not None and story.statuses else None
            if not force or runner is None:
                raise Refused(f"Could not open locked checkpoint: {error}") from None
            if runner == os.getpid():
                raise Refused("Unwilling to commit seppuku.") from None
            holder = procfs.info(runner)
            if holder is not None and runner not in killed:
                procfs.send(holder, signal.SIGKILL)
                killed.add(runner)
            time.sleep(_RETRY_S)


def _end(
    paths: TaskPaths,
    writer: StreamWriter,
    state: TaskState,
    now_ms: Callable[[], int],
    kill: Callable[[ProcessStatus], bool],
) -> None:
    """Record the end of each run and of the task, unless it is over. `kill` ends a run, and says if it was alive."""
    story = Story(recovering=True)

    def say(record: RunnerCkpt) -> None:
        story.apply(record)
        writer.append(record)

    def enter(state: TaskState) -> None:
        say(RunnerCkpt(task_status=TaskStatus(state, now_ms(), os.getpid(), os.getuid())))

    try:
        reader = StreamReader(paths.runner)
        for record in reader.read():
            story.apply(record)
        writer.cut(reader.offset)
        if not (story.statuses and story.statuses[-1].state.terminal):
            enter(TaskState.ACTIVE)
            for runs in story.processes.values():
                for record in _unheard(paths, runs[-1]):
                    say(record)
                last = runs[-1]
                if not last.state.terminal and last.state != ProcessState.WAITING:
                    say(RunnerCkpt(process_status=_end_of(last, kill(last), now_ms)))
            enter(state)
    finally:
        writer.close()
    paths.retire()


def _unheard(paths: TaskPaths, last: ProcessStatus) -> list[RunnerCkpt]:
    """What the coordinator of this run wrote and no runner took over."""
    try:
        records = [] if last.state.terminal else read_stream(paths.coordinator(last.process))
    except CheckpointError:
        return []
    return [r for r in records if r.process_status is not None and r.process_status.seq > last.seq]


def _end_of(run: ProcessStatus, killed: bool, now_ms: Callable[[], int]) -> ProcessStatus:
    if not killed:
        return ProcessStatus(run.seq + 1, run.process, ProcessState.LOST)
    code = -signal.SIGKILL
    return ProcessStatus(run.seq + 1, run.process, ProcessState.KILLED, stop_time=now_ms() / 1000, return_code=code)
