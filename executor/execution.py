"""One task as the engine sees it: status updates out, kill and shutdown in (executor sheet, sections 4, 5 and 13)."""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import trio
from frozendict import frozendict

from aurorad.api.tasks import AssignedTask
from aurorad.engine.base import TaskState
from executor import checkpoint
from executor.checkpoint import (
    CheckpointError,
    RunnerHeader,
)
from executor.health import find_check, watch_health
from executor.instance import InvalidTask, parse_instance
from executor.ledger import TaskDiffers
from executor.lifecycle import ask_to_end
from executor.logger import DEFAULT_LOGGER, LoggerSettings
from executor.paths import CHECKPOINTS, HEALTH_CHECK_SNOOZE, LOGS, SANDBOX, TaskPaths
from executor.runner import KILL_WAIT_S, Runner
from executor.sandbox import SandboxError, User, create_sandbox, user_for
from executor.task import TaskInstance
from executor.templates import Bindings

Report = Callable[[TaskState, str | None], Awaitable[None]]
Tell = Callable[[TaskState, str | None], None]

_STOP_TIMEOUT_S = 120.0  # for asking a task over HTTP to end, all waits together


_log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """A terminal status update."""

    state: TaskState
    message: str


_KILLED_EARLY = Outcome(TaskState.TASK_KILLED, "Task killed during initialization.")
_RUNNER_FAILED = Outcome(TaskState.TASK_LOST, "Thermos failed with an unknown error.")
_UNREADABLE = Outcome(TaskState.TASK_LOST, "Task checkpoint could not be read.")
_DIFFERS = Outcome(TaskState.TASK_FAILED, "Thermos received an invalid task.")
_ENDS = {
    checkpoint.TaskState.SUCCESS: Outcome(TaskState.TASK_FINISHED, "Task finished."),
    checkpoint.TaskState.FAILED: Outcome(TaskState.TASK_FAILED, "Task failed."),
    checkpoint.TaskState.KILLED: Outcome(TaskState.TASK_KILLED, "Task killed."),
    checkpoint.TaskState.LOST: Outcome(TaskState.TASK_LOST, "Task lost."),
    checkpoint.TaskState.ACTIVE: Outcome(TaskState.TASK_LOST, "Runner died while task was active."),
}


class _Fit(NamedTuple):
    """A task that can be started."""

    instance: TaskInstance
    bindings: Bindings
    user: User
    runner: Runner


class _Unfit(Exception):
    """The task cannot be started; the text is the update's message."""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Execution:
    """Runs one assigned task in `directory`, which holds its sandbox, its checkpoints and the executor's log.

    The process that runs it must do nothing else that has child processes or threads: the task's processes are forked
    from it, and whatever descends from it is taken for the task's. `set_user=False` runs processes as the current
    user whatever the role. `path`, `logger` and `preserve_env` are as for a `Runner`.
    """

    def __init__(
        self,
        assigned: AssignedTask,
        directory: Path,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        set_user: bool = True,
        kill_wait_s: float = KILL_WAIT_S,
        path: str | None = None,
        logger: LoggerSettings = DEFAULT_LOGGER,
        preserve_env: bool = False,
    ) -> None:
        self._assigned, self._directory = assigned, directory.absolute()
        self._now_ms, self._set_user, self._kill_wait_s = now_ms, set_user, kill_wait_s
        self._path = path or os.environ.get("PATH")
        self._logger, self._preserve_env = logger, preserve_env
        self._paths = TaskPaths(self._directory / CHECKPOINTS, assigned.task_id)
        self._outcome: Outcome | None = None
        self._decided = trio.Event()

    def kill(self) -> None:
        """End the task as KILLED. At any time, any number of times; what came first counts."""
        self._decide(Outcome(TaskState.TASK_KILLED, "Instructed to kill task."))

    def shutdown(self) -> None:
        """End the task because its executor shall end."""
        self._decide(Outcome(TaskState.TASK_KILLED, "Told to shut down executor."))

    async def run(self, report: Report) -> None:
        """Until the task is over, nothing of it is alive and its one terminal state was reported.

        Updates are reported one after the other, from a task of their own: a slow `report` does not hold up the task.
        If the directory holds a task whose executor died, it is taken over, and not reported as starting again.

        Cancelled, it stops without a word and without a signal: the task's processes go on, and a new `Execution` in
        the same directory takes them over. An error of `report` ends the run in the same way.
        """
        send, receive = trio.open_memory_channel[tuple[TaskState, str | None]](math.inf)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_relay, receive, report)
            async with send:
                outcome = await self._run(lambda state, message: send.send_nowait((state, message)))
                send.send_nowait((outcome.state, outcome.message))

    def _decide(self, outcome: Outcome) -> None:
        self._outcome = self._outcome or outcome
        self._decided.set()

    async def _run(self, tell: Tell) -> Outcome:
        resumed = self._paths.runner.exists()
        if not resumed:
            tell(TaskState.TASK_STARTING, None)
            if self._outcome is not None:
                return _KILLED_EARLY
        try:
            fit = self._prepare()
            fit.runner.take_control()
        except _Unfit as error:
            return Outcome(TaskState.TASK_FAILED, str(error))
        except TaskDiffers as error:
            _log.error("%s", error)
            return _DIFFERS
        except CheckpointError as error:
            _log.error("%s", error)
            return self._recorded_end()
        except OSError as error:
            return Outcome(TaskState.TASK_FAILED, f"Failed to load task: {error}")
        return await self._supervise(fit, tell)

    async def _supervise(self, fit: _Fit, tell: Tell) -> Outcome:
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_task, fit.runner, over)
            nursery.start_soon(self._check_health, fit, tell)
            await self._decided.wait()
            if not over.is_set():
                with trio.move_on_after(_STOP_TIMEOUT_S):
                    await ask_to_end(fit.instance.lifecycle, fit.bindings.ports, over, _log)
                fit.runner.kill(wait_s=self._kill_wait_s)
                await over.wait()
            nursery.cancel_scope.cancel()
        assert self._outcome is not None
        return self._outcome

    async def _check_health(self, fit: _Fit, tell: Tell) -> None:
        """Tells once that the task runs: at once if nobody asked for checks, else when they say so."""
        config = fit.instance.health_check_config
        check = find_check(config, fit.bindings.ports, fit.user, self._directory)
        if check is None:
            _log.info("No health-checks defined, will use a no-op health-checker.")
            self._tell_running(tell, "No health-check defined, task is assumed healthy.")
            return
        snooze = self._directory / SANDBOX / HEALTH_CHECK_SNOOZE
        reason = await watch_health(
            check, config, snooze.exists, lambda: self._tell_running(tell, "Task is healthy."), _log
        )
        if fit.runner.active:  # a task that is ending need not be healthy
            self._decide(Outcome(TaskState.TASK_FAILED, f"Failed health check! {reason}"))

    def _tell_running(self, tell: Tell, message: str) -> None:
        if self._outcome is None:
            tell(TaskState.TASK_RUNNING, message)

    async def _run_task(self, runner: Runner, over: trio.Event) -> None:
        try:
            outcome = _ENDS[await runner.run()]
        except Exception:
            _log.exception("The runner failed.")
            await runner.put_down()
            outcome = _RUNNER_FAILED
        over.set()
        self._decide(outcome)

    def _prepare(self) -> _Fit:
        """Everything before the first process. Raises `_Unfit`, and what making a `Runner` raises."""
        assigned = self._assigned
        user = self._make_sandbox()
        hostname = assigned.slave_host or socket.gethostname()
        bindings = Bindings(assigned.task_id, assigned.instance_id, hostname, user.name)
        config = assigned.task.executor_config
        data = config.data or "" if config is not None else ""
        try:
            instance, bindings = parse_instance(data, bindings, assigned.assigned_ports)
        except InvalidTask as error:
            raise _Unfit(f"Could not deserialize Thermos task from AssignedTask: {error}") from None
        sandbox = self._directory / SANDBOX
        header = RunnerHeader(
            task_id=assigned.task_id,
            launch_time_ms=self._now_ms(),
            sandbox=str(sandbox),
            hostname=hostname,
            user=user.name,
            ports=frozendict(bindings.ports),
            log_dir=str(sandbox / LOGS),
            uid=user.uid,
        )
        runner = Runner(
            instance.task,
            self._paths,
            header,
            user,
            now_ms=self._now_ms,
            log=_log,
            path=self._path,
            logger=self._logger,
            preserve_env=self._preserve_env,
        )
        return _Fit(instance, bindings, user, runner)

    def _make_sandbox(self) -> User:
        container = self._assigned.task.container
        try:
            if container.docker is not None or (container.mesos is not None and container.mesos.image is not None):
                raise SandboxError("this executor cannot run images yet")
            user = user_for(self._assigned.task.job.role, _log, set_user=self._set_user)
            create_sandbox(self._directory / SANDBOX, user)
        except SandboxError as error:
            raise _Unfit(f"Failed to initialize sandbox: {error}") from None
        return user

    def _recorded_end(self) -> Outcome:
        """What the checkpoints say of a task that is over, or that another runner holds."""
        try:
            state = checkpoint.replay(checkpoint.read_stream(self._paths.runner)).state
        except (CheckpointError, OSError):
            return _UNREADABLE
        return _ENDS.get(state, _UNREADABLE) if state is not None else _UNREADABLE


async def _relay(updates: trio.MemoryReceiveChannel[tuple[TaskState, str | None]], report: Report) -> None:
    async with updates:
        async for state, message in updates:
            await report(state, message)
