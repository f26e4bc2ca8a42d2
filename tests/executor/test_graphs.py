"""Whatever a task looks like and whatever becomes of its runs: it obeys the rules and comes to its end."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from executor.checkpoint import TaskState, read_stream
from executor.paths import CHECKPOINTS, TaskPaths
from executor.task import Constraint, Process, Task, to_json
from tests.executor.harness import TASK_ID, Executor, assigned
from tests.executor.judge import ROUNDING_S, Judge
from tests.executor.world import Behaviour, Interference, Lived, live

MAX_RUNS = 5
BY_RUNNER = -1  # the return code of a run that its runner killed
END_CODES = (0, 0, 0, 0, 1, 1, 3, -9, -15, None)  # None: the coordinator is killed


@st.composite
def tasks(draw: st.DrawFn, min_durations: tuple[int, ...] = (0, 0, 1, 5, 30)) -> Task:
    """A valid task: an order may not go on from what is a daemon, nor from what is ephemeral to what is not."""
    count = draw(st.integers(1, 7))
    names = [f"p{n}" for n in range(count)]
    final = {name for name in names[1:] if draw(st.integers(0, 3)) == 0}
    orders = []
    for plan in (final, set(names) - final):
        members = [name for name in names if name in plan]
        if members:
            orders += draw(st.lists(st.lists(st.sampled_from(members), unique=True).map(sorted), max_size=3))
    leading = {name for order in orders for name in order[:-1]}
    processes = [
        Process(
            name,
            "true",
            max_failures=draw(st.integers(0, 3)),
            daemon=name not in leading and draw(st.integers(0, 5)) == 0,
            ephemeral=name not in leading and draw(st.integers(0, 4)) == 0,
            min_duration=draw(st.sampled_from(min_durations)),
            final=name in final,
        )
        for name in names
    ]
    return Task(
        "task",
        tuple(processes),
        tuple(Constraint(tuple(order)) for order in orders),
        max_failures=draw(st.integers(0, 3)),
        max_concurrency=draw(st.sampled_from([0, 0, 1, 2, 3])),
        finalization_wait=draw(st.sampled_from([0, 1, 30])),
    )


# Lengths that are no multiples of each other or of seconds, so that no two things happen at the same time.
behaviours = st.builds(
    Behaviour,
    lasts_s=st.integers(1, 60).map(lambda n: n * 0.7103),
    code=st.sampled_from(END_CODES),
    starts=st.integers(0, 19).map(bool),
    heeds_s=st.sampled_from([0.0, 0.0, 0.4007, 3.1009, math.inf]),
    last_code=st.sampled_from([-15, 0, 1, 143]),
)


@st.composite
def interferences(draw: st.DrawFn) -> Interference:
    kill_as, wait_s = draw(st.sampled_from([(TaskState.KILLED, 60.0), (TaskState.KILLED, 2.0), (TaskState.LOST, 0.0)]))
    return Interference(
        kill_s=draw(st.one_of(st.just(math.inf), st.floats(0, 120))),
        kill_as=kill_as,
        kill_wait_s=wait_s,
        crash_s=draw(st.one_of(st.just(math.inf), st.just(math.inf), st.floats(0, 120))),
    )


@settings(max_examples=150)
@given(task=tasks(), outside=interferences(), data=st.data())
def test_every_task_obeys_the_rules_and_ends(task: Task, outside: Interference, data: st.DataObject) -> None:
    runs: Counter[str] = Counter()

    def behave(name: str) -> Behaviour:
        runs[name] += 1
        return data.draw(behaviours, label=name)

    with tempfile.TemporaryDirectory() as directory:
        lived = live(task, Path(directory), behave, outside, MAX_RUNS)
    judge = Judge(task, lived.killed, lived.ended_s, outside.crash_s == math.inf, MAX_RUNS)
    judge.hear(lived.records)
    assert {name: len(ends) for name, ends in judge.ends.items() if ends} == dict(runs)
    if outside.crash_s == math.inf:
        check_deadlines(task, outside, lived)


def check_deadlines(task: Task, outside: Interference, lived: Lived) -> None:
    """The task is over in time, and nothing of it is killed before its time is up."""
    times_s = {s.state: s.timestamp_ms / 1000 for r in lived.records if (s := r.task_status) is not None}
    budget_s = times_s[TaskState.CLEANING] + task.finalization_wait
    limit_s = outside.kill_s + outside.kill_wait_s if lived.killed else budget_s
    assert max(times_s.values()) <= max(limit_s, times_s[TaskState.CLEANING]) + ROUNDING_S
    final = {process.name for process in task.processes if process.final}
    for status in (r.process_status for r in lived.records):
        if status is not None and status.return_code == BY_RUNNER and status.process not in final:
            assert status.stop_time is not None
            assert status.stop_time >= limit_s - ROUNDING_S


def command(name: str, codes: list[int | None]) -> str:
    """Its n-th run ends as the n-th code says, and later ones well."""
    ways = []
    for code in codes:
        victim = "$PPID" if code is None else "$$"
        ways.append(f"exit {code}" if code is not None and code >= 0 else f"kill {code or -9} {victim}; sleep 9")
    cases = " ".join(f"{n}) {way};;" for n, way in enumerate(ways))
    return f"echo x >> runs.{name}; case $(($(wc -l < runs.{name}) - 1)) in {cases} esac"


@settings(max_examples=6)
@given(task=tasks(min_durations=(0, 0, 0, 1)), data=st.data())
def test_so_does_every_task_with_real_processes(task: Task, data: st.DataObject) -> None:
    processes = []
    for process in task.processes:
        codes = data.draw(st.lists(st.sampled_from(END_CODES), max_size=3), label=process.name)
        # A daemon that succeeds runs until it did so a hundred times.
        processes.append(replace(process, cmdline=command(process.name, codes), daemon=False))
    task = replace(task, processes=tuple(processes), finalization_wait=30)
    with tempfile.TemporaryDirectory() as directory:
        executor = Executor(assigned(json.loads(to_json(task))), Path(directory))
        executor.finish()
        records = read_stream(TaskPaths(Path(directory) / CHECKPOINTS, TASK_ID).runner)
        Judge(task).hear(records)
        assert executor.inhabitants() == []
