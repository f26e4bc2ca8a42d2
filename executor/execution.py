"""One task as the engine sees it: status updates out, kill and shutdown in (executor sheet, sections 4, 5 and 13)."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Awaitable, Callable

import msgspec
import trio

from aurorad.api.tasks import AssignedTask
from aurorad.cgroups import Hierarchy, find_hierarchy
from aurorad.engine.base import TaskState
from executor import checkpoint
from executor.announcer import announcer_checker
from executor.checkers import CannotCheck, Checker, MakeChecker, Outcome, RunningTask
from executor.checkpoint import CheckpointError
from executor.flags import ExecutorFlags
from executor.forker import Forker
from executor.health import health_checker
from executor.lifecycle import ask_to_end
from executor.offline import record_end
from executor.oom import oom_checker
from executor.paths import CHECKPOINTS, RunDirectory, TaskPaths
from executor.preparation import Fit, Unfit, prepare
from executor.resources import EXECUTOR_RAM, Limits, watch_resources
from executor.runner import KILL_WAIT_S, Runner

Report = Callable[[TaskState, str | None], Awaitable[None]]
Tell = Callable[[TaskState, str | None], None]

CHECKERS: tuple[MakeChecker, ...] = (health_checker, oom_checker, announcer_checker)

_SHARE_OF_GRACE = 0.8  # what comes after the signals, the update above all, needs some of it, too

_KILLED_EARLY = Outcome(TaskState.TASK_KILLED, "Task killed during initialization.")
_INTERNAL_ERROR = Outcome(TaskState.TASK_FAILED, "Internal error")
_BUG_IN_RUNNER = Outcome(TaskState.TASK_LOST, "Thermos failed with internal error.")
_RUNNER_FAILED = Outcome(TaskState.TASK_LOST, "Thermos failed with an unknown error.")
_UNREADABLE = Outcome(TaskState.TASK_LOST, "Task checkpoint could not be read.")
_ENDS = {
    checkpoint.TaskState.SUCCESS: Outcome(TaskState.TASK_FINISHED, "Task finished."),
    checkpoint.TaskState.FAILED: Outcome(TaskState.TASK_FAILED, "Task failed."),
    checkpoint.TaskState.KILLED: Outcome(TaskState.TASK_KILLED, "Task killed."),
    checkpoint.TaskState.LOST: Outcome(TaskState.TASK_LOST, "Task lost."),
    checkpoint.TaskState.ACTIVE: Outcome(TaskState.TASK_LOST, "Runner died while task was active."),
}

_log = logging.getLogger(__name__)


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Execution:
    """Runs one assigned task in `directory`, which holds its sandbox, its checkpoints and the executor's log.

    The process that runs it must do nothing else that has child processes or threads: the task's processes are forked
    from it, and whatever descends from it is taken for the task's. `path` is the PATH of the task's processes,
    `hierarchy` tells in what its control group may be made, `spare_ram` what they may use of memory beyond what they
    reserved, in bytes.
    """

    def __init__(
        self,
        assigned: AssignedTask,
        directory: RunDirectory,
        flags: ExecutorFlags,
        forker: Forker | None = None,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        kill_wait_s: float = KILL_WAIT_S,
        path: str | None = None,
        checkers: tuple[MakeChecker, ...] = CHECKERS,
        hierarchy: Callable[[], Hierarchy | None] = find_hierarchy,
        spare_ram: int = EXECUTOR_RAM,
    ) -> None:
        self._assigned, self._directory, self._flags = assigned, directory, flags
        self._forker, self._now_ms, self._kill_wait_s = forker, now_ms, kill_wait_s
        self._path = path or os.environ.get("PATH")
        self._make_checkers, self._hierarchy, self._spare_ram = checkers, hierarchy, spare_ram
        self._stop_timeout_s = flags.stop_timeout_in_secs
        self._paths = TaskPaths(directory.path / CHECKPOINTS, assigned.task_id)
        self._outcome: Outcome | None = None
        self._decided = trio.Event()
        self._preparing: trio.CancelScope | None = None  # while nothing of the task is running
        self._asking = trio.CancelScope()  # for the task's own end
        self._signalled: Runner | None = None  # once it was told to end by signals
        self._end: Outcome | None = None  # the runner's, once it has ended

    def kill(self) -> None:
        """End the task as KILLED. At any time, any number of times; what came first counts."""
        self._decide(Outcome(TaskState.TASK_KILLED, "Instructed to kill task."))

    def shutdown(self, grace_s: float) -> None:
        """End the task because its executor shall end, and will be ended by force after `grace_s`."""
        limit_s = grace_s * _SHARE_OF_GRACE / 2  # for asking, and for the signals
        self._kill_wait_s = min(self._kill_wait_s, limit_s)
        self._stop_timeout_s = min(self._stop_timeout_s, limit_s)
        self._asking.deadline = min(self._asking.deadline, trio.current_time() + limit_s)
        if self._signalled is not None:
            self._signalled.kill(wait_s=limit_s)
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
        if self._preparing is not None:
            self._preparing.cancel()

    async def _run(self, tell: Tell) -> Outcome:
        resumed = self._paths.runner.exists()
        if resumed and (verdict := self._read_verdict()) is not None:
            self._outcome = verdict
            self._decided.set()
        with trio.CancelScope() as preparing:
            if not resumed:
                tell(TaskState.TASK_STARTING, None)
                self._preparing = preparing
                if self._outcome is not None:
                    return _KILLED_EARLY
            try:
                fit = await prepare(
                    self._assigned,
                    self._directory,
                    self._flags,
                    resumed=resumed,
                    now_ms=self._now_ms,
                    path=self._path,
                    forker=self._forker,
                    hierarchy=self._hierarchy,
                )
            except Unfit as error:
                return error.outcome or self._recorded_end()
        if preparing.cancelled_caught:
            return _KILLED_EARLY
        self._preparing = None
        return await self._supervise(fit, tell)

    async def _supervise(self, fit: Fit, tell: Tell) -> Outcome:
        """Runs the task until it is over, by itself or because a checker or somebody else wants it."""
        over = trio.Event()
        if self._outcome is not None and not fit.runner.active:
            fit.runner.kill(wait_s=self._kill_wait_s)  # as the executor before us, which told it so
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_task, fit.runner, over)
            nursery.start_soon(self._hold_to_limits, fit)
            async with trio.open_nursery() as checking:
                for checker in self._checkers(fit, tell):
                    checking.start_soon(self._heed, checker)
                await self._decided.wait()
                checking.cancel_scope.cancel()
            end = self._end
            if not over.is_set():
                self._write_verdict()
                await self._ask_to_end(fit, over)
                fit.runner.kill(wait_s=self._kill_wait_s)
                self._signalled = fit.runner
                await over.wait()
            nursery.cancel_scope.cancel()
        assert self._outcome is not None
        return self._outcome if end is None else Outcome(end.state, self._outcome.message)

    async def _ask_to_end(self, fit: Fit, over: trio.Event) -> None:
        self._asking.deadline = trio.current_time() + self._stop_timeout_s
        with self._asking:
            await ask_to_end(fit.instance.lifecycle, fit.bindings.ports, over, _log)
        if self._asking.cancelled_caught:
            _log.warning("Failed to stop runner within deadline.")

    def _checkers(self, fit: Fit, tell: Tell) -> list[Checker]:
        """None, and an end to the task, if one cannot be made."""

        def tell_running(message: str) -> None:
            if self._outcome is None:
                tell(TaskState.TASK_RUNNING, message)

        task = RunningTask(
            assigned=self._assigned,
            instance=fit.instance,
            hostname=fit.bindings.hostname,
            ports=fit.bindings.ports,
            directory=self._directory,
            user=fit.user,
            image=fit.image,
            flags=self._flags,
            state=lambda: fit.runner.state,
            active=lambda: fit.runner.active,
            oom_kills=fit.runner.oom_kills,
            tell_running=tell_running,
            helpers=fit.runner.helpers,
        )
        try:
            made = [make(task) for make in self._make_checkers]
        except CannotCheck as error:
            self._decide(Outcome(TaskState.TASK_FAILED, str(error)))
            return []
        except Exception:
            _log.exception("A status checker cannot be made.")
            self._decide(_INTERNAL_ERROR)
            return []
        return [checker for checker in made if checker is not None]

    async def _heed(self, checker: Checker) -> None:
        outcome = await checker()
        if outcome is not None:
            self._decide(outcome)

    async def _hold_to_limits(self, fit: Fit) -> None:
        """No checker, for it goes on to the very end: a task that was told to end may go on taking."""
        limits = Limits.of(fit.instance.task.resources, self._spare_ram)
        use = self._directory.sandbox, fit.runner.members, fit.runner.coordinators
        excess = await watch_resources(limits, *use)
        _log.error("%s", excess)
        self._decide(Outcome(TaskState.TASK_FAILED, str(excess)))
        if excess.resource == "disk":
            excess = await watch_resources(limits.stretched(), *use)
            _log.error("%s", excess)
        fit.runner.kill(wait_s=0)

    async def _run_task(self, runner: Runner, over: trio.Event) -> None:
        try:
            self._end = _ENDS[await runner.run()]
        except Exception as error:
            _log.exception("The runner failed.")
            await runner.put_down()
            self._record_failure()
            defect = isinstance(error, ExceptionGroup) and error.subgroup(AssertionError) is not None
            self._end = _BUG_IN_RUNNER if defect else _RUNNER_FAILED
        over.set()
        self._decide(self._end)

    def _write_verdict(self) -> None:
        """Before anything follows from it: processes that were told to end say nothing of why."""
        assert self._outcome is not None
        draft = self._paths.verdict.with_suffix(".new")
        try:
            draft.write_bytes(msgspec.json.encode(self._outcome))
            draft.rename(self._paths.verdict)
        except OSError as error:
            _log.warning("Cannot write down why the task ends: %s", error)

    def _read_verdict(self) -> Outcome | None:
        try:
            return msgspec.json.decode(self._paths.verdict.read_bytes(), type=Outcome)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.error("Cannot read why the task was to end: %s", error)
            return None

    def _record_failure(self) -> None:
        """For whoever reads the checkpoints: nobody goes on with the task."""
        try:
            record_end(self._paths, checkpoint.TaskState.LOST, self._now_ms)
        except (CheckpointError, OSError) as error:
            _log.error("Cannot record the end of the task: %s", error)

    def _recorded_end(self) -> Outcome:
        """What the checkpoints say of a task that is over, or that another runner holds."""
        try:
            state = checkpoint.replay(checkpoint.read_stream(self._paths.runner)).state
        except (CheckpointError, OSError):
            return _UNREADABLE
        if state is None:
            return _UNREADABLE
        return (self._read_verdict() if state.terminal else None) or _ENDS.get(state, _UNREADABLE)


async def _relay(updates: trio.MemoryReceiveChannel[tuple[TaskState, str | None]], report: Report) -> None:
    async with updates:
        async for state, message in updates:
            await report(state, message)
