"""Whether what is on record of a task obeys the rules, told by nothing but the record (thermos-runner sheet, 4-7).

The rules are written down here once more, as plainly as they can be: everything is counted anew at every step.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from executor.checkpoint import ProcessState, ProcessStatus, RunnerCkpt, Story, TaskState, TaskStatus
from executor.task import Process, Task

S, F = ProcessState.SUCCESS, ProcessState.FAILED
ROUNDING_S = 0.002  # times of forks are whole milliseconds


class Judge:
    """Reads the records one by one and raises `AssertionError` at the first that must not be.

    `killed` are the states that somebody asked for. Of a simulation, `ended_s` says when the runs of a process ended,
    and `exact` that nothing takes time but what shall: whoever may start then must start at once.
    """

    def __init__(
        self,
        task: Task,
        killed: Sequence[TaskState] = (),
        ended_s: Mapping[str, Sequence[float]] | None = None,
        exact: bool = False,
        max_runs: int = 100,
    ) -> None:
        self.task = task
        self.processes = {process.name: process for process in task.processes}
        self.killed, self.ended_s, self.exact, self.max_runs = killed, ended_s, exact, max_runs
        self.story = Story()
        self.stage: TaskState | None = None
        self.began_s = self.last_end_s = -math.inf
        self.ends: dict[str, list[ProcessState]] = defaultdict(list)
        self.ends_s: dict[str, list[float]] = defaultdict(list)
        self.running: set[str] = set()

    def hear(self, records: Sequence[RunnerCkpt]) -> TaskState:
        """The state in which the task ended."""
        for record in records:
            self.story.apply(record)  # which knows the steps that single processes may take
            if record.task_status is not None:
                self._enter(record.task_status)
            elif record.process_status is not None:
                self._step(record.process_status)
        assert self.stage is not None
        assert self.stage.terminal, "it ends"
        assert not self.running, "nothing runs on"
        return self.stage

    # What the rules say

    def over(self, name: str) -> str | None:
        process, ends = self.processes[name], self.ends[name]
        if S in ends and not process.daemon:
            return "finished"
        if process.max_failures and ends.count(F) >= process.max_failures:
            return "finished" if process.ephemeral else "failed"
        return "failed" if len(ends) >= self.max_runs else None

    def needs(self, name: str) -> set[str]:
        orders = [constraint.order for constraint in self.task.constraints]
        return {order[i - 1] for order in orders for i in range(1, len(order)) if order[i] == name}

    def may_run(self, process: Process) -> bool:
        met = all(self.over(other) == "finished" for other in self.needs(process.name))
        return met and self.over(process.name) is None and process.name not in self.running

    def plan(self, final: bool) -> list[Process]:
        return [process for process in self.processes.values() if process.final == final]

    def complete(self, final: bool) -> bool:
        return all(process.ephemeral or self.over(process.name) for process in self.plan(final))

    def stuck(self, final: bool) -> bool:
        busy = any(process.name in self.running or self.may_run(process) for process in self.plan(final))
        return not busy and not self.complete(final)

    @property
    def healthy(self) -> bool:
        failed = sum(self.over(process.name) == "failed" for process in self.plan(False))
        return not self.stuck(False) and (self.task.max_failures == 0 or failed < self.task.max_failures)

    # What happens

    def _enter(self, status: TaskStatus) -> None:
        before, self.stage = self.stage, status.state
        if before == status.state or before is None:
            assert before is not None or status.state == TaskState.ACTIVE
            self.began_s = max(self.began_s, status.timestamp_ms / 1000)  # a runner that takes over waits anew
        elif status.state == TaskState.CLEANING:
            assert before == TaskState.ACTIVE
            assert self.killed or self.complete(False) or not self.healthy, "it had not come to its end"
        elif status.state == TaskState.FINALIZING:
            assert before == TaskState.CLEANING
            assert not self.running
            self.began_s = status.timestamp_ms / 1000
        else:
            assert before in (TaskState.CLEANING, TaskState.FINALIZING)
            by_itself = TaskState.SUCCESS if self.healthy else TaskState.FAILED
            assert status.state in (self.killed or [by_itself])

    def _step(self, status: ProcessStatus) -> None:
        name = status.process
        if status.state == ProcessState.FORKED:
            assert status.fork_time is not None
            self._start(self.processes[name], status.fork_time)
        elif status.state.terminal:
            self.running.discard(name)
            self.ends[name].append(status.state)
            if self.ended_s is not None:
                self.ends_s[name].append(self.ended_s[name][len(self.ends_s[name])])
            else:
                self.ends_s[name].append(status.stop_time or -math.inf)
            self.last_end_s = self.ends_s[name][-1]

    def _start(self, process: Process, at_s: float) -> None:
        name = process.name
        final = self.stage == TaskState.FINALIZING
        assert final or self.stage == TaskState.ACTIVE, "nothing starts while the task is cleaned up"
        assert process.final == final, "each plan has its time"
        assert self.may_run(process), f"{name} may not run"
        assert final or self.healthy, "no more is started of a task that has failed"
        running = sum(self.processes[other].final == final for other in self.running)
        assert not self.task.max_concurrency or running < self.task.max_concurrency
        pause_s = self.ends_s[name][-1] + process.min_duration if self.ends_s[name] else -math.inf
        assert at_s >= pause_s - ROUNDING_S, "it waits for its min_duration"
        if self.exact:
            met_s = max((self.ends_s[other][-1] for other in self.needs(name)), default=-math.inf)
            since_s = max(self.began_s, pause_s, met_s)
            slot = self.task.max_concurrency and abs(at_s - self.last_end_s) < ROUNDING_S
            assert at_s - since_s < ROUNDING_S or slot, f"{name} could have been started {at_s - since_s} s before"
        self.running.add(name)
