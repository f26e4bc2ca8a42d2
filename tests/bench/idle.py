"""What an idle task costs: memory, processor time and the time to start it, from the sources and from the binary."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import trio

from aurorad.engine.base import Event
from aurorad.engine.local.engine import LAUNCHER, LocalEngine
from tests.bench.launch import MACHINE, first_offer, launch

Figure = tuple[str, str, str]  # what, measured, goal

TASKS = 200
SINGLE = 30
WATCH_S = 10.0
BINARY = Path("dist/aurorad/aurorad")
OURS = ("aurora-executor", "thermos-forker", "thermos-coord")  # not the commands, which are the users'


def figures() -> Iterator[Figure]:
    yield from _of("from the sources", LAUNCHER)
    if BINARY.exists():
        yield from _of("from the binary", (str(BINARY.absolute()), "-role=launcher"))
    else:
        yield "the same from the binary", "not built", "make binaries"


def _of(where: str, launcher: Sequence[str]) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as work_dir:
        single, pss, busy = trio.run(_measure, Path(work_dir), launcher)
    yield f"launch to RUNNING {where}, median of {SINGLE}", f"{statistics.median(single) * 1000:.0f} ms", "120 ms"
    yield f"launch to RUNNING {where}, 90 %", f"{statistics.quantiles(single, n=10)[-1] * 1000:.0f} ms", ""
    yield f"memory of one of {TASKS} idle tasks {where} (PSS)", f"{pss / (1 << 20):.1f} MB", "12 MB"
    yield f"processor time of {TASKS} idle tasks {where}", f"{busy * 100:.1f} % of a core", ""


async def _measure(work_dir: Path, launcher: Sequence[str]) -> tuple[list[float], float, float]:
    """Seconds to RUNNING of single tasks, bytes of an idle task (launcher's share included), cores used by all."""
    engine = LocalEngine(work_dir, "localhost", MACHINE, lambda: time.time_ns() // 1_000_000, launcher=launcher)
    send, receive = trio.open_memory_channel[Event](math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, send, None)
        offer = await first_offer(receive)
        await launch(engine, receive, offer, ["warm-up"])  # the launcher is importing
        single = [await launch(engine, receive, offer, [f"single-{number}"]) for number in range(SINGLE)]
        await launch(engine, receive, offer, [f"idle-{number}" for number in range(TASKS - SINGLE - 1)])
        processes = _processes(work_dir)
        assert sum(process.name() == OURS[0] for process in processes) == TASKS
        before, start = _processor_time(processes), time.perf_counter()
        await trio.sleep(WATCH_S)
        busy = (_processor_time(processes) - before) / (time.perf_counter() - start)
        assert engine.launcher_pid is not None
        processes.append(psutil.Process(engine.launcher_pid))
        pss = sum(process.memory_full_info().pss for process in processes) / TASKS
        await engine.stop_all_tasks()
        nursery.cancel_scope.cancel()
    return single, pss, busy


def _processes(work_dir: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _is_ours(process, work_dir)]


def _is_ours(process: psutil.Process, work_dir: Path) -> bool:
    try:
        return process.name() in OURS and Path(process.cwd()).is_relative_to(work_dir)
    except psutil.NoSuchProcess:  # others' come and go
        return False


def _processor_time(processes: Sequence[psutil.Process]) -> float:
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes)


if __name__ == "__main__":
    for figure in figures():
        print("{:62} {:>16}  {}".format(*figure))
