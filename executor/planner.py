"""Which process may run next (thermos-runner sheet, section 6): pure, from a plan and what became of earlier runs."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Set
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import NamedTuple, Self

from executor.checkpoint import ProcessState
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
            if not processes.keys() >= set(constraint.order):
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


class _Tally:
    """What became of the runs of a process so far."""

    __slots__ = ("ended_s", "failures", "losses", "successes")

    def __init__(self) -> None:
        self.successes = self.failures = self.losses = 0
        self.ended_s = -math.inf

    def add(self, state: ProcessState, at_s: float) -> None:
        self.ended_s = at_s
        if state == ProcessState.SUCCESS:
            self.successes += 1
        elif state == ProcessState.FAILED:
            self.failures += 1
        else:  # KILLED and LOST say nothing of the process itself
            self.losses += 1


class Progress:
    """How far a plan has come: told of each start and end of a run, it knows what may run next.

    A word costs what the process and its dependants cost, never what the whole plan does. All times are in seconds of
    the caller's clock. `max_runs` 0 means without limit.
    """

    def __init__(self, plan: Plan, max_runs: int = MAX_RUNS) -> None:
        self._processes, self._max_runs = plan.processes, max_runs
        self._tallies = {name: _Tally() for name in plan.processes}
        self._unmet = {name: len(waits) for name, waits in plan.dependencies.items()}
        self._dependants: dict[str, list[str]] = {name: [] for name in plan.processes}
        for name, waits in plan.dependencies.items():
            for other in waits:
                self._dependants[other].append(name)
        self._queue: list[tuple[float, int, str]] = []  # a heap; only what `_queued` confirms counts
        self._queued: dict[str, tuple[float, int, str]] = {}
        self._turn = 0
        self._runnable: OrderedDict[str, None] = OrderedDict()
        self._running: set[str] = set()
        self._finished: set[str] = set()
        self._failed: set[str] = set()
        self._needed = sum(not process.ephemeral for process in plan.processes.values())
        for name, unmet in self._unmet.items():
            if not unmet:
                self._enqueue(name)

    # What happens

    def started(self, name: str) -> None:
        """A run of it has begun."""
        self._dequeue(name)
        self._running.add(name)

    def ended(self, name: str, state: ProcessState, at_s: float) -> None:
        """A run of it came to that terminal state, or could not be started at all."""
        self._dequeue(name)
        self._running.discard(name)
        if name in self._finished or name in self._failed:
            return  # whatever came after the end of its story
        tally = self._tallies[name]
        tally.add(state, at_s)
        if self._succeeded(name, tally):
            self._rest(name, self._finished)
            for other in self._dependants[name]:
                self._unmet[other] -= 1
                self._enqueue(other)
        elif self._gave_up(name, tally):
            self._rest(name, self._failed)
        else:
            self._enqueue(name)

    # How it stands

    @property
    def running(self) -> Set[str]:
        return self._running

    @property
    def finished(self) -> Set[str]:
        return self._finished

    @property
    def failed(self) -> Set[str]:
        return self._failed

    @property
    def complete(self) -> bool:
        """Nothing is left to be done but what is ephemeral."""
        return self._needed == 0

    @property
    def deadlocked(self) -> bool:
        """Nothing runs, nothing ever will, and yet the plan is not complete."""
        return not (self.complete or self._running or self._runnable or self._queued)

    def runnable(self, now_s: float) -> Collection[str]:
        """What may be started now, in the order in which it came to be so. Changes with the next word."""
        while (first := self._first()) is not None and first[0] <= now_s:
            name = first[-1]
            self._dequeue(name)
            self._runnable[name] = None
        return self._runnable.keys()

    def next_s(self, now_s: float) -> float:
        """Until the first of those that wait for their `min_duration` may be started; infinite if none does."""
        first = self._first()
        return math.inf if first is None else max(0.0, first[0] - now_s)

    # The rules

    def _succeeded(self, name: str, tally: _Tally) -> bool:
        """Whether it is finished. A daemon never is; an ephemeral process also if it failed too often."""
        process = self._processes[name]
        return (tally.successes > 0 and not process.daemon) or (process.ephemeral and _too_often(process, tally))

    def _gave_up(self, name: str, tally: _Tally) -> bool:
        runs = tally.successes + tally.failures + tally.losses
        return _too_often(self._processes[name], tally) or 0 < self._max_runs <= runs

    # The books

    def _rest(self, name: str, group: set[str]) -> None:
        group.add(name)
        if not self._processes[name].ephemeral:
            self._needed -= 1

    def _enqueue(self, name: str) -> None:
        """Gives it its turn, unless something keeps it from running."""
        if self._unmet[name] or name in self._running or name in self._finished or name in self._failed:
            return
        self._turn += 1
        due = (self._tallies[name].ended_s + self._processes[name].min_duration, self._turn, name)
        self._queued[name] = due
        heappush(self._queue, due)

    def _dequeue(self, name: str) -> None:
        self._runnable.pop(name, None)
        self._queued.pop(name, None)

    def _first(self) -> tuple[float, int, str] | None:
        """Whoever is due first of those that wait."""
        while self._queue and self._queued.get(self._queue[0][-1]) is not self._queue[0]:
            heappop(self._queue)
        return self._queue[0] if self._queue else None


def _too_often(process: Process, tally: _Tally) -> bool:
    return 0 < process.max_failures <= tally.failures
