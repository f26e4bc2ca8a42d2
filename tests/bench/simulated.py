"""The whole daemon over pretended hosts: from the submission of many tasks over HTTP until all of them run.

Everything is durable, with a sync of the log for every write. The daemon and its caller share the machine.
"""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event as Stopping
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from aurorad.api.calls import CreateJob
from aurorad.api.tasks import ExecutorConfig, Identity, JobConfiguration, JobKey, Resource, TaskConfig
from tests.bench.cluster import Caller
from tests.e2e.cluster import Cluster

Figure = tuple[str, str, str]  # what, measured, goal

POLL_S = 0.05
WITHIN_S = 900.0
MOST_CALLERS = 20


def figures() -> Iterator[Figure]:
    yield from _run(hosts=1_000, jobs=4, instances=2_000, goal="3,000/s")


def million() -> Iterator[Figure]:
    """What no Aurora could hold at all; takes minutes."""
    yield from _run(hosts=5_000, jobs=100, instances=10_000, goal="3,333/s")


def _run(hosts: int, jobs: int, instances: int, goal: str) -> Iterator[Figure]:
    total = jobs * instances
    flags = (
        "-engine=simulated",
        f"-simulated_hosts={hosts}",
        f"-simulated_cpus={2 * total // hosts}",  # room to spare
        f"-max_tasks_per_job={instances}",
    )
    with tempfile.TemporaryDirectory(prefix="aurorad-bench-") as name, started(Path(name), flags) as it:
        process = psutil.Process(it.pid)
        health = _Health(it)
        before = sum(process.cpu_times()[:2])
        start = time.perf_counter()
        with ThreadPoolExecutor(MOST_CALLERS) as callers:
            created = [callers.submit(_create, it, f"job-{number}", instances) for number in range(jobs)]
            for answer in created:
                answer.result()
        submitted = time.perf_counter() - start
        while int(_vars(it)["task_store_RUNNING"]) < total:
            assert time.perf_counter() - start < WITHIN_S, "not all tasks run"
            time.sleep(POLL_S)
        seconds = time.perf_counter() - start
        spent = sum(process.cpu_times()[:2]) - before
        slowest, median = health.stop()
        what = f"{jobs} x {instances:,} tasks on {hosts:,} hosts"
        yield f"{what}, submission answered", f"{submitted:.2f} s", ""
        yield f"{what}, to all RUNNING", f"{total / seconds:,.0f}/s ({seconds:.1f} s)", goal
        yield "  processor time of the daemon", f"{spent:.1f} s ({spent / total * 1e6:.0f} us each)", ""
        yield "  memory of the daemon (RSS)", f"{process.memory_info().rss / (1 << 20):,.0f} MB", "4,096 MB"
        yield "  /health meanwhile, slowest and median", f"{slowest * 1000:.0f} / {median * 1000:.0f} ms", "50 ms"
        yield "  longest hold of the event loop", f"{float(_vars(it)['event_loop_longest_hold_ms']):.0f} ms", "50 ms"


@contextmanager
def started(folder: Path, flags: tuple[str, ...]) -> Iterator[Cluster]:
    it = Cluster(folder, *flags)
    it.start()
    try:
        yield it
    finally:
        if it.running:
            it.stop()


def _create(it: Cluster, name: str, instances: int) -> None:
    Caller(it).call(CreateJob(job(name, instances)))


def job(name: str, instances: int) -> JobConfiguration:
    key = JobKey("www-data", "prod", name)
    amounts = (Resource(num_cpus=1.0), Resource(ram_mb=16), Resource(disk_mb=16))
    task = TaskConfig(
        job=key,
        owner=Identity("www-data"),
        is_service=True,
        tier="preemptible",
        resources=frozenset(amounts),
        executor_config=ExecutorConfig("AuroraExecutor", "x" * 2000),
    )
    return JobConfiguration(key=key, owner=task.owner, task_config=task, instance_count=instances)


def _vars(it: Cluster) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in it.get("/vars").splitlines())


class _Health:
    """Asks ``/health`` every 20 ms, over one connection, from a process of its own: callers' work is not counted."""

    def __init__(self, it: Cluster) -> None:
        context = get_context("spawn")
        self._stopping = context.Event()
        self._answers, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_ask, args=(urlsplit(it.scheduler).netloc, self._stopping, theirs))
        self._process.start()

    def stop(self) -> tuple[float, float]:
        """The slowest answer and the median."""
        self._stopping.set()
        seconds = sorted(self._answers.recv())
        self._process.join()
        return seconds[-1], seconds[len(seconds) // 2]


def _ask(address: str, stopping: Stopping, answers: Connection) -> None:
    seconds: list[float] = []
    connection = http.client.HTTPConnection(address, timeout=30)
    while not stopping.wait(0.02):
        start = time.perf_counter()
        connection.request("GET", "/health")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - start)
    connection.close()
    answers.send(seconds)
