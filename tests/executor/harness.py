"""Tasks for tests, and an `Execution` in a forked process of its own, as the engine starts it."""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from frozendict import frozendict

from aurorad import procfs
from aurorad.api.tasks import AssignedTask, ExecutorConfig, JobKey, TaskConfig
from aurorad.engine.base import TaskState
from executor import checkpoint
from executor.checkpoint import ProcessStatus, RunnerState
from executor.execution import Execution
from executor.flags import ExecutorFlags
from executor.main import LOG
from executor.paths import CHECKPOINTS, SANDBOX, RunDirectory, TaskPaths
from executor.sandbox import current_user

TASK_ID = "role-test-job-0-1234"
PATIENCE_S = 60.0  # only a test that hangs waits so long

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def process(name: str, cmdline: str, **fields: Any) -> dict[str, Any]:
    """A process that is tried again at once."""
    return {"name": name, "cmdline": cmdline, "min_duration": 0, **fields}


def task(*processes: dict[str, Any], order: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {"name": "task", "processes": list(processes), "constraints": [{"order": order}], **fields}


def assigned(task: dict[str, Any], *, role: str = "", ports: dict[str, int] | None = None, **job: Any) -> AssignedTask:
    """A task as the scheduler assigns it, of this user unless a role is named."""
    key = JobKey(role or current_user().name, "test", "job")
    data = {"cluster": "c", "role": key.role, "environment": "test", "name": "job", "task": task, **job}
    config = TaskConfig(job=key, executor_config=ExecutorConfig("AuroraExecutor", json.dumps(data)))
    return AssignedTask(TASK_ID, "agent", "host.example", config, frozendict(ports or {}), 0)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Waits for something that another process does and nobody announces."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"not in {PATIENCE_S} s: {what}"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    found = procfs.info(pid)
    return found is not None and not found.zombie


class Executor:
    """A process that runs one `Execution`."""

    def __init__(self, task: AssignedTask, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.sandbox = directory / SANDBOX
        self.updates: list[tuple[TaskState, str | None]] = []
        self._buffer = b""
        self._pipe, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                if options.pop("console", False):  # as the launcher does it
                    for fd, name in ((1, "stdout"), (2, "stderr")):
                        os.dup2(os.open(directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), fd)
                logging.basicConfig(filename=options.get("mounted", directory) / LOG, level=logging.INFO, force=True)
                trio.run(_execute, task, directory, write, options)
                code = 0
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(code)
        os.close(write)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)

    def shutdown(self) -> None:
        os.kill(self.pid, signal.SIGUSR2)

    def cancel(self) -> None:
        """Stops the executor; not the task."""
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self._pipe)

    def crash(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._pipe)

    def until(self, state: TaskState) -> str | None:
        """Waits for an update, and gives its message."""
        while not any(got == state for got, _ in self.updates):
            assert self._read(), f"no {state}, but {self.updates}"
        return next(message for got, message in self.updates if got == state)

    def finish(self) -> tuple[TaskState, str | None]:
        """Waits for the executor's end, and gives the last update."""
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self._pipe)
        assert status == 0, (self.directory / LOG).read_text()
        return self.updates[-1]

    def _read(self) -> bool:
        ready, _, _ = select.select([self._pipe], [], [], PATIENCE_S)
        assert ready, f"silent for {PATIENCE_S} s after {self.updates}"
        got = os.read(self._pipe, 65536)
        *lines, self._buffer = (self._buffer + got).split(b"\n")
        self.updates += [(TaskState(state), message) for state, message in map(json.loads, lines)]
        return bool(got)

    # What it left on disk

    @property
    def state(self) -> RunnerState:
        paths = TaskPaths(self.directory / CHECKPOINTS, TASK_ID)
        return checkpoint.replay(checkpoint.read_stream(paths.runner), recovering=False)

    def runs(self, name: str) -> tuple[ProcessStatus, ...]:
        return self.state.processes.get(name, ())

    def states(self, name: str) -> list[str]:
        return [run.state.name for run in self.runs(name)]

    def output(self, name: str, run: int = 0, stream: str = "stdout") -> str:
        return (self.sandbox / ".logs" / name / str(run) / stream).read_text()

    def inhabitants(self) -> list[int]:
        """Living processes that work in the sandbox: the task's, all of them."""
        found = []
        for pid, info in procfs.processes().items():
            try:
                inside = Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(self.sandbox)
            except OSError:
                continue
            if inside and not info.zombie:
                found.append(pid)
        return found

    def wait_for_file(self, name: str) -> str:
        """Waits until a process of the task has written a line into a file of the sandbox."""
        path = self.sandbox / name
        wait_until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path} written")
        return path.read_text()


def run_task(directory: Path, task: dict[str, Any], **options: Any) -> Executor:
    """The executor of a task that ends by itself, after its end."""
    executor = Executor(assigned(task), directory, **options)
    executor.finish()
    return executor


async def _execute(task: AssignedTask, directory: Path, write: int, options: dict[str, Any]) -> None:
    killed_before = options.pop("killed_before", False)
    if limit := options.pop("file_limit", None):  # as if the disk were full
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    place = RunDirectory(directory, options.pop("mounted", directory))
    grace_s = options.pop("grace_s", 30.0)
    hierarchy = options.pop("hierarchy", None)
    flags = options.pop("flags", ExecutorFlags())
    execution = Execution(task, place, flags, hierarchy=lambda: hierarchy, **options)
    if killed_before:
        execution.kill()

    async def report(state: TaskState, message: str | None) -> None:
        os.write(write, json.dumps([state, message]).encode() + b"\n")

    async def obey() -> None:
        with trio.open_signal_receiver(signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM) as signals:
            nursery.start_soon(work)
            async for number in signals:
                if number == signal.SIGUSR1:
                    execution.kill()
                elif number == signal.SIGUSR2:
                    execution.shutdown(grace_s)
                else:
                    nursery.cancel_scope.cancel()

    async def work() -> None:
        await execution.run(report)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey)
