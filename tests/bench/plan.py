"""How long planning takes, and running, of tasks with many processes."""

from __future__ import annotations

import heapq
import logging
import os
import random
import tempfile
import time
from pathlib import Path

import trio
from frozendict import frozendict

from executor.checkpoint import ProcessState, RunnerHeader, TaskState
from executor.paths import LOGS, TaskPaths
from executor.planner import Plan, Progress
from executor.runner import Runner
from executor.sandbox import current_user
from executor.task import Constraint, Process, Task

PLANNED = 10_000
AT_ONCE = 50
RUN = 180  # processes of the reference's map-reduce example

Figure = tuple[str, str, str]  # what, measured, goal


def figures() -> list[Figure]:
    return [
        (f"planning a task of {PLANNED:,} processes to its end", f"{_plan_all() * 1000:.0f} ms", "under 1 s"),
        (f"a task of {RUN} processes and one that waits for all", f"{_run_all():.1f} s", ""),
    ]


def _plan_all() -> float:
    """From the task to the end of its last process, each pass that a runner would make included."""
    rng = random.Random(1)
    names = [f"p{n}" for n in range(PLANNED)]
    orders = [tuple(names[i] for i in sorted(rng.sample(range(PLANNED), 4))) for _ in names]
    task = Task("t", tuple(Process(name, "true", max_failures=3) for name in names), tuple(map(Constraint, orders)))
    running: list[tuple[float, str]] = []
    start_s, now_s = time.perf_counter(), 0.0
    plan = Progress(Plan.of(task, final=False))
    while not plan.complete:
        assert not plan.deadlocked
        while len(plan.running) < AT_ONCE and (name := next(iter(plan.runnable(now_s)), None)):
            plan.started(name)
            heapq.heappush(running, (now_s + rng.random(), name))
        if running:
            now_s, name = heapq.heappop(running)
            plan.ended(name, ProcessState.LOST if rng.random() < 0.1 else ProcessState.SUCCESS, now_s)
        else:
            now_s += plan.next_s(now_s)
    return time.perf_counter() - start_s


def _run_all() -> float:
    """Seconds for real processes that do nothing. A runner owns its process: it gets one of its own."""
    with tempfile.TemporaryDirectory() as directory:
        start_s = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if trio.run(_run_task, Path(directory)) == TaskState.SUCCESS else 1
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        return time.perf_counter() - start_s


async def _run_task(sandbox: Path) -> TaskState:
    names = [f"map{n}" for n in range(RUN)]
    processes = [*(Process(name, "true") for name in names), Process("reduce", "true")]
    task = Task("t", tuple(processes), tuple(Constraint((name, "reduce")) for name in names), max_concurrency=8)
    user = current_user()
    header = RunnerHeader("t", 0, str(sandbox), "host", user.name, frozendict(), str(sandbox / LOGS), user.uid)
    log = logging.getLogger("bench")
    runner = Runner(task, TaskPaths(sandbox, "t"), header, user, now_ms=lambda: time.time_ns() // 1_000_000, log=log)
    runner.take_control()
    return await runner.run()


if __name__ == "__main__":
    for figure in figures():
        print("{:50} {:>10}  {}".format(*figure))
