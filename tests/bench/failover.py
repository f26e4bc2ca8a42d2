"""Restart of a scheduler that is alone, and fail-over between three: how long nobody leads, with many tasks.

Three schedulers, one ZooKeeper and pretended hosts share this machine; on several machines it goes faster.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aurorad.api.calls import CreateJob
from tests.bench.cluster import Caller
from tests.bench.simulated import job
from tests.e2e.cluster import Cluster
from tests.e2e.schedulers import Schedulers, schedulers, status_of, variables
from tests.zookeeper import ZooKeeper, free_ports

Figure = tuple[str, str, str]  # what, measured, goal
T = TypeVar("T")

SIZES = (10_000, 100_000)
INSTANCES = 1_000
HOSTS = 1_000
CALLERS = 8
POLL_S = 0.01
WITHIN_S = 600.0


def figures() -> Iterator[Figure]:
    for tasks in SIZES:
        flags = (
            f"-simulated_hosts={HOSTS}",
            f"-simulated_cpus={2 * tasks // HOSTS}",
            f"-max_tasks_per_job={INSTANCES}",
        )
        with tempfile.TemporaryDirectory(prefix="aurorad-bench-") as name:
            yield from _restart(Path(name), tasks, "-engine=simulated", *flags)
        with tempfile.TemporaryDirectory(prefix="aurorad-bench-") as name:
            yield from _failover(Path(name), tasks, *flags)


def _restart(folder: Path, tasks: int, *flags: str) -> Iterator[Figure]:
    it = Cluster(folder, *flags)
    it.start()
    try:
        _fill(it, tasks)
        _until("the database has all", lambda: variables(it)["storage_database_lag"] == 0)
        it.stop()
        seconds = _starting(it)
        yield f"restart alone with {tasks:,} tasks, until it answers", f"{seconds:.2f} s", ""
        it.stop(signal.SIGKILL)
        (it.work_dir / "state.db").unlink()
        seconds = _starting(it)
        yield "  the same, without its database", f"{seconds:.2f} s", ""
    finally:
        if it.running:
            it.stop()


def _failover(folder: Path, tasks: int, *flags: str) -> Iterator[Figure]:
    (port,) = free_ports(1)
    (folder / "zookeeper").mkdir()
    zookeeper = ZooKeeper(folder / "zookeeper", port)
    zookeeper.start()
    try:
        with schedulers(folder, zookeeper.address, *flags) as them:
            yield from _fail_over(them, tasks)
    finally:
        zookeeper.stop()


def _fail_over(them: Schedulers, tasks: int) -> Iterator[Figure]:
    first = them.by_name[them.leader()]
    start = time.perf_counter()
    _fill(first, tasks)
    yield f"three schedulers: {tasks:,} tasks RUNNING", f"{tasks / (time.perf_counter() - start):,.0f}/s", ""
    _until("followers have all", lambda: all(_running(member) == tasks for member in them.by_name.values()))
    first.stop()
    yield from _taken_over(them, f"told to end, with {tasks:,} tasks", time.perf_counter())
    seconds = _starting(first)
    _until("it has caught up", lambda: _running(first) == tasks)
    yield "  the former leader started again, until it follows", f"{seconds:.2f} s", ""
    second = them.by_name[them.leader()]
    start = time.perf_counter()
    second.stop(signal.SIGKILL)
    yield from _taken_over(them, f"killed, with {tasks:,} tasks, session of 4 s", start)


def _taken_over(them: Schedulers, what: str, start: float) -> Iterator[Figure]:
    leader = them.by_name[_until("another leads", lambda: _leader(them))]
    seconds = time.perf_counter() - start
    values = variables(leader)
    assert _running(leader) >= 0
    yield f"leader {what}: until another serves", f"{seconds:.2f} s", ""
    yield "  from its election until it is active", f"{int(str(values['scheduler_takeover_ms'])) / 1000:.2f} s", "2 s"
    yield (
        "  longest hold of its event loop up to now",
        f"{float(str(values['event_loop_longest_hold_ms'])):.0f} ms",
        "50 ms",
    )


def _leader(them: Schedulers) -> str | None:
    return next((name for name, member in them.running.items() if status_of(member, "/leaderhealth") == 200), None)


def _running(member: Cluster) -> int:
    return int(str(variables(member)["task_store_RUNNING"]))


def _fill(member: Cluster, tasks: int) -> None:
    callers = [Caller(member) for _ in range(CALLERS)]

    def create(number: int) -> None:
        jobs = range(number, tasks // INSTANCES, CALLERS)
        for at in jobs:
            callers[number].call(CreateJob(job(f"job-{at}", INSTANCES)))

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(create, range(CALLERS)))
    _until("all tasks run", lambda: _running(member) == tasks)


def _starting(it: Cluster) -> float:
    start = time.perf_counter()
    it.start()
    return time.perf_counter() - start


def _until(what: str, probe: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + WITHIN_S
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(POLL_S)
    return found
