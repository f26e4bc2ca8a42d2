"""What the API costs while tasks are being placed: large answers, large jobs, and many small reads.

The daemon has a simulated cluster, and shares the machine with its callers. All the time somebody creates a job of 200
tasks, waits until they run, and kills it. Whoever asks reads the answer's bytes and does not decode them.
"""

from __future__ import annotations

import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil

from aurorad.api import binary, compact, tjson
from aurorad.api.calls import (
    Call,
    CreateJob,
    GetQuota,
    GetRoleSummary,
    GetTasksStatus,
    GetTasksWithoutConfigs,
    GetTierConfigs,
    KillTasks,
)
from aurorad.api.struct import ThriftStruct
from aurorad.api.tasks import JobConfiguration, JobKey, TaskQuery
from aurorad.api.wire import BINARY_TYPE, COMPACT_TYPE, JSON_TYPE, MessageHeader, MessageType
from tests.bench import readers, simulated
from tests.bench.cluster import Caller, vars_of
from tests.e2e.cluster import Cluster

Figure = tuple[str, str, str]  # what, measured, goal

HOSTS = 2_000
FLAGS = ("-engine=simulated", f"-simulated_hosts={HOSTS}", "-simulated_cpus=100", "-max_tasks_per_job=20000")
ROLES = 500
QUOTA_TASKS = 18_000
LOADS, QUICK_LOADS = 7, 200
READERS, READ_FOR_S = 8, 5.0
CHURN = 200
Encode = Callable[[MessageHeader, ThriftStruct], bytes]
ENCODINGS: tuple[tuple[str, str, Encode, str], ...] = (
    ("TJSON", JSON_TYPE, tjson.encode_message, "150 ms"),
    ("binary", BINARY_TYPE, binary.encode_message, "50 ms"),
    ("compact", COMPACT_TYPE, compact.encode_message, ""),
)


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="aurorad-bench-") as name, simulated.started(Path(name), FLAGS) as it:
        _fill(it)
        yield from _quiet(it)
        with _placing(it):
            yield from _large_answers(it)
            yield from _quick_reads(it)
            yield from _large_job(it)
            yield f"small reads over {READERS} connections meanwhile", f"{_small_reads(it):,.0f}/s", ""
        held = vars_of(it).get("event_loop_longest_hold_ms", "0")
        yield "longest hold of the event loop during all that", f"{float(held):.0f} ms", "50 ms"


def _fill(it: Cluster) -> None:
    """100,000 tasks: 10,000 in one role, 18,000 in another, few in many, and the rest."""
    caller = Caller(it)
    for number in range(10):
        caller.call(_create("ten", f"job-{number}", 1_000))
    caller.call(_create("quota", "large", QUOTA_TASKS))
    for number in range(ROLES):
        caller.call(_create(f"role-{number}", "job", 1))
    rest = 100_000 - 10_000 - QUOTA_TASKS - ROLES
    for number in range(7):
        caller.call(_create("rest", f"job-{number}", rest // 7 + (1 if number < rest % 7 else 0)))
    while int(vars_of(it)["task_store_RUNNING"]) < 100_000:
        time.sleep(0.2)


def _create(role: str, name: str, instances: int) -> CreateJob:
    made = simulated.job(name, instances)
    key = JobKey(role, "prod", name)
    task = msgspec.structs.replace(made.task_config, job=key)
    return CreateJob(JobConfiguration(key, made.owner, task_config=task, instance_count=instances))


@contextmanager
def _placing(it: Cluster) -> Iterator[None]:
    """Tasks come and go as long as the block lasts."""
    stopping = threading.Event()

    def churn() -> None:
        caller, number = Caller(it), 0
        while not stopping.is_set():
            number += 1
            job = _create("churn", f"job-{number}", CHURN)
            caller.call(job)
            stopping.wait(0.5)
            caller.call(KillTasks(job.description.key if job.description is not None else None))

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _quiet(it: Cluster) -> Iterator[Figure]:
    """The same while nothing else happens."""
    query = TaskQuery(role="ten")
    for name, type_, encode, _ in ENCODINGS[:2]:
        seconds = _median(it, GetTasksWithoutConfigs(query), type_, encode, LOADS)
        yield f"getTasksWithoutConfigs, 10,000 tasks, {name}, nothing else", _ms(seconds), ""
    before = _processor_time(it)
    rate = _small_reads(it)
    spent = _processor_time(it) - before
    yield f"small reads over {READERS} connections, nothing else", f"{rate:,.0f}/s", "1,000/s"
    yield "  processor time of the daemon for each", f"{spent / (rate * READ_FOR_S) * 1e6:,.0f} us", ""


def _large_answers(it: Cluster) -> Iterator[Figure]:
    for count, query in ((10_000, TaskQuery(role="ten")), (100_000, TaskQuery())):
        for call in (GetTasksWithoutConfigs(query), GetTasksStatus(query)):
            for name, type_, encode, goal in ENCODINGS:
                loads = LOADS if count == 10_000 else 3
                seconds = _median(it, call, type_, encode, loads)
                yield f"{call.method()}, {count:,} tasks, {name}", _ms(seconds), goal if count == 10_000 else ""


def _quick_reads(it: Cluster) -> Iterator[Figure]:
    seconds = _median(it, GetRoleSummary(), BINARY_TYPE, binary.encode_message, QUICK_LOADS)
    yield f"getRoleSummary, {ROLES} roles", _ms(seconds), ""
    least = _median(it, GetTierConfigs(), BINARY_TYPE, binary.encode_message, QUICK_LOADS)
    seconds = _median(it, GetQuota("quota"), BINARY_TYPE, binary.encode_message, QUICK_LOADS)
    yield "getTierConfigs: the least that any call takes", _ms(least), ""
    yield f"getQuota of a role with {QUOTA_TASKS:,} tasks, beyond that", _ms(max(0.0, seconds - least)), "1 ms"


def _large_job(it: Cluster) -> Iterator[Figure]:
    caller, seconds = Caller(it), []
    for number in range(LOADS):
        job = _create("create", f"job-{number}", 4_000)
        start = time.perf_counter()
        caller.call(job)
        seconds.append(time.perf_counter() - start)
    yield "createJob of 4,000 instances", _ms(statistics.median(seconds)), "500 ms"


def _small_reads(it: Cluster) -> float:
    """How many are answered a second."""
    request = readers.post("/api", BINARY_TYPE, _encoded(GetTierConfigs(), binary.encode_message))
    address = urlsplit(it.scheduler)
    assert address.hostname is not None
    assert address.port is not None
    return readers.answered(address.hostname, address.port, request, READERS, READ_FOR_S)


def _processor_time(it: Cluster) -> float:
    return sum(psutil.Process(it.pid).cpu_times()[:2])


def _median(it: Cluster, call: Call, type_: str, encode: Encode, loads: int) -> float:
    connection, body, seconds = _connection(it), _encoded(call, encode), []
    for _ in range(loads):
        start = time.perf_counter()
        _ask(connection, body, type_)
        seconds.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(seconds)


def _encoded(call: Call, encode: Encode) -> bytes:
    return encode(MessageHeader(call.method(), MessageType.CALL, 0), call)


def _connection(it: Cluster) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(it.scheduler).netloc, timeout=60)


def _ask(connection: http.client.HTTPConnection, body: bytes, type_: str) -> bytes:
    connection.request("POST", "/api", body, {"Content-Type": type_, "Accept": type_})
    answer = connection.getresponse()
    data = answer.read()
    assert answer.status == 200, (answer.status, data[:200])
    return data


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
