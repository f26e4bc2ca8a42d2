"""What a runner has on record: its own stream, and what it takes over from coordinators (thermos-runner sheet, 4)."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from executor.checkpoint import (
    CheckpointError,
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    RunnerState,
    Story,
    StreamHeld,
    StreamReader,
    StreamWriter,
    TaskState,
    TaskStatus,
)
from executor.paths import TaskPaths
from executor.task import Task, is_same, to_json

_LOOKS, _LOOK_S = 3, 0.005  # how often, and for how long, somebody else's look at the lock is waited for


class TaskDiffers(Exception):
    """The task on disk under this id is another one."""


class Ledger:
    """A task's checkpoints in the hands of its one runner. Every entry is on disk when the call returns.

    Nothing is touched before `open`.
    """

    def __init__(
        self, paths: TaskPaths, processes: Iterable[str], now_ms: Callable[[], int], log: logging.Logger
    ) -> None:
        self._paths, self._now_ms, self._log = paths, now_ms, log
        self._story = Story(recovering=True)
        self._readers = {name: StreamReader(paths.coordinator(name)) for name in processes}
        self._ends: dict[str, RunnerCkpt] = {}  # what coordinators wrote of the ends of their runs
        self._writer: StreamWriter | None = None

    def open(self, task: Task, header: RunnerHeader) -> None:
        """Locks the runner's stream, reads what is there and goes on from it.

        Raises `StreamHeld` if another runner holds it, `CheckpointError` if the task is over, `TaskDiffers`, `OSError`.
        """
        writer = _patiently(self._paths.runner)
        try:
            reader = StreamReader(self._paths.runner)
            for record in reader.read():
                self._story.apply(record)
            self._story.recovering = False
            writer.cut(reader.offset)
            statuses = self._story.statuses
            if (statuses and statuses[-1].state.terminal) or self._paths.finished.exists():
                self._paths.retire()
                raise CheckpointError("Cannot take control of a task in terminal state.")
            self._describe(task)
            self._writer = writer
            self.enter(statuses[-1].state if statuses else TaskState.ACTIVE)
            if self._story.header is None:
                self._record(RunnerCkpt(runner_header=header))
        except BaseException:
            self._writer = None
            writer.close()
            raise

    def close(self) -> None:
        """Gives the lock back."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _describe(self, task: Task) -> None:
        """The task's description, beside its stream, for whoever looks on."""
        text = to_json(task)
        if self._paths.active.exists():
            if not is_same(task, on_disk := self._paths.active.read_bytes()):
                raise TaskDiffers(f"Task differs from on disk copy: {on_disk.decode()} vs {text.decode()}")
            return
        for directory in (self._paths.active.parent, self._paths.finished.parent):
            directory.mkdir(parents=True, exist_ok=True)
        draft = self._paths.active.with_name(f".{self._paths.task_id}")
        draft.write_bytes(text)
        draft.rename(self._paths.active)

    @property
    def state(self) -> TaskState:
        return self._story.statuses[-1].state

    def snapshot(self) -> RunnerState:
        return self._story.snapshot()

    def runs(self, process: str) -> list[ProcessStatus]:
        """Oldest first."""
        return self._story.processes.get(process, [])

    def last(self, process: str) -> ProcessStatus | None:
        return self._story.last(process)

    def last_runs(self) -> list[ProcessStatus]:
        return [runs[-1] for runs in self._story.processes.values()]

    def live(self) -> list[ProcessStatus]:
        """The runs that have a coordinator and no end yet."""
        return [run for run in self.last_runs() if run.state.live]

    def enter(self, state: TaskState) -> None:
        self._log.info("Task %s: %s", self._paths.task_id, state.name)
        self._record(RunnerCkpt(task_status=TaskStatus(state, self._now_ms(), os.getpid(), os.getuid())))
        if state.terminal:
            self._paths.retire()

    def step(
        self, process: str, state: ProcessState, stop_time: float | None = None, return_code: int | None = None
    ) -> ProcessStatus:
        """A record that the runner makes itself."""
        self._log.info("Process %s: %s", process, state.name)
        status = ProcessStatus(self.next_seq(process), process, state, stop_time=stop_time, return_code=return_code)
        self._record(RunnerCkpt(process_status=status))
        return status

    def touch(self) -> None:
        """A sign of life: the time of the runner's stream."""
        assert self._writer is not None, "open comes first"
        os.utime(self._writer.fd)

    def next_seq(self, process: str) -> int:
        last = self._story.last(process)
        return 0 if last is None else last.seq + 1

    def coordinator(self, process: str) -> StreamWriter:
        """The stream for the next run's coordinator. Raises `StreamHeld` while another coordinator holds it."""
        stream = StreamWriter(self._paths.coordinator(process))
        reader = self._readers[process]
        reader.read()
        stream.cut(reader.offset)
        return stream

    def open_coordinator(self, run: ProcessStatus) -> int | None:
        """A pidfd of the run's coordinator, None if it is gone: while it lives, it holds its stream."""
        if run.coordinator_pid is None:
            return None
        try:
            pidfd = os.pidfd_open(run.coordinator_pid)
        except ProcessLookupError:
            return None
        if self.is_held(run.process):
            return pidfd
        os.close(pidfd)
        return None

    def is_held(self, process: str) -> bool:
        """Whether a coordinator lives, even one that is not on record: its runner died when it had just forked it."""
        path = self._paths.coordinator(process)
        try:
            if path.exists():
                StreamWriter(path).close()
        except StreamHeld:
            return True
        return False

    def collect(self, process: str) -> list[ProcessStatus]:
        """Takes over what the coordinator wrote since the last time, and gives it; but the end waits for `conclude`."""
        news = []
        for record in self._readers[process].read():
            status, last = record.process_status, self._story.last(process)
            # A coordinator may have the last word after the runner had it; the runner's stands.
            if status is None or last is None or last.state.terminal or status.seq <= last.seq:
                continue
            if status.state.terminal:
                self._ends[process] = record
                break
            self._log.info("Process %s: %s", process, status.state.name)
            self._record(record)
            news.append(status)
        return news

    def conclude(self, process: str) -> ProcessStatus | None:
        """Takes over the end that the coordinator wrote for the run, and gives it."""
        record, last = self._ends.pop(process, None), self._story.last(process)
        if record is None or record.process_status is None or last is None or last.state.terminal:
            return None
        self._log.info("Process %s: %s", process, record.process_status.state.name)
        self._record(record)
        return record.process_status

    def _record(self, record: RunnerCkpt) -> None:
        assert self._writer is not None, "open comes first"
        self._story.apply(record)
        self._writer.append(record)


def _patiently(path: Path) -> StreamWriter:
    """The stream's lock, also if an observer just looks whether anybody holds it. Raises `StreamHeld`, `OSError`."""
    for _ in range(_LOOKS):
        with contextlib.suppress(StreamHeld):
            return StreamWriter(path)
        time.sleep(_LOOK_S)
    return StreamWriter(path)
