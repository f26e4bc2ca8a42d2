"""A world without processes: the real runner, its real files, and runs that only happen in a mock clock's time."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import math
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing

from aurorad import procfs
from aurorad.procfs import ProcessInfo
from executor import runner
from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    StreamWriter,
    TaskState,
    read_stream,
)
from executor.paths import TaskPaths
from executor.process import Coordinator, Launch
from executor.runner import Runner
from executor.sandbox import current_user
from executor.task import Task

TASK_ID = "task"
_LONG_S = 1e7  # simulated: what has not ended by then never will


class Behaviour(NamedTuple):
    """What a run does: ends after `lasts_s` with `code` (None: its coordinator dies), or never starts its command.

    `heeds_s` after SIGTERM it ends with `last_code`; infinite if it does not listen.
    """

    lasts_s: float
    code: int | None
    starts: bool = True
    heeds_s: float = 0.0
    last_code: int = -15


class _Run:
    """A coordinator and its command."""

    def __init__(self, pid: int, launch: Launch, behaviour: Behaviour) -> None:
        self.pid, self.process, self.behaviour = pid, launch.process, behaviour
        self.alive = True
        self.pidfd_ends: list[int] = []
        self.told = trio.Event()
        self.killed = trio.CancelScope()

    def end(self) -> bool:
        """As by SIGKILL. Whether it was alive."""
        was_alive = self.alive
        self.killed.cancel()
        self.alive = False
        return was_alive


class World:
    """Stands in for the kernel. `behave` says what the next run of a process does."""

    def __init__(self, nursery: trio.Nursery, behave: Callable[[str], Behaviour]) -> None:
        self._nursery, self._behave = nursery, behave
        self._runs: dict[int, _Run] = {}
        self.ended_s: dict[str, list[float]] = defaultdict(list)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(runner, "fork_coordinator", self._fork)
        patch.setattr(os, "pidfd_open", self._pidfd_open)
        patch.setattr(runner, "Ladder", lambda *_, **__: _Ladder(self._runs))
        patch.setattr(procfs, "become_subreaper", lambda: None)
        patch.setattr(procfs, "reap", lambda: True)
        patch.setattr(procfs, "reap_one", lambda: False)

    def _fork(self, launch: Launch, stream: StreamWriter, seq: int) -> Coordinator:
        run = _Run(1000 + 2 * len(self._runs), launch, self._behave(launch.process))
        self._runs[run.pid] = run
        go_read, go_write = os.pipe()
        records, records_end = os.pipe()
        os.set_blocking(records, False)
        own = copy.copy(stream)
        own.fd = os.dup(stream.fd)  # the same open file: it keeps the lock
        self._nursery.start_soon(self._coordinate, run, own, seq, go_read, records_end)
        return Coordinator(run.pid, self._pidfd_open(run.pid), records, go_write)

    def _pidfd_open(self, pid: int) -> int:
        """It becomes readable with the end of its process."""
        run = self._runs[pid]
        if not run.alive:
            raise ProcessLookupError
        pidfd, end = os.pipe()
        run.pidfd_ends.append(end)
        return pidfd

    async def _coordinate(self, run: _Run, stream: StreamWriter, seq: int, go: int, records: int) -> None:
        def say(seq: int, state: ProcessState, **fields: Any) -> None:
            stream.append(RunnerCkpt(process_status=ProcessStatus(seq, run.process, state, **fields)))
            with contextlib.suppress(BrokenPipeError):
                os.write(records, b"r")

        behaviour = run.behaviour
        try:
            with run.killed:
                await trio.lowlevel.wait_readable(go)
                if os.read(go, 1):
                    if not behaviour.starts:
                        await trio.sleep_forever()
                    say(seq + 1, ProcessState.RUNNING, pid=run.pid + 1, start_time=trio.current_time())
                    code = await self._command(run)
                    if code is not None:
                        state = _state_after(code)
                        say(seq + 2, state, stop_time=trio.current_time(), return_code=code)
        finally:
            run.alive = False
            self.ended_s[run.process].append(trio.current_time())
            for fd in (stream.fd, go, records, *run.pidfd_ends):
                os.close(fd)

    async def _command(self, run: _Run) -> int | None:
        with trio.move_on_after(run.behaviour.lasts_s):
            await run.told.wait()
            await trio.sleep(run.behaviour.heeds_s)
            return run.behaviour.last_code
        return run.behaviour.code


class _Ladder:
    """`executor.ladder.Ladder`, of runs that nothing descends from."""

    def __init__(self, runs: dict[int, _Run]) -> None:
        self._runs = runs

    def started(self, coordinator_pid: int) -> None:
        assert coordinator_pid in self._runs

    async def tell_to_end(self) -> int:
        await trio.lowlevel.checkpoint()
        alive = [run for run in self._runs.values() if run.alive]
        for run in alive:
            run.told.set()
        return len(alive)

    async def end(self, within_s: float) -> list[int]:
        await trio.lowlevel.checkpoint()
        for run in self._runs.values():
            run.end()
        return []

    def kill_live(self, run: ProcessStatus) -> bool:
        return self._runs[run.coordinator_pid or 0].end()

    async def end_family(self, run: ProcessStatus) -> list[ProcessInfo]:
        await trio.lowlevel.checkpoint()
        return []

    def end_run(self, run: ProcessStatus) -> None:
        assert run.coordinator_pid in self._runs

    async def end_rest(self, run: ProcessStatus) -> bool:
        await trio.lowlevel.checkpoint()
        return False


class Interference(NamedTuple):
    """What happens to a task from outside, that many seconds after its start; infinite for never."""

    kill_s: float = math.inf
    kill_as: TaskState = TaskState.KILLED
    kill_wait_s: float = 60.0
    crash_s: float = math.inf  # the runner's; another one takes over at once


class Lived(NamedTuple):
    """What became of a task."""

    records: list[RunnerCkpt]
    killed: list[TaskState]  # what was asked for before its end
    ended_s: dict[str, list[float]]  # of every run
    log: str


def live(
    task: Task, directory: Path, behave: Callable[[str], Behaviour], outside: Interference, max_runs: int
) -> Lived:
    """Runs a task to its end in simulated time."""
    paths = TaskPaths(directory, TASK_ID)
    killed: list[TaskState] = []
    log = logging.getLogger(f"tests.world.{directory}")
    log.propagate = False
    said = io.StringIO()
    start_s = 0.0
    log.addHandler(logging.StreamHandler(said))

    def now_ms() -> int:
        return int(trio.current_time() * 1000)

    async def run_task() -> None:
        header = RunnerHeader(TASK_ID, now_ms(), str(directory), "host", "me", log_dir=str(directory))
        for crash_s in (outside.crash_s, math.inf):
            with trio.move_on_at(start_s + crash_s):
                runner = Runner(task, paths, header, current_user(), now_ms=now_ms, log=log, max_runs=max_runs)
                runner.take_control()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(kill, runner)
                    await runner.run()
                    nursery.cancel_scope.cancel()
                return

    async def kill(runner: Runner) -> None:
        await trio.sleep_until(start_s + outside.kill_s)
        runner.kill(outside.kill_as, outside.kill_wait_s)
        killed[:] = [outside.kill_as]

    async def main() -> World:
        nonlocal start_s
        start_s = trio.current_time()
        with pytest.MonkeyPatch.context() as patch:
            async with trio.open_nursery() as nursery:
                world = World(nursery, behave)
                world.install(patch)
                with trio.fail_after(_LONG_S):
                    await run_task()
        return world

    world = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return Lived(read_stream(paths.runner), killed, world.ended_s, said.getvalue())


def _state_after(code: int) -> ProcessState:
    if code == 0:
        return ProcessState.SUCCESS
    return ProcessState.FAILED if code > 0 else ProcessState.KILLED
