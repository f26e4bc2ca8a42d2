"""One executor: an agent's orders on one side, the execution of one task on the other (executor sheet, section 4)."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import trio

from aurorad.api import binary
from aurorad.api.tasks import AssignedTask
from aurorad.api.wire import WireError
from aurorad.engine import executor_api as api
from aurorad.engine.base import TaskState
from aurorad.flag_parsing import FlagError, HelpRequested
from executor.agent_link import AgentGone, AgentLink, BadEnvironment, Settings
from executor.announcement import AnnouncerSettings
from executor.announcer_auth import BadAuthFile
from executor.execution import Execution, Report, wall_clock_ms
from executor.flags import ExecutorFlags, ignored, parse, usage
from executor.forker import Forker, forking
from executor.log import log_to
from executor.paths import RunDirectory

LAUNCH_TIMEOUT_S = 10.0
DIRECTORY_CHECK_S = 60.0
LOG = "executor.log"
_TOKEN = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"  # noqa: S105  the variable's name

_log = logging.getLogger(__name__)


class Task(Protocol):
    """What is used of an `Execution`."""

    async def run(self, report: Report) -> None:
        """Until the task's end was reported."""

    def kill(self) -> None: ...

    def shutdown(self, grace_s: float) -> None: ...


ExecutionFactory = Callable[[AssignedTask, RunDirectory, ExecutorFlags, Forker], Task]


class Executor:
    """Does what the agent says, for one task. `run` returns when the task's end is acknowledged, or none came."""

    def __init__(
        self, link: AgentLink, directory: Path, execution: Callable[[AssignedTask], Task], shutdown_grace_s: float
    ) -> None:
        self._link = link
        self._directory = directory
        self._execution = execution
        self._shutdown_grace_s = shutdown_grace_s
        self._task_id: str | None = None
        self._task: Task | None = None
        self._orphaned = trio.Event()

    async def run(self) -> None:
        send, receive = trio.open_memory_channel[api.Event](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_link, send)
            nursery.start_soon(self._shut_down_on_signal, nursery.cancel_scope)
            nursery.start_soon(self._watch_directory, nursery.cancel_scope)
            async for event in receive:
                await self._heed(event, nursery)

    async def _keep_link(self, events: trio.MemorySendChannel[api.Event]) -> None:
        try:
            await self._link.run(events)
        except* AgentGone as gone:
            _log.error("shutting down: %s", "; ".join(map(str, gone.exceptions)))
        self._orphaned.set()
        await events.send(api.Event("SHUTDOWN"))

    async def _shut_down_on_signal(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                _log.warning("shutting down: %s", signal.Signals(number).name)
                self._shut_down(scope)

    async def _watch_directory(self, scope: trio.CancelScope) -> None:
        """A task whose directory was removed has nothing to work in, and maybe no agent that would ever end it."""
        while True:
            await trio.sleep(DIRECTORY_CHECK_S)
            if not self._directory.exists():
                break
        self._orphaned.set()
        self._shut_down(scope)

    async def _heed(self, event: api.Event, nursery: trio.Nursery) -> None:
        if event.type == "SUBSCRIBED" and self._task is None:
            nursery.start_soon(self._expect_launch, nursery.cancel_scope)
        elif event.launch is not None:
            self._launch(msgspec.json.decode(event.launch.task, type=api.LaunchedTask), nursery)
        elif event.kill is not None:
            self._kill(event.kill.task_id.value)
        elif event.message is not None:
            _log.info("frameworkMessage() got message: %d bytes, ignoring.", len(event.message.data))
        elif event.type == "SHUTDOWN":
            self._shut_down(nursery.cancel_scope)

    async def _expect_launch(self, scope: trio.CancelScope) -> None:
        await trio.sleep(LAUNCH_TIMEOUT_S)
        if self._task_id is None:
            _log.error("Executor timing out.")
            scope.cancel()

    def _launch(self, launched: api.LaunchedTask, nursery: trio.Nursery) -> None:
        """At once, so that a kill right behind it finds the task."""
        task_id = launched.task_id.value
        if task_id == self._task_id:
            _log.info("told again to launch %s", task_id)  # by an agent that does not know whether it had told us
            return
        if self._task_id is not None:
            text = f"Task already running on this executor: {self._task_id}"
            self._link.update(task_id, TaskState.TASK_LOST, text)
            return
        self._task_id = task_id
        try:
            assigned = binary.decode(AssignedTask, launched.data)
        except WireError as error:
            _log.error("bad task: %s", error)
            self._link.update(task_id, TaskState.TASK_FAILED, "Could not deserialize task.")
        else:
            self._task = self._execution(assigned)
        nursery.start_soon(self._execute, nursery.cancel_scope)

    async def _execute(self, scope: trio.CancelScope) -> None:
        if self._task is not None:
            await self._task.run(self._report)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_then_cancel, self._link.settled, nursery.cancel_scope)
            nursery.start_soon(_then_cancel, self._orphaned.wait, nursery.cancel_scope)
        scope.cancel()

    async def _report(self, state: TaskState, message: str | None) -> None:
        assert self._task_id is not None
        _log.info("%s %s: %s", self._task_id, state, message)
        self._link.update(self._task_id, state, message)

    def _kill(self, task_id: str) -> None:
        if self._task is None:
            _log.error("Was asked to kill task but no task running!")
        elif task_id != self._task_id:
            _log.error("Asked to kill a task other than what we are running!")
        else:
            self._task.kill()

    def _shut_down(self, scope: trio.CancelScope) -> None:
        if self._task is not None:
            self._task.shutdown(self._shutdown_grace_s)
        elif self._task_id is None:
            scope.cancel()


async def _then_cancel(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


def run(
    arguments: Sequence[str],
    environment: MutableMapping[str, str] = os.environ,
    execution: ExecutionFactory = Execution,
) -> int:
    """Be an executor as the agent's environment says, until its task is over; the exit code.

    The token that opens the agent's door is taken out of `environment`: tasks may be given the rest.
    """
    with forking() as forker:
        return _run(arguments, environment, execution, forker)


def _run(
    arguments: Sequence[str], environment: MutableMapping[str, str], execution: ExecutionFactory, forker: Forker
) -> int:
    try:
        flags = parse(arguments)
        AnnouncerSettings.read(flags)  # read again for a task that is announced: credentials need not lie about here
        settings = Settings.read(environment)
    except HelpRequested:
        print(usage(), end="")
        return 0
    except (FlagError, BadAuthFile, BadEnvironment) as error:
        print(f"aurorad -role=executor: {error}", file=sys.stderr)
        return 2
    environment.pop(_TOKEN, None)
    here = Path(environment.get("MESOS_SANDBOX") or os.getcwd()).absolute()
    directory = RunDirectory(Path(environment.get("MESOS_DIRECTORY") or here).absolute(), here)
    log_to(here / LOG, flags, arguments)
    for name, reason in ignored(flags).items():
        _log.warning("--%s has no effect: %s", name, reason)
    link = AgentLink(settings, wall_clock_ms, random.Random())  # noqa: S311  only for backoff
    executor = Executor(
        link, directory.path, lambda assigned: execution(assigned, directory, flags, forker), settings.shutdown_grace_s
    )
    try:
        trio.run(executor.run)
    except BaseException:
        _log.exception("the executor ends with an error")
        raise
    return 0
