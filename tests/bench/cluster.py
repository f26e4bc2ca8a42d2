"""The whole daemon as its users meet it: over HTTP, with its log, its database and real tasks."""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from aurorad.api import binary
from aurorad.api.calls import Call, CreateJob, GetTasksWithoutConfigs, Reply
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.results import Response
from aurorad.api.tasks import JobKey, TaskQuery
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType
from tests.e2e.cluster import Cluster, cluster, eventually
from tests.e2e.jobs import shell_job

Figure = tuple[str, str, str]  # what, measured, goal

RUNS = 30
CREATES = 400
CALLERS = 8
LOADS = 30
PENDING = 10_000
POLL_S = 0.002
ROOM = ("-thermos_executor_cpu=0.01", "-thermos_executor_ram=1MB")  # for all tasks on the smallest machine
TOO_MANY_CPUS = 1000.0  # such tasks stay pending


def figures() -> list[Figure]:
    """The callers share the machine with the daemon, so the two slow each other down where there are few cores."""
    with tempfile.TemporaryDirectory(prefix="aurorad-bench-") as name:
        Path(name).chmod(0o755)  # as root, tasks run as their role's user
        with cluster(Path(name), *ROOM) as it:
            return [*_starts(it), *_creates(it), *_pages(it), *_memory(it), _hold(it)]


def _starts(it: Cluster) -> Iterator[Figure]:
    """One job after the other; each goes on running."""
    caller = Caller(it)
    _start(caller, "warm-up")
    seconds = [_start(caller, f"start-{number}") for number in range(RUNS)]
    yield "job create answered to RUNNING, median", _ms(statistics.median(seconds)), "under 250 ms"
    yield "job create answered to RUNNING, 90 %", _ms(statistics.quantiles(seconds, n=10)[-1]), ""


def _start(caller: Caller, name: str) -> float:
    """Seconds from the answer to a look that shows the task RUNNING; looks come `POLL_S` apart."""
    job = shell_job(name, "exec sleep 1000", cpus=0.01)
    caller.call(CreateJob(job))
    answered = time.perf_counter()
    assert job.key is not None
    query = GetTasksWithoutConfigs(TaskQuery(job_keys=frozenset({job.key})))
    while _status(caller.call(query)) is not ScheduleStatus.RUNNING:
        assert time.perf_counter() - answered < 30, f"{name} does not run"
        time.sleep(POLL_S)
    return time.perf_counter() - answered


def _status(response: Response) -> ScheduleStatus:
    assert response.result is not None
    assert response.result.schedule_status_result is not None
    (task,) = response.result.schedule_status_result.tasks
    return task.status


def _creates(it: Cluster) -> Iterator[Figure]:
    """Jobs of one task that no offer fits."""
    one = _rate(it, 1, [_pending(f"one-{number}") for number in range(CREATES)])
    many = _rate(it, CALLERS, [_pending(f"many-{number}") for number in range(CREATES)])
    yield "jobs created over HTTP, one caller", f"{one:,.0f}/s", ""
    yield f"jobs created over HTTP, {CALLERS} callers", f"{many:,.0f}/s", ""


def _pending(name: str, instances: int = 1) -> CreateJob:
    return CreateJob(shell_job(name, "exec sleep 1000", cpus=TOO_MANY_CPUS, instances=instances))


def _rate(it: Cluster, callers: int, calls: list[CreateJob]) -> float:
    """Calls a second, by callers that wait for each answer."""
    waiting = iter([_encoded(call) for call in calls])

    def work(caller: Caller) -> None:
        for body in waiting:
            caller.post(body)

    connected = [Caller(it) for _ in range(callers)]
    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as threads:
        for done in [threads.submit(work, caller) for caller in connected]:
            done.result()
    return len(calls) / (time.perf_counter() - start)


def _pages(it: Cluster) -> Iterator[Figure]:
    caller = Caller(it)
    role = shell_job("", "").task_config.job.role
    job = JobKey(role, "devel", "large")
    caller.call(_pending(job.name, 1000))
    pages = {
        f"page of a role with {2 * CREATES + RUNS:,} jobs": f"/scheduler/{role}",
        "page of a job with 1,000 tasks": f"/scheduler/{role}/{job.environment}/{job.name}",
        "page of a running instance": f"/scheduler/{role}/{job.environment}/start-0/0",
    }
    for what, path in pages.items():
        seconds = [_timed(partial(caller.get, path)) for _ in range(LOADS)]
        yield f"{what}, median", _ms(statistics.median(seconds)), ""


def _memory(it: Cluster) -> Iterator[Figure]:
    executors = [process for process in psutil.process_iter(["name"]) if _is_executor(it, process)]
    assert len(executors) == RUNS + 1
    pss = statistics.median(process.memory_full_info().pss for process in executors)
    yield f"memory of an executor among {len(executors)} (PSS), median", _mb(pss), "12 MB"
    daemon = psutil.Process(it.pid)
    before = daemon.memory_info().rss
    caller = Caller(it)
    for number in range(PENDING // 1000):
        caller.call(_pending(f"huge-{number}", 1000))
    after = daemon.memory_info().rss
    yield "memory of the daemon (RSS)", _mb(before), ""
    yield f"the same with {PENDING:,} more tasks pending", _mb(after), ""


def _is_executor(it: Cluster, process: psutil.Process) -> bool:
    """By its name, and by where it works."""
    try:
        return process.name() == "aurora-executor" and Path(process.cwd()).is_relative_to(it.work_dir)
    except psutil.Error:
        return False


def _hold(it: Cluster) -> Figure:
    held = eventually("the daemon tells", lambda: vars_of(it).get("event_loop_longest_hold_ms"))
    return "longest hold of the event loop during all that", f"{float(held):.0f} ms", "50 ms"


def vars_of(it: Cluster) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in it.get("/vars").splitlines())


class Caller:
    """One connection to the scheduler, kept open."""

    def __init__(self, it: Cluster) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(it.scheduler).netloc, timeout=30)
        self._connection.connect()

    def call(self, what: Call) -> Response:
        return self.post(_encoded(what))

    def post(self, body: bytes) -> Response:
        headers = {"Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE}
        self._connection.request("POST", "/api", body, headers)
        data = self._answer()
        response = binary.read_struct(Reply, data, binary.decode_header(data)[1])[0].success
        assert response is not None
        assert response.response_code is ResponseCode.OK, response
        return response

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        return self._answer()

    def _answer(self) -> bytes:
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200, (answer.status, data)
        return data


def _encoded(call: Call) -> bytes:
    return binary.encode_message(MessageHeader(call.method(), MessageType.CALL, 0), call)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _mb(size: float) -> str:
    return f"{size / (1 << 20):.1f} MB"
