"""Ending a task without its runner: from what the checkpoints say alone (thermos-runner sheet, section 10.3)."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from aurorad import procfs
from aurorad.cgroups import TASK, TaskGroup, find_group
from aurorad.ending import end_all
from aurorad.procfs import ProcessInfo
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
_PATIENCE_S = 10.0  # for a lock whose holder is not on record, and for what does not die


_log = logging.getLogger(__name__)


class Refused(Exception):
    """The task was left as it is; the text says why."""


def kill_task(paths: TaskPaths, now_ms: Callable[[], int], *, force: bool = True) -> None:
    """SIGKILL all of a task and record it as KILLED, at once and without finalizing processes.

    A runner that holds the task is killed first, if `force`, and so is one that takes over from it, each with whatever
    descends from it. Raises `Refused`, `CheckpointError`, `OSError`. Blocks until the task is ours. A daemon whose
    runner died before, and that has hidden, is found by the task's control group if it has one.
    """
    story = _read(paths)
    if story is None or not story.statuses:
        if not force:
            raise Refused("Cannot update states in uninitialized TaskState!")
        _log.warning("Task has uninitialized TaskState - forcibly finalizing")
        paths.retire()
        return
    writer, heirs = _take_over(paths, force)
    try:
        _end(paths, writer, TaskState.KILLED, now_ms, ladder.kill_run)
    finally:
        _put_down(heirs, find_group(paths.task_id, paths.root))


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


def _take_over(paths: TaskPaths, force: bool) -> tuple[StreamWriter, list[ProcessInfo]]:
    """The stream in our hands, and what descended from the runners that were killed for it."""
    heirs: list[ProcessInfo] = []
    patient_until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return StreamWriter(paths.runner), heirs
        except StreamHeld as error:
            story = _read(paths)
            last = story.statuses[-1] if story is not None and story.statuses else None
            if not force or last is None or last.runner_pid is None:
                raise Refused(f"Could not open locked checkpoint: {error}") from None
            if last.runner_pid == os.getpid():
                raise Refused("Unwilling to commit seppuku.") from None
            found = _holder(last.runner_pid, last.timestamp_ms / 1000, paths.runner)
            if found is not None:
                heirs += procfs.tree(found.pid)
                procfs.send(found, signal.SIGKILL)
            elif time.monotonic() > patient_until_s:
                raise Refused(f"Could not open locked checkpoint: {error}, and not its runner on record") from None
            time.sleep(_RETRY_S)


def _holder(pid: int, recorded_s: float, stream: Path) -> ProcessInfo | None:
    """The process, if it has the stream open: a pid on record may be a stranger's by now. Raises `Refused`.

    Of one that we may signal but not look into, only that it is as old as the record can be said.
    """
    process = procfs.info(pid)
    if process is None:
        return None
    try:
        held = any(_is_same_file(f"/proc/{pid}/fd/{fd}", stream) for fd in _open_files(pid))
    except PermissionError:
        if not _may_signal(pid):
            raise Refused(f"Could not open locked checkpoint: its runner {pid} is not yours to kill") from None
        held = procfs.start_time_s(process) < recorded_s + ladder.START_TOLERANCE_S
    return process if held else None


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (PermissionError, ProcessLookupError) as error:
        return isinstance(error, ProcessLookupError)
    return True


def _open_files(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_same_file(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (FileNotFoundError, ProcessLookupError):  # closed in the meantime
        return False


def _put_down(heirs: Iterable[ProcessInfo], group: TaskGroup | None) -> None:
    """SIGKILL to what left its run's session: descendants of runners, theirs, and whoever is in the task's group."""

    def look() -> Iterator[ProcessInfo]:
        for process in heirs:
            now = procfs.info(process.pid)
            if now is not None and now.start_ticks == process.start_ticks:
                yield now
                yield from procfs.tree(now.pid)

    patient_until_s = time.monotonic() + _PATIENCE_S
    for pause_s in end_all(look, group=group, leaf=TASK):
        if time.monotonic() > patient_until_s:
            _log.error("Processes %s do not die.", sorted(one.pid for one in look() if not one.zombie))
            break
        time.sleep(pause_s)
    if group is not None:
        group.remove()


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
