"""Running one task: launches what the planner allows, follows it, cleans up, finalizes (thermos-runner sheet, 5-11).

The runner owns its process: whatever descends from it belongs to the task and is ended with it. Whatever happens is
on record before anything follows from it.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import trio

from aurorad import procfs
from aurorad.cgroups import TaskGroup
from aurorad.pace import Pace
from aurorad.procfs import ProcessInfo
from executor.checkpoint import (
    CheckpointError,
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    RunnerState,
    TaskState,
)
from executor.environment import Place, UserError
from executor.forker import Forker
from executor.images import Image
from executor.ladder import Ladder
from executor.ledger import Ledger
from executor.logger import DEFAULT_LOGGER, InvalidLogger, LoggerSettings
from executor.paths import LOGS, TaskPaths, log_directory
from executor.planner import MAX_RUNS, Plan, Progress
from executor.process import Coordinator, Launch, fork_coordinator
from executor.sandbox import User
from executor.task import Process, Task

KILL_WAIT_S = 60.0  # from a kill to SIGKILL, finalizing processes included
_FORKED_LIMIT_S = 60.0  # a coordinator that has not started its command by then never will
_POLL_S = 1.0  # for what nobody tells us of
_IDLE_S = 15.0  # so often the stream's time tells others that a runner is there, if nothing else does
_DEATH_LIMIT_S = 10.0  # SIGKILL works at once, but for a process that the kernel holds
_DEATH_POLL_S = 0.01
_LAUNCHES_PER_PASS = 8  # so that the event loop is not held while hundreds are forked


class Runner:
    """Runs `task` under `paths`, or goes on with what a runner before left there.

    Constructing it changes nothing. `take_control`, then `run` once. `path` is the PATH of the task's processes; with
    `preserve_env` they find all of our environment. `logger` is for processes without one of their own. `chroot` makes
    the sandbox all that they see, an `image` that; a control `group` holds them. A process that ran `max_runs` times is
    failed (0: no limit).
    """

    def __init__(
        self,
        task: Task,
        paths: TaskPaths,
        header: RunnerHeader,
        user: User,
        *,
        now_ms: Callable[[], int],
        log: logging.Logger,
        path: str | None = None,
        logger: LoggerSettings = DEFAULT_LOGGER,
        preserve_env: bool = False,
        chroot: bool = False,
        image: Image | None = None,
        group: TaskGroup | None = None,
        max_runs: int = MAX_RUNS,
        forker: Forker | None = None,
    ) -> None:
        self._task, self._header, self._user, self._image = task, header, user, image
        self._paths, self._now_ms, self._log, self._path, self._group = paths, now_ms, log, path, group
        self._logger, self._preserve_env, self._chroot = logger, preserve_env, chroot
        self._sandbox = Path(header.sandbox) if header.sandbox else None
        self._log_base = _log_base(header)
        self._processes = {process.name: process for process in task.processes}
        self._regular, self._final = (Progress(Plan.of(task, final=final), max_runs) for final in (False, True))
        self._regular_names = [process.name for process in task.processes if not process.final]
        self._ledger = Ledger(paths, self._processes, now_ms, log)
        self._since_s = math.inf
        self._watched: set[str] = set()  # processes whose coordinator has not ended
        self._cleaning_since_s: float | None = None
        self._left = 0  # alive when they were last told to end
        self._told_s = -math.inf
        self._forced: TaskState | None = None
        self._kill_deadline_s = math.inf
        self._changed = trio.Event()
        self._forker = forker
        self.helpers = (
            set() if forker is None else {forker.pid}
        )  # pids of children of this process that are not the task's

    @property
    def state(self) -> RunnerState:
        """All that is on record now."""
        return self._ledger.snapshot()

    @property
    def active(self) -> bool:
        """Whether the regular plan is still being run, and nobody asked for its end."""
        return self._ledger.state == TaskState.ACTIVE and self._forced is None

    def members(self) -> Iterator[int]:
        """The task's processes now, found at little cost: its control group, or what descends from us."""
        if self._group is not None:
            yield from self._group.pids()
            return
        coordinators = self.coordinators()
        seen: set[int] = set()
        for root in (os.getpid(), *coordinators):  # those of a runner before us do not descend from us
            if root not in seen:
                for process in procfs.tree(root):
                    seen.add(process.pid)
                    if process.pid not in coordinators and process.pid not in self.helpers:
                        yield process.pid

    def coordinators(self) -> set[int]:
        """Those that are alive."""
        live = (run.coordinator_pid for run in self._ledger.live() if run.process in self._watched)
        return {pid for pid in live if pid is not None}

    def oom_kills(self) -> int | None:
        """As `TaskGroup.oom_kills`; None without a control group."""
        return None if self._group is None else self._group.oom_kills()

    def take_control(self) -> None:
        """Becomes the task's one runner. Raises as `Ledger.open`."""
        self._ledger.open(self._task, self._header)
        procfs.become_subreaper()
        before = bool(self._ledger.last_runs()) and not (self._group is not None and self._group.exists)
        self._group = self._made(self._group)
        directory = self._paths.root.absolute().parent
        self._ladder = Ladder(self._ledger.last_runs, self.helpers, directory, self._group, scanning=before)
        self._since_s = trio.current_time()
        for name in self._processes:
            for run in self._ledger.runs(name):
                self._take_note(run)

    def kill(self, state: TaskState = TaskState.KILLED, wait_s: float = KILL_WAIT_S) -> None:
        """End the task as `state` within `wait_s` seconds: SIGTERM, finalizing processes, SIGKILL. May come again."""
        if self._ledger.state.terminal:
            self._log.warning("Task is not in ACTIVE state, cannot issue kill.")
            return
        self._forced = self._forced or state
        self._kill_deadline_s = min(self._kill_deadline_s, trio.current_time() + wait_s)
        self._changed.set()

    def _made(self, group: TaskGroup | None) -> TaskGroup | None:
        try:
            if group is not None:
                group.make()
        except OSError as error:
            self._log.warning("The task has no control group of its own: %s", error)
            return None
        return group

    async def put_down(self) -> None:
        """SIGKILL until nothing of the task is alive, and nothing recorded: for when the runner itself has failed."""
        if left := await self._ladder.end(_DEATH_LIMIT_S):
            self._log.error("Processes %s do not die.", left)

    async def run(self) -> TaskState:
        """Until the task is over; gives its terminal state, and nothing of it is alive then.

        Cancelled, it sends no signal: processes and their coordinators go on, and another runner may take control.
        """
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._reap)
                self._adopt(nursery)
                nursery.start_soon(self._watch_forker)
                while not (state := self._ledger.state).terminal:
                    self._changed = trio.Event()
                    wait_s = await self._pass(state, nursery)
                    await trio.lowlevel.checkpoint()
                    with trio.move_on_after(min(wait_s, _IDLE_S)) as idle:
                        await self._changed.wait()
                    if idle.cancelled_caught:
                        self._ledger.touch()
                nursery.cancel_scope.cancel()
            return state
        finally:
            self._ledger.close()
            if self._group is not None:
                self._group.remove()  # if it is empty

    # The stages

    async def _pass(self, state: TaskState, nursery: trio.Nursery) -> float:
        """Does what is due. Seconds until something is due again by itself."""
        if state == TaskState.ACTIVE:
            return self._active(nursery)
        if self._cleaning_since_s is None:  # a runner before us got this far
            self._cleaning_since_s = self._since_s
        if state == TaskState.CLEANING:
            return await self._cleaning(self._cleaning_since_s)
        return await self._finalizing(self._cleaning_since_s, nursery)

    def _active(self, nursery: trio.Nursery) -> float:
        if self._forced is None and not self._regular.complete and self._healthy():
            return self._start(self._regular, nursery)
        self._ledger.enter(TaskState.CLEANING)
        self._cleaning_since_s = trio.current_time()
        return 0.0

    async def _cleaning(self, since_s: float) -> float:
        now_s = trio.current_time()
        left_s = self._deadline_s(since_s) - now_s
        busy = bool(self._regular.running)
        if not busy or now_s - self._told_s >= _POLL_S:
            await self._tell_to_end()
        # Stragglers whose runs are over, daemons that escaped their session, may not use up the finalizers' time.
        if not busy and (left_s <= now_s - since_s or not self._left):
            await self._kill_all()
            self._ledger.enter(TaskState.FINALIZING)
        elif left_s <= 0:
            self._log.warning("Exceeded finalization wait, skipping finalization.")
            await self._finish()
        else:
            return min(left_s, _POLL_S)
        return 0.0

    async def _finalizing(self, since_s: float, nursery: trio.Nursery) -> float:
        left_s = self._deadline_s(since_s) - trio.current_time()
        if not self._final.complete and not self._final.deadlocked and left_s > 0:
            return min(left_s, self._start(self._final, nursery))
        if self._final.deadlocked:
            self._log.warning("Finalizing plan deadlocked.")
        elif not self._final.complete:
            self._log.warning("Exceeded finalization wait, terminating finalization.")
        await self._finish()
        return 0.0

    async def _finish(self) -> None:
        await self._kill_all()
        self._ledger.enter(self._forced or (TaskState.SUCCESS if self._healthy() else TaskState.FAILED))

    def _deadline_s(self, since_s: float) -> float:
        """The end of CLEANING and FINALIZING together; a kill's own replaces the task's (sheet, section 7.1)."""
        return since_s + self._task.finalization_wait if self._forced is None else self._kill_deadline_s

    def _healthy(self) -> bool:
        limit = self._task.max_failures
        return not self._regular.deadlocked and (limit == 0 or len(self._regular.failed) < limit)

    # Starting processes

    def _start(self, plan: Progress, nursery: trio.Nursery) -> float:
        """Launches what may run now. Seconds until the next may."""
        now_s = trio.current_time()
        free = min((self._task.max_concurrency or math.inf) - len(plan.running), _LAUNCHES_PER_PASS)
        startable = (name for name in plan.runnable(now_s) if name not in self._watched)
        batch = list(itertools.islice(startable, max(0, int(free))))
        for name in batch:
            self._launch(self._processes[name], nursery)
        if self._forker is not None and all(map(self._ledger.runs, self._regular_names)):
            self._forker.dismiss()  # few processes run again, or at the end; those are forked here
        return 0.0 if batch else plan.next_s(now_s)

    def _launch(self, process: Process, nursery: trio.Nursery) -> None:
        last = self._ledger.last(process.name)
        if last is None or last.state != ProcessState.WAITING:
            self._ledger.step(process.name, ProcessState.WAITING)
        try:
            coordinator = self._fork(process)
        except (OSError, CheckpointError, UserError, InvalidLogger) as error:
            self._log.error("Failed to launch process %s: %s", process.name, error)
            self._step(process.name, ProcessState.FAILED)
            return
        self._watched.add(process.name)
        nursery.start_soon(self._watch, process.name, coordinator.pidfd, coordinator.pipe)

    def _fork(self, process: Process) -> Coordinator:
        """A coordinator at work. Whatever it raises, no command was started."""
        name = process.name
        place = Place.of(self._user, self._sandbox, chroot=self._chroot, image=self._image)
        launch = Launch(
            process=name,
            cmdline=process.cmdline,
            place=place,
            environment=place.variables(self._path, os.environ if self._preserve_env else {}),
            logs=log_directory(self._log_base, name, len(self._ledger.runs(name)) - 1),
            logger=self._logger.for_process(process),
            group=self._group,
        )
        stream = self._ledger.coordinator(name)
        try:
            seq, fork_time = self._ledger.next_seq(name), self._now_ms() / 1000
            fork = fork_coordinator if self._forker is None else self._forker.fork
            coordinator = fork(launch, stream, seq)
            try:
                pid = coordinator.pid
                forked = ProcessStatus(seq, name, ProcessState.FORKED, coordinator_pid=pid, fork_time=fork_time)
                stream.append(RunnerCkpt(process_status=forked))
                self._collect(name)
            except BaseException:
                coordinator.abandon()
                raise
        finally:
            stream.close()
        self._ladder.started(coordinator.pid)
        coordinator.release()
        return coordinator

    # Following them

    def _adopt(self, nursery: trio.Nursery) -> None:
        """Follows the coordinators that a runner before us left behind."""
        for name in self._processes:
            self._collect(name)
        live = {run.process: run for run in self._ledger.live()}
        for name in self._processes:
            pidfd = self._ledger.open_coordinator(live[name]) if name in live else None
            if pidfd is not None:
                nursery.start_soon(self._watch, name, pidfd, None)
            elif name in live or self._ledger.is_held(name):
                nursery.start_soon(self._lay_to_rest, name)
            else:
                continue
            self._watched.add(name)

    async def _watch(self, name: str, pidfd: int, pipe: int | None) -> None:
        """Follows a coordinator to its end; `pipe` tells of news, if we forked it. Both are ours to close."""
        give_up_s = trio.current_time() + _FORKED_LIMIT_S
        try:
            over = False
            while not over:
                last = self._ledger.last(name)
                forked = last is not None and last.state == ProcessState.FORKED
                with trio.move_on_after(_POLL_S if forked else math.inf):
                    await trio.lowlevel.wait_readable(pidfd if pipe is None else pipe)
                    over = pipe is None or not os.read(pipe, 512)
                if over:  # only a dead coordinator has surely given its stream back
                    await trio.lowlevel.wait_readable(pidfd)
                self._collect(name)
                if forked and trio.current_time() > give_up_s:
                    self._lose(name)
        finally:
            os.close(pidfd)
            if pipe is not None:
                os.close(pipe)
        await self._lay_to_rest(name)

    async def _lay_to_rest(self, name: str) -> None:
        """Its coordinator has ended: nothing of the run may be alive when its end is on record and the next begins."""
        limit_s = trio.current_time() + _DEATH_LIMIT_S
        while self._ledger.is_held(name) and trio.current_time() < limit_s:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(_DEATH_POLL_S)
        self._collect(name)
        dying: list[ProcessInfo] = []
        # In CLEANING everything was told to end and may take its time.
        while (run := self._ledger.last(name)) is not None and self._ledger.state != TaskState.CLEANING:
            if run.state.live:
                dying += await self._ladder.end_family(run)
                self._ladder.end_run(run)
            if not await self._ladder.end_rest(run) and not any(map(procfs.is_alive, dying)):
                break
            if trio.current_time() > limit_s:
                self._log.error("What is left of process %s does not die.", name)
                break
            await trio.sleep(_DEATH_POLL_S)
        self._conclude(name)
        self._lose(name)
        self._watched.discard(name)
        self._changed.set()

    async def _watch_forker(self) -> None:
        """Once it has ended its pid may be that of a process of the task."""
        if self._forker is not None:
            await trio.lowlevel.wait_readable(self._forker.pidfd)
            if not self._forker.dismissed:
                self._log.warning("The process that forks coordinators was killed; they are forked here from now on.")
            self.helpers.discard(self._forker.pid)

    def _collect(self, name: str) -> None:
        """Takes over what the coordinator wrote, but for the end of its run."""
        for status in self._ledger.collect(name):
            self._take_note(status)
            if status.state == ProcessState.RUNNING and self._ledger.state == TaskState.CLEANING:
                self._told_s = -math.inf  # it was not there yet when the others were told
        self._changed.set()

    def _conclude(self, name: str) -> None:
        """Takes over the end that the coordinator wrote."""
        if (end := self._ledger.conclude(name)) is not None:
            self._take_note(end)

    def _lose(self, name: str) -> None:
        """A coordinator that ended without a last word leaves its run LOST."""
        run = self._ledger.last(name)
        if run is not None and run.state.live:
            self._ladder.kill_live(run)
            self._ladder.end_run(run)
            self._step(name, ProcessState.LOST)

    def _step(self, name: str, state: ProcessState, stop_time: float | None = None, code: int | None = None) -> None:
        """A run that ends by our word."""
        self._take_note(self._ledger.step(name, state, stop_time, code))

    def _take_note(self, run: ProcessStatus) -> None:
        """What is on record of a run, for the planner."""
        plan = self._final if self._processes[run.process].final else self._regular
        if run.state.live:
            plan.started(run.process)
        elif run.state.terminal:
            plan.ended(run.process, run.state, trio.current_time())

    # Ending all

    async def _tell_to_end(self) -> None:
        """Each living process, once. Some come late: forks in the making, heirs of others."""
        self._told_s = trio.current_time()
        self._left = await self._ladder.tell_to_end()

    async def _kill_all(self) -> None:
        """Ends whatever is alive. Runs that were alive are KILLED, those that only seemed so LOST."""
        pace = Pace()
        for name in [run.process for run in self._ledger.live()]:
            self._collect(name)
            self._conclude(name)
            run = self._ledger.last(name)
            if run is not None and run.state.live:
                if self._ladder.kill_live(run):
                    self._step(name, ProcessState.KILLED, self._now_ms() / 1000, -1)
                else:
                    self._step(name, ProcessState.LOST)
            await pace.breathe()
        await self.put_down()

    async def _reap(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGCHLD) as signals:
            task_status.started()
            procfs.reap()
            async for _ in signals:
                pace = Pace()
                while procfs.reap_one():  # thousands, maybe
                    await pace.breathe()
                self._changed.set()


def _log_base(header: RunnerHeader) -> Path:
    """Where logs are, seen from the sandbox if they are in it."""
    if header.sandbox is None:
        return Path(header.log_dir or LOGS)
    base = Path(header.log_dir or Path(header.sandbox, LOGS))
    return base.relative_to(header.sandbox) if base.is_relative_to(header.sandbox) else base
