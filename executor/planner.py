"""Which process may run next (thermos-runner sheet, section 6): pure, from a plan and what became of earlier runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Literal, NamedTuple, Self, get_args

from executor.checkpoint import ProcessState, ProcessStatus
from executor.task import Process, Task

# A process that ran this often without an end in sight is failed, whatever its max_failures.
MAX_RUNS = 100


class InvalidPlan(ValueError):
    """An order of processes that cannot be kept."""


class Plan(NamedTuple):
    """The processes of one plan by name, in the task's order, and what each of them waits for."""

    processes: dict[str, Process]
    dependencies: dict[str, frozenset[str]]

    @classmethod
    def of(cls, task: Task, *, final: bool) -> Self:
        """The regular plan of a task, or its finalizing one. Raises `InvalidPlan` with the sheet's texts."""
        processes = {p.name: p for p in task.processes if p.final == final}
        others = {p.name for p in task.processes if p.final != final}
        dependencies: dict[str, set[str]] = {name: set() for name in processes}
        for constraint in task.constraints:
            if not constraint.order or others.issuperset(constraint.order):
                continue
            if not set(processes).issuperset(constraint.order):
                raise InvalidPlan("Invalid process dependencies!")
            for before, after in zip(constraint.order, constraint.order[1:], strict=False):
                dependencies[after].add(before)
        plan = cls(processes, {name: frozenset(waits) for name, waits in dependencies.items()})
        plan._check()
        return plan

    def _check(self) -> None:
        for name, waits in self.dependencies.items():
            for other in sorted(waits):
                if self.processes[other].daemon:
                    raise InvalidPlan(f"Process {name} may not depend upon daemon process {other}")
                if self.processes[other].ephemeral and not self.processes[name].ephemeral:
                    raise InvalidPlan(f"Non-ephemeral process {name} may not depend upon ephemeral process {other}")
        try:
            TopologicalSorter(self.dependencies).prepare()
        except CycleError:
            raise InvalidPlan("Cycles detected in the task schedule!") from None


class History(NamedTuple):
    """What became of a process's runs so far. `ended_s`, the end of the last one, is in the clock of `now_s`."""

    successes: int = 0
    failures: int = 0
    losses: int = 0
    running: bool = False
    ended_s: float = -math.inf

    @classmethod
    def of(cls, runs: tuple[ProcessStatus, ...] | list[ProcessStatus], ended_s: float) -> Self:
        states = [run.state for run in runs]
        return cls(
            states.count(ProcessState.SUCCESS),
            states.count(ProcessState.FAILED),
            states.count(ProcessState.KILLED) + states.count(ProcessState.LOST),
            bool(states) and states[-1] in (ProcessState.FORKED, ProcessState.RUNNING),
            ended_s,
        )


Group = Literal["runnable", "waiting", "running", "finished", "failed", "blocked"]


class Standing(NamedTuple):
    """Where a plan stands: every process is in exactly one group, or blocked by another one. In the plan's order."""

    runnable: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    complete: bool = True
    next_s: float = math.inf  # until the first of the waiting becomes runnable

    @property
    def min_wait_s(self) -> float:
        """Until something may be started; infinite if only the end of a run can change that."""
        return 0.0 if self.runnable else self.next_s

    @property
    def deadlocked(self) -> bool:
        """Nothing runs, nothing ever will, and yet the plan is not complete."""
        return not (self.complete or self.running or self.runnable or self.waiting)


def stand(plan: Plan, histories: Mapping[str, History], now_s: float) -> Standing:
    """Where the plan stands at `now_s`. A process without history has not run yet."""
    groups: dict[Group, list[str]] = {group: [] for group in get_args(Group)}
    at_rest = {name: _at_rest(process, histories.get(name, History())) for name, process in plan.processes.items()}
    next_s = math.inf
    for name, process in plan.processes.items():
        history = histories.get(name, History())
        wait_s = history.ended_s + process.min_duration - now_s
        if history.running:
            group: Group = "running"
        elif (rest := at_rest[name]) is not None:
            group = rest
        elif any(at_rest[other] != "finished" for other in plan.dependencies[name]):
            group = "blocked"
        elif wait_s > 0:
            group = "waiting"
            next_s = min(next_s, wait_s)
        else:
            group = "runnable"
        groups[group].append(name)
    over = {*groups["finished"], *groups["failed"]}
    complete = all(name in over or process.ephemeral for name, process in plan.processes.items())
    return Standing(**{group: tuple(names) for group, names in groups.items()}, complete=complete, next_s=next_s)


def _at_rest(process: Process, history: History) -> Literal["finished", "failed"] | None:
    """`finished` or `failed` if the process shall not run again."""
    if history.successes and not process.daemon:
        return "finished"
    if process.max_failures and history.failures >= process.max_failures:
        return "finished" if process.ephemeral else "failed"
    if history.successes + history.failures + history.losses >= MAX_RUNS:
        return "failed"
    return None
