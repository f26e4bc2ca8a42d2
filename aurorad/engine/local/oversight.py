"""Seeing a run to its end: its executor, those that take over if it dies, and what is left when there is no other.

An executor that dies takes nothing with it: the task's processes go on, and the next executor in the same directory
adopts them. Two never work there at once. Each has a number and claims the place of its number before anything else;
the next one is asked for only when that claimant has ended; and whoever runs a task locks its checkpoints.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

from aurorad.cgroups import Hierarchy, TaskGroup
from aurorad.engine import executor_api as api
from aurorad.engine.base import TaskState
from aurorad.engine.local import processes
from aurorad.engine.local.live import LiveRun, Patience
from aurorad.engine.local.processes import NOBODY, Identity
from aurorad.engine.local.runs import Line, Run, Runs
from aurorad.engine.local.spawner import AGENT_MARK, CannotStart, Request, Spawner

SHUTDOWN_GRACE_S = 30.0

_log = logging.getLogger(__name__)


class Restarts(msgspec.Struct, frozen=True):
    """How often another executor takes over: at most `most` times within `window_s`, the first time at once."""

    most: int = 5
    window_s: float = 600.0
    pause_s: float = 1.0
    """Before the second within the window; twice as long before each further one."""

    def pause(self, before_ms: Sequence[int], now_ms: int) -> float | None:
        """How long to wait, in seconds, before another one after those; None if there shall be no other."""
        recent = sum(now_ms - at_ms < self.window_s * 1000 for at_ms in before_ms)
        if recent >= self.most:
            return None
        return self.pause_s * 2 ** (recent - 1) if recent else 0.0


DEFAULT_RESTARTS = Restarts()


class Ending(NamedTuple):
    """What a task is reported as whose executor did not report its end."""

    state: TaskState
    message: str


class Oversight:
    """`agent_id` marks our processes, `socket` is where executors find the engine, `hierarchy` holds their groups."""

    def __init__(
        self,
        runs: Runs,
        spawner: Spawner,
        agent_id: str,
        socket: Path,
        now_ms: Callable[[], int],
        patience: Patience,
        restarts: Restarts,
        executor_arguments: tuple[str, ...],
        hierarchy: Hierarchy | None,
    ) -> None:
        self._runs = runs
        self._spawner = spawner
        self._agent_mark = f"{AGENT_MARK}={agent_id}"
        self._socket = socket
        self._now_ms = now_ms
        self._patience = patience
        self._restarts = restarts
        self._executor_arguments = executor_arguments
        self._hierarchy = hierarchy
        self._sweeps = trio.CapacityLimiter(1)  # each reads all of /proc

    async def see_out(self, live: LiveRun) -> Ending:
        """From the start of a run's executor, or from finding it again, until nothing of the run is left.

        What remains to be told, unless the executor told it: that is in its checkpoints then.
        """
        ending: Ending | None = None
        with live.watch:
            ending = await self._keep_going(live)
        if ending is None:
            overdue = live.overdue()
            ending = Ending(overdue.state, overdue.message)
        directory = self._runs.directory(live.run)
        sweep = functools.partial(
            processes.end_all, live.executor, live.run.id, self._agent_mark, directory, self._group(live.run)
        )
        ended = await trio.to_thread.run_sync(sweep, limiter=self._sweeps)
        if live.over:
            return ending
        _log.warning("run %s: %s; %d processes killed", directory, ending.message, ended)
        await self._write_end(live, ending.state)
        if ended:
            ending = ending._replace(message=f"{ending.message} ({ended} processes left of it were killed)")
        return ending

    async def _keep_going(self, live: LiveRun) -> Ending:
        """One executor after the other, until the task is over or there shall be no other."""
        while True:
            what = "Executor terminated"
            if live.executor is None and not live.over:
                try:
                    live.executor = await self._start(live)
                except CannotStart as error:
                    what = f"Executor could not be started: {error}"
                    if not live.restarts_ms:
                        return Ending(TaskState.TASK_LOST, what)
            if live.executor is not None:
                await processes.wait_for_end(live.executor)
            pause_s = self._pause(live, what)
            if isinstance(pause_s, Ending):
                return pause_s
            _log.warning("task %s: %s; another one takes over in %g s", live.task_id, what, pause_s)
            await trio.sleep(pause_s)
            if not live.over and not live.shutting_down:
                self._note_restart(live)

    def _pause(self, live: LiveRun, what: str) -> float | Ending:
        """How long to wait for the next executor, or the end."""
        state = TaskState.TASK_KILLED if live.kill_asked or live.shutting_down else TaskState.TASK_LOST
        if live.over:
            return Ending(live.state, what)
        if live.shutting_down:
            return Ending(state, f"{what} while it was told to shut down")
        if live.executor is not None and not processes.of_this_boot(live.executor):
            return Ending(state, f"{what} with the machine, which was started anew")
        if not self._runs.directory(live.run).exists():
            return Ending(state, f"{what} and its directory was removed")
        pause_s = self._restarts.pause(live.restarts_ms, self._now_ms())
        if pause_s is None:
            often = f"{self._restarts.most + 1} times within {self._restarts.window_s:g} s"
            return Ending(state, f"{what}, {often}: no other one is started")
        return pause_s

    def _note_restart(self, live: LiveRun) -> None:
        at_ms = self._now_ms()
        try:
            self._runs.append(live.run, Line(restarted_ms=at_ms), durably=False)
        except OSError as error:  # the next engine comes by its number, and finds who claimed it
            _log.warning("cannot note that another executor takes over task %s: %s", live.task_id, error)
        live.restarted(at_ms, trio.current_time())

    async def _start(self, live: LiveRun) -> Identity:
        """Raises `CannotStart`; then none will come later either."""
        try:
            return await self._spawner.start(self._request(live), self._patience.to_start)
        except CannotStart:
            try:
                first = processes.claim(self._runs.identity_file(live.run, len(live.restarts_ms)), NOBODY)
            except OSError as error:  # one that comes after all is refused, or held up by the lock of another
                _log.warning("cannot call off an executor of task %s: %s", live.task_id, error)
                raise
            if first == NOBODY:
                raise
            return first

    def _request(self, live: LiveRun) -> Request:
        run = live.run
        directory = str(self._runs.directory(run))
        return Request(
            f"{run.id} {len(live.restarts_ms)}",
            directory,
            str(self._runs.identity_file(run, len(live.restarts_ms))),
            {
                "MESOS_FRAMEWORK_ID": run.framework_id,
                "MESOS_EXECUTOR_ID": run.task.executor_id,
                "MESOS_SLAVE_ID": run.agent_id,
                "MESOS_DIRECTORY": directory,
                "MESOS_SANDBOX": directory,
                "MESOS_AGENT_ENDPOINT": f"{api.UNIX}{self._socket}",
                "MESOS_CHECKPOINT": "1",
                "MESOS_RECOVERY_TIMEOUT": "520weeks",  # however long we are down, tasks go on
                "MESOS_SUBSCRIPTION_BACKOFF_MAX": "1secs",
                "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": f"{SHUTDOWN_GRACE_S:g}secs",
                "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": run.token,
            },
            self._executor_arguments,
            None if (group := self._group(run)) is None else str(group.path),
        )

    def _group(self, run: Run) -> TaskGroup | None:
        if self._hierarchy is None:
            return None
        return self._hierarchy.group(run.task.task_id, self._runs.checkpoints(run))

    async def _write_end(self, live: LiveRun, state: TaskState) -> None:
        """For whoever reads the checkpoints: they speak of a living task, and there is no executor to end it."""
        if not self._runs.has_checkpoints(live.run):
            return
        end_state = "KILLED" if state is TaskState.TASK_KILLED else "LOST"
        directory = str(self._runs.directory(live.run))
        request = Request(f"{live.run.id} end", directory, end_task=live.task_id, end_state=end_state)
        try:
            await self._spawner.end_task(request, self._patience.to_start)
        except CannotStart as error:
            _log.warning("cannot write the end of task %s into its checkpoints: %s", live.task_id, error)
