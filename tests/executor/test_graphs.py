"""Whatever a task looks like and whatever becomes of its runs: it obeys the rules and comes to its end."""

from __future__ import annotations

import math
import shlex
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from executor.checkpoint import TaskState, read_stream
from executor.paths import CHECKPOINTS, TaskPaths
from executor.task import Constraint, Process, Task, to_json
from tests.executor.harness import TASK_ID, Executor, assigned
from tests.executor.judge import Judge
from tests.executor.world import Behaviour, Interference, live

MAX_RUNS = 5
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


@settings(max_examples=150, deadline=None)
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
    times = [r.task_status for r in lived.records if r.task_status is not None]
    cleaning_s = next(status.timestamp_ms for status in times if status.state == TaskState.CLEANING) / 1000
    if lived.killed:
        assert times[-1].timestamp_ms / 1000 <= max(cleaning_s, times[0].timestamp_ms / 1000 + outside.kill_s) + (
            outside.kill_wait_s + 0.002
        )
    elif outside.crash_s == math.inf:
        assert times[-1].timestamp_ms / 1000 <= cleaning_s + task.finalization_wait + 0.002


def cmdline(codes: list[int | None]) -> str:
    """A command whose n-th run ends as the n-th code says, and later ones well."""
    ways = ["exit 0" if code is None else f"kill {code} $$; sleep 9" if code < 0 else f"exit {code}" for code in codes]
    ways = ["kill -9 $PPID; sleep 9" if code is None else way for code, way in zip(codes, ways, strict=True)]
    cases = " ".join(f"{n}) {way};;" for n, way in enumerate(ways))
    return f'n=$(cat "$0.$NAME" 2>/dev/null | wc -l); echo x >> "$0.$NAME"; case $n in {cases} esac'


@settings(max_examples=8, deadline=None)
@given(task=tasks(min_durations=(0, 0, 0, 1)), data=st.data())
def test_so_does_every_task_with_real_processes(task: Task, data: st.DataObject) -> None:
    processes = []
    for process in task.processes:
        codes = data.draw(st.lists(st.sampled_from(END_CODES), max_size=3), label=process.name)
        command = f"NAME={shlex.quote(process.name)}; {cmdline(codes)}"
        # A daemon that succeeds runs until it has run too often; one of these is enough to wait for.
        processes.append(
            Process(
                process.name,
                command,
                max_failures=process.max_failures,
                final=process.final,
                ephemeral=process.ephemeral,
                min_duration=process.min_duration,
            )
        )
    task = Task(task.name, tuple(processes), task.constraints, None, task.max_failures, task.max_concurrency, 30)
    import json

    with tempfile.TemporaryDirectory() as directory:
        executor = Executor(assigned(json.loads(to_json(task))), Path(directory))
        executor.finish()
        records = read_stream(TaskPaths(Path(directory) / CHECKPOINTS, TASK_ID).runner)
        Judge(task).hear(records)
        assert executor.inhabitants() == []
