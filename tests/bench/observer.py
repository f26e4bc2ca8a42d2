"""How fast the observer answers on a host with ten thousand ended tasks."""

from __future__ import annotations

import functools
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import trio

from aurorad.observer import Observer, observer_app
from aurorad.vars import Vars
from aurorad.watchdog import Watchdog
from aurorad.web import server
from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    TaskState,
    TaskStatus,
    encode_frame,
)

TASKS = 10_000
ANSWERS = 50

Figure = tuple[str, str, str]  # what, measured, goal


def figures() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        _write_tasks(Path(folder))
        return trio.run(_measure, Path(folder))


def _write_tasks(agent: Path) -> None:
    for number in range(TASKS):
        task_id = f"www-data-prod-batch-{number}-{number:032x}"
        run = agent / "slaves/S/frameworks/F/executors" / f"thermos-{task_id}" / "runs" / "r"
        for folder in (
            "sandbox",
            "checkpoints/tasks/active",
            "checkpoints/tasks/finished",
            f"checkpoints/checkpoints/{task_id}",
        ):
            (run / folder).mkdir(parents=True)
        process = {"name": "work", "cmdline": "./work --shard 1"}
        (run / "checkpoints/tasks/finished" / task_id).write_text(json.dumps({"name": "batch", "processes": [process]}))
        (run / f"checkpoints/checkpoints/{task_id}/runner").write_bytes(_stream(task_id, str(run / "sandbox")))


def _stream(task_id: str, sandbox: str) -> bytes:
    records = [
        RunnerCkpt(task_status=TaskStatus(TaskState.ACTIVE, 1_700_000_000_000, 1, 0)),
        RunnerCkpt(runner_header=RunnerHeader(task_id, 0, sandbox, "host", "www-data", log_dir=f"{sandbox}/.logs")),
        RunnerCkpt(process_status=ProcessStatus(0, "work", ProcessState.WAITING)),
        RunnerCkpt(process_status=ProcessStatus(1, "work", ProcessState.FORKED, coordinator_pid=1, fork_time=1.7e9)),
        RunnerCkpt(process_status=ProcessStatus(2, "work", ProcessState.RUNNING, 1.7e9, 2)),
        RunnerCkpt(process_status=ProcessStatus(3, "work", ProcessState.SUCCESS, stop_time=1.7e9 + 9, return_code=0)),
        RunnerCkpt(task_status=TaskStatus(TaskState.SUCCESS, 1_700_000_009_000, 1, 0)),
    ]
    return b"".join(map(encode_frame, records))


async def _measure(agent: Path) -> list[Figure]:
    stats, stopping, process = Vars(), trio.Event(), psutil.Process()
    before = process.memory_info().rss
    observer = Observer([agent], polling_interval_s=1.0)
    app = observer_app(observer, "localhost", lambda: time.time_ns() // 1_000_000, Vars(), stopping)
    sock = server.listen("127.0.0.1", 0, "observer_port")
    port = sock.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(server.serve, app, sock, stopping=stopping, grace_s=0.1))
        start = time.perf_counter()
        await observer.scan()
        first = time.perf_counter() - start
        await _get(port, "/")  # compiles the templates
        trio.lowlevel.add_instrument(watchdog := Watchdog(stats))
        again = [await _timed(observer.scan) for _ in range(5)]
        nursery.start_soon(observer.run)
        index = [await _timed(functools.partial(_get, port, "/")) for _ in range(ANSWERS)]
        everything = await _timed(functools.partial(_get, port, f"/j/task_ids/all/0/{TASKS}"))
        page = await _timed(functools.partial(_get, port, f"/main/all/0/{TASKS}"))
        memory = process.memory_info().rss - before
        trio.lowlevel.remove_instrument(watchdog)
        stopping.set()
        nursery.cancel_scope.cancel()
    return [
        (f"first scan of a host with {TASKS:,} ended tasks", f"{first * 1000:.0f} ms", ""),
        ("scan again, median of 5", f"{statistics.median(again) * 1000:.0f} ms", ""),
        ("index, median", f"{statistics.median(index) * 1000:.0f} ms", "under 100 ms"),
        ("index, worst of 50 while scanning each second", f"{max(index) * 1000:.0f} ms", ""),
        ("all of them as JSON", f"{everything * 1000:.0f} ms", ""),
        ("all of them on one page", f"{page * 1000:.0f} ms", ""),
        ("memory after all that", f"{memory / (1 << 20):.0f} MB", ""),
        ("longest hold of the event loop meanwhile", f"{stats.get('event_loop_longest_hold_ms')} ms", "50 ms"),
    ]


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


async def _get(port: int, path: str) -> int:
    """The size of an answer, which must be a good one."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = bytes(await stream.receive_some(65536))
        assert b" 200 " in head.split(b"\r\n")[0], head
        size = len(head)
        async for data in stream:
            size += len(data)
        return size


if __name__ == "__main__":
    for figure in figures():
        print("{:55} {:>10}  {}".format(*figure))
