"""Running one task: launches what the planner allows, follows it, cleans up, finalizes (thermos-runner sheet, 5-11).

The runner owns its process: it must be its only child-bearing part, since whatever descends from it belongs to the
task and is ended with it. Whatever happens is first appended to the runner's stream.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import trio

from executor import ladder, procfs
from executor.checkpoint import (
    CheckpointError,
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    RunnerState,
    Story,
    StreamReader,
    StreamWriter,
    TaskState,
    TaskStatus,
)
from executor.paths import LOGS, PROFILE, TaskPaths, log_directory
from executor.planner import History, Plan, Standing, stand
from executor.process import Destination, Launch, environment_for, fork_coordinator, release
from executor.sandbox import User
from executor.task import Process, Task, to_json

KILL_WAIT_S = 60.0  # from a kill to SIGKILL, finalizing processes included
_FORKED_LIMIT_S = 60.0  # a coordinator that has not started its command by then never will
_POLL_S = 1.0  # for what nobody tells us of
_DEATH_LIMIT_S = 10.0  # SIGKILL works at once, but for a process that the kernel holds
_LAUNCHES_PER_PASS = 8  # so that the event loop is not held while hundreds are forked
_LIVE = (ProcessState.FORKED, ProcessState.RUNNING)


class TaskDiffers(Exception):
    """The task on disk under this id is another one."""


class Runner:
    """Runs `task` under `paths`, or goes on with what a runner before left there.

    Constructing it changes nothing. `take_control`, then `run` once. `path` is the PATH of the task's processes.
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
    ) -> None:
        self._task, self._paths, self._header, self._user = task, paths, header, user
        self._now_ms, self._log, self._path = now_ms, log, path
        self._sandbox = Path(header.sandbox or "")
        self._log_base = Path(header.log_dir or self._sandbox / LOGS)
        self._regular, self._final = Plan.of(task, final=False), Plan.of(task, final=True)
        self._story = Story(recovering=True)
        self._readers = {p.name: StreamReader(paths.coordinator(p.name)) for p in task.processes}
        self._ended_s: dict[str, float] = {}
        self._watched: set[str] = set()  # processes whose coordinator has not ended
        self._cleaning_since_s = math.inf
        self._forced: TaskState | None = None
        self._kill_deadline_s = math.inf
        self._changed = trio.Event()
        self._writer: StreamWriter | None = None

    @property
    def state(self) -> RunnerState:
        """All that is on record now."""
        return self._story.snapshot()

    def take_control(self) -> None:
        """Becomes the task's one runner: locks its stream and brings it up to date.

        Raises `CheckpointError` if another runner holds it or the task is over, `TaskDiffers`, `OSError`.
        """
        writer = StreamWriter(self._paths.runner)
        try:
            reader = StreamReader(self._paths.runner)
            for record in reader.read():
                self._story.apply(record)
            self._story.recovering = False
            writer.cut(reader.offset)
            statuses = self._story.statuses
            if (statuses and statuses[-1].state.terminal) or self._paths.finished.exists():
                self._retire()
                raise CheckpointError("Cannot take control of a task in terminal state.")
            self._describe()
            self._writer = writer
            self._enter(statuses[-1].state if statuses else TaskState.ACTIVE)
            if self._story.header is None:
                self._record(RunnerCkpt(runner_header=self._header))
            procfs.become_subreaper()
        except BaseException:
            self._writer = None
            writer.close()
            raise

    def kill(self, state: TaskState = TaskState.KILLED, wait_s: float = KILL_WAIT_S) -> None:
        """End the task as `state` within `wait_s` seconds: SIGTERM, finalizing processes, SIGKILL. May come again."""
        self._forced = self._forced or state
        self._kill_deadline_s = min(self._kill_deadline_s, trio.current_time() + wait_s)
        self._changed.set()

    def put_down(self) -> None:
        """SIGKILL to everything, nothing recorded: for when the runner itself has failed."""
        procfs.send(self._everything(), signal.SIGKILL)

    async def run(self) -> TaskState:
        """Until the task is over; gives its terminal state, and nothing of it is alive then.

        Cancelled, it sends no signal: processes and their coordinators go on, and another runner may take control.
        """
        assert self._writer is not None, "take_control comes first"
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._reap)
                self._adopt(nursery)
                while not (state := self._task_state).terminal:
                    self._changed = trio.Event()
                    wait_s = await self._pass(state, nursery)
                    await trio.lowlevel.checkpoint()
                    with trio.move_on_after(wait_s):
                        await self._changed.wait()
                nursery.cancel_scope.cancel()
            return state
        finally:
            self._writer.close()

    # What is on record

    @property
    def _task_state(self) -> TaskState:
        return self._story.statuses[-1].state

    def _record(self, record: RunnerCkpt) -> None:
        assert self._writer is not None
        self._story.apply(record)
        self._writer.append(record)

    def _enter(self, state: TaskState) -> None:
        self._log.info("Task %s: %s", self._paths.task_id, state.name)
        self._record(RunnerCkpt(task_status=TaskStatus(state, self._now_ms(), os.getpid(), os.getuid())))

    def _step(
        self, process: str, state: ProcessState, stop_time: float | None = None, return_code: int | None = None
    ) -> None:
        last = self._story.last(process)
        seq = 0 if last is None else last.seq + 1
        self._log.info("Process %s: %s", process, state.name)
        status = ProcessStatus(seq, process, state, stop_time=stop_time, return_code=return_code)
        self._record(RunnerCkpt(process_status=status))
        if state.terminal:
            self._ended_s[process] = trio.current_time()

    def _describe(self) -> None:
        """The task's description, beside its stream, for whoever looks on."""
        text = to_json(self._task)
        if self._paths.active.exists():
            if (on_disk := self._paths.active.read_bytes()) != text:
                raise TaskDiffers(f"Task differs from on disk copy: {on_disk.decode()} vs {text.decode()}")
            return
        for directory in (self._paths.active.parent, self._paths.finished.parent):
            directory.mkdir(parents=True, exist_ok=True)
        draft = self._paths.active.with_name(f".{self._paths.task_id}")
        draft.write_bytes(text)
        draft.rename(self._paths.active)

    def _retire(self) -> None:
        if self._paths.active.exists():
            self._paths.active.rename(self._paths.finished)
            os.utime(self._paths.finished)

    # The stages

    async def _pass(self, state: TaskState, nursery: trio.Nursery) -> float:
        """Does what is due. Seconds until something is due again by itself."""
        if state == TaskState.ACTIVE:
            return self._active(nursery)
        if self._cleaning_since_s == math.inf:  # a runner before us got this far
            self._cleaning_since_s = trio.current_time()
            if state == TaskState.CLEANING:
                self._clean()
        if state == TaskState.CLEANING:
            return await self._cleaning()
        return await self._finalizing(nursery)

    def _active(self, nursery: trio.Nursery) -> float:
        standing = self._standing(self._regular)
        if self._forced is not None or standing.complete or not self._healthy(standing):
            self._enter(TaskState.CLEANING)
            self._clean()
            return 0.0
        return self._start(standing, nursery)

    def _clean(self) -> None:
        self._cleaning_since_s = trio.current_time()
        procfs.send(self._everything(), signal.SIGTERM)

    async def _cleaning(self) -> float:
        now_s = trio.current_time()
        left_s = self._deadline_s - now_s
        if not self._live() and not self._everything():
            await self._finalize()
            return 0.0
        if left_s <= 0:
            self._log.warning("Exceeded finalization wait, skipping finalization.")
            await self._finish()
            return 0.0
        # Stragglers whose runs are over, a daemon that escaped its session say, may not use up the finalizers' time.
        if not self._live() and left_s <= now_s - self._cleaning_since_s:
            await self._finalize()
            return 0.0
        return min(left_s, _POLL_S)

    async def _finalize(self) -> None:
        await self._kill_all()
        self._enter(TaskState.FINALIZING)

    async def _finalizing(self, nursery: trio.Nursery) -> float:
        standing = self._standing(self._final)
        left_s = self._deadline_s - trio.current_time()
        if standing.complete or standing.deadlocked or left_s <= 0:
            if standing.deadlocked:
                self._log.warning("Finalizing plan deadlocked.")
            elif not standing.complete:
                self._log.warning("Exceeded finalization wait, terminating finalization.")
            await self._finish()
            return 0.0
        return min(left_s, self._start(standing, nursery))

    async def _finish(self) -> None:
        healthy = self._healthy(self._standing(self._regular))
        await self._kill_all()
        self._enter(self._forced or (TaskState.SUCCESS if healthy else TaskState.FAILED))
        self._retire()

    @property
    def _deadline_s(self) -> float:
        """The end of CLEANING and FINALIZING together; a kill's own replaces the task's (sheet, section 7.1)."""
        if self._forced is not None:
            return self._kill_deadline_s
        return self._cleaning_since_s + self._task.finalization_wait

    def _standing(self, plan: Plan) -> Standing:
        never = -math.inf
        runs = self._story.processes
        histories = {n: History.of(runs[n], self._ended_s.get(n, never)) for n in plan.processes if n in runs}
        return stand(plan, histories, trio.current_time())

    def _healthy(self, standing: Standing) -> bool:
        limit = self._task.max_failures
        return not standing.deadlocked and (limit == 0 or len(standing.failed) < limit)

    # Starting and following processes

    def _start(self, standing: Standing, nursery: trio.Nursery) -> float:
        free = self._task.max_concurrency - len(standing.running) if self._task.max_concurrency else math.inf
        ready = [name for name in standing.runnable if name not in self._watched]
        batch = ready[: int(max(0, min(free, _LAUNCHES_PER_PASS)))]
        for name in batch:
            self._launch((self._regular.processes | self._final.processes)[name], nursery)
        return 0.0 if batch else standing.next_s

    def _launch(self, process: Process, nursery: trio.Nursery) -> None:
        last = self._story.last(process.name)
        if last is None or last.state != ProcessState.WAITING:
            self._step(process.name, ProcessState.WAITING)
        try:
            pipe = self._fork(process)
        except (OSError, CheckpointError) as error:
            self._log.error("Failed to launch process %s: %s", process.name, error)
            self._step(process.name, ProcessState.FAILED)
            return
        self._watched.add(process.name)
        nursery.start_soon(self._watch, process.name, pipe, _at_end)

    def _fork(self, process: Process) -> int:
        """The pipe that tells of new records. Raises `OSError` or `CheckpointError` before anything was forked."""
        name = process.name
        run = len(self._story.processes[name]) - 1
        launch = Launch(
            process=name,
            cmdline=process.cmdline,
            sandbox=self._sandbox,
            environment=environment_for(self._sandbox, self._user, self._sandbox / PROFILE, self._path),
            user=self._user,
            logs=log_directory(self._log_base, name, run),
            destination=self._destination(process),
        )
        stream = StreamWriter(self._paths.coordinator(name))
        try:
            reader = self._readers[name]
            reader.read()
            stream.cut(reader.offset)
            seq = self._story.processes[name][-1].seq + 1
            forked_ms = self._now_ms()
            coordinator = fork_coordinator(launch, stream, seq)
            try:
                forked = ProcessStatus(
                    seq, name, ProcessState.FORKED, coordinator_pid=coordinator.pid, fork_time=forked_ms / 1000
                )
                stream.append(RunnerCkpt(process_status=forked))
                self._collect(name)
            except BaseException:
                os.close(coordinator.go)
                os.close(coordinator.pipe)
                raise
        finally:
            stream.close()
        release(coordinator)
        return coordinator.pipe

    def _destination(self, process: Process) -> Destination:
        logger = process.logger
        if logger is None:
            return "file"
        if logger.destination == "both" or logger.mode == "rotate":
            self._log.warning(
                "Process %s: logs go to plain files; 'both' and 'rotate' are not yet there.", process.name
            )
        return "file" if logger.destination == "both" else logger.destination

    def _adopt(self, nursery: trio.Nursery) -> None:
        """Follows the coordinators that a runner before us left behind."""
        for name in self._readers:
            self._collect(name)
        for run in self._live():
            among = procfs.processes()
            if ladder.is_ours(run.coordinator_pid, run.fork_time, among):
                assert run.coordinator_pid is not None
                self._watched.add(run.process)
                nursery.start_soon(self._watch, run.process, os.pidfd_open(run.coordinator_pid), _always)
            else:
                self._collect(run.process)
                self._lose(run.process)

    async def _watch(self, name: str, fd: int, ended: Callable[[int], bool]) -> None:
        """Follows a coordinator to its end. `fd`, which is ours now, is readable when there may be news."""
        try:
            over = False
            while not over:
                last = self._story.last(name)
                forked = last is not None and last.state == ProcessState.FORKED
                with trio.move_on_after(_POLL_S if forked else math.inf):
                    await trio.lowlevel.wait_readable(fd)
                    over = ended(fd)
                self._collect(name)
                if forked and last and self._now_ms() / 1000 - (last.fork_time or 0) > _FORKED_LIMIT_S:
                    self._lose(name)
            self._lose(name)
        finally:
            os.close(fd)
        self._watched.discard(name)
        self._changed.set()

    def _collect(self, name: str) -> None:
        """Takes over what the coordinator wrote since the last time."""
        for record in self._readers[name].read():
            status, last = record.process_status, self._story.last(name)
            if status is None or last is None or status.seq <= last.seq:
                continue
            self._log.info("Process %s: %s", name, status.state.name)
            self._record(record)
            if (
                status.state == ProcessState.RUNNING
                and self._task_state != TaskState.ACTIVE
                and not self._is_final(name)
            ):
                procfs.send([status.pid or 0], signal.SIGTERM)  # it came too late for the first
            if status.state.terminal:
                self._after_run(name)
        self._changed.set()

    def _after_run(self, name: str) -> None:
        self._ended_s[name] = trio.current_time()
        run = self._story.last(name)
        # In CLEANING everything was told to end and may take its time.
        if run is not None and self._task_state != TaskState.CLEANING:
            ladder.kill_run(run)

    def _lose(self, name: str) -> None:
        """A coordinator that ended without a last word leaves its run LOST."""
        run = self._story.last(name)
        if run is not None and run.state in _LIVE:
            ladder.kill_run(run)
            self._step(name, ProcessState.LOST)

    def _is_final(self, name: str) -> bool:
        return name in self._final.processes

    # Ending

    def _live(self) -> list[ProcessStatus]:
        return [runs[-1] for runs in self._story.processes.values() if runs[-1].state in _LIVE]

    def _everything(self) -> set[int]:
        """Every living process of the task but the coordinators, which only tell what becomes of it."""
        last_runs = [runs[-1] for runs in self._story.processes.values()]
        found = ladder.task_members(last_runs, procfs.processes())
        return found - {run.coordinator_pid for run in last_runs if run.coordinator_pid is not None}

    async def _kill_all(self) -> None:
        """SIGKILL until nothing of the task is alive. Runs that were are KILLED, those that only seemed so LOST."""
        for name in self._readers:
            self._collect(name)
        for run in self._live():
            killed = ladder.kill_run(run)
            if killed:
                self._step(run.process, ProcessState.KILLED, self._now_ms() / 1000, -1)
            else:
                self._step(run.process, ProcessState.LOST)
        limit_s = trio.current_time() + _DEATH_LIMIT_S
        while left := self._everything():
            if trio.current_time() > limit_s:
                self._log.error("Processes %s do not die.", sorted(left))
                return
            procfs.send(left, signal.SIGKILL)
            changed = self._changed = trio.Event()
            with trio.move_on_after(_POLL_S / 10):
                await changed.wait()

    async def _reap(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGCHLD) as signals:
            task_status.started()
            procfs.reap()
            async for _ in signals:
                procfs.reap()
                self._changed.set()


def _at_end(pipe: int) -> bool:
    return not os.read(pipe, 512)


def _always(pidfd: int) -> bool:
    return True
