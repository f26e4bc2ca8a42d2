"""Launches through a real Mesos master, and beside them the same scheduler's over pretended hosts.

The scheduler's services run here, over a log in memory. Agents get an executor that does nothing, so that what is
measured is what scheduler and master do, and not how fast this machine starts Python; `tasks RUNNING` is with ours.
Master, agents and scheduler share the machine.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from aurorad.api.calls import CreateJob
from aurorad.engine.base import Engine, Event, Offers, StatusUpdate, TaskInfo
from aurorad.engines import mesos_engine, simulated_engine
from aurorad.flags import Flags, parse
from aurorad.scheduler.limits import configured_executors
from aurorad.scheduler.service import Scheduler
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.vars import Vars
from tests.bench.simulated import job
from tests.e2e.cluster import cluster
from tests.e2e.jobs import call, running, shell_job, when
from tests.mesos.rig import Rig, why_not
from tests.mesos.workers import MesosWorkers, mesos_workers
from tests.storage.memory_log import NoLog

Figure = tuple[str, str, str]  # what, measured, goal

TASKS = 500
AGENTS = 8
AT_ONCE = 40
IDLE_EXECUTOR = "#!/bin/sh\nexec sleep 1000\n"
ROOM = (f"--agents={AGENTS}", "--cpus=4000", "--mem=2000000", "--disk=2000000")
WITHIN_S = 300.0


def figures() -> Iterator[Figure]:
    why = why_not()
    if why is not None:
        yield "launches through a real Mesos master", "left out", why
        return
    with tempfile.TemporaryDirectory(prefix="aurorad-bench-") as folder:
        work_dir = f"-work_dir={folder}"
        with _idle_workers() as workers:
            flags = parse([work_dir, *workers.flags])
            yield from _launches("a real master", flags, lambda: _known_to(workers.rig))
        simulated = (
            "-engine=simulated",
            f"-simulated_hosts={AGENTS}",
            "-simulated_cpus=4000",
            "-simulated_ram=2000000MB",
        )
        yield from _launches("simulated hosts", parse([work_dir, *simulated]), None)
    yield _until_running()


@contextmanager
def _idle_workers() -> Iterator[MesosWorkers]:
    patient = "--agent-flag=executor_registration_timeout=10mins"
    with mesos_workers(*ROOM, patient, observed=False) as workers:
        executor = workers.rig.folder / "thermos_executor"
        executor.write_text(IDLE_EXECUTOR)
        yield workers


def _launches(where: str, flags: Flags, known: Callable[[], int] | None) -> Iterator[Figure]:
    timed, seconds = trio.run(_launch_all, flags, known)
    delays = sorted(timed.delays)
    yield f"{TASKS:,} tasks through {where}, launched", f"{TASKS / timed.seconds:,.0f}/s", ""
    if known is not None:
        yield "  known to the master", f"{TASKS / seconds:,.0f}/s", ""
    median, slow = statistics.median(delays), delays[int(len(delays) * 0.9)]
    yield "  from offer to launch, median and 90 %", f"{median * 1000:.1f} / {slow * 1000:.1f} ms", ""


class _Timed:
    """An engine whose offers and launches are timed on their way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._offered: dict[str, float] = {}
        self._first = math.inf
        self._launched = 0
        self.seconds = 0.0
        """From the first offer to the last launch."""
        self.delays: list[float] = []
        """From an offer to its launch, of those that came after tasks did."""
        self.all_launched = trio.Event()

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None:
        send, receive = trio.open_memory_channel[Event](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._engine.run, send, framework_id)
            async for event in receive:
                if isinstance(event, Offers):
                    now = trio.current_time()
                    self._first = min(self._first, now)
                    self._offered.update((offer.id, now) for offer in event.offers)
                await events.send(event)

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        now = trio.current_time()
        self.delays.append(now - self._offered.pop(offer_id))
        await self._engine.launch(offer_id, tasks, refuse_s)
        self._launched += len(tasks)
        if self._launched >= TASKS:
            self.seconds = trio.current_time() - self._first
            self.all_launched.set()

    async def decline(self, offer_id: str, refuse_s: float) -> None:
        self._offered.pop(offer_id, None)
        await self._engine.decline(offer_id, refuse_s)

    async def suppress(self) -> None:
        await self._engine.suppress()

    async def revive(self) -> None:
        await self._engine.revive()

    async def kill(self, task_id: str) -> None:
        await self._engine.kill(task_id)

    async def acknowledge(self, update: StatusUpdate) -> None:
        await self._engine.acknowledge(update)

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        await self._engine.reconcile(task_ids)


async def _launch_all(flags: Flags, known: Callable[[], int] | None) -> tuple[_Timed, float]:
    """The tasks wait already when the first offers come. The seconds are those until the master has all."""
    storage, stats, executors = Storage(NoLog(), Tables()), Vars(), configured_executors(flags)
    tables = storage.tables
    engine: Engine = (
        mesos_engine(flags, tables, executors, "localhost", "http://localhost:8081", stats)
        if known
        else await simulated_engine(flags, tables, executors)
    )
    timed = _Timed(engine)
    scheduler = Scheduler(
        storage=storage,
        engine=timed,
        flags=flags,
        stats=stats,
        now_ms=lambda: time.time_ns() // 1_000_000,
        rng=random.Random(1),
        new_uuid=uuid.uuid4,
        hostname="localhost",
        executors=executors,
    )
    config = job("bench", TASKS).task_config
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        await storage.write(lambda tx: scheduler.states.insert_pending(tx, config, range(TASKS)))
        start = trio.current_time()
        await nursery.start(scheduler.run)
        with trio.fail_after(WITHIN_S):
            await timed.all_launched.wait()
            while known is not None and await trio.to_thread.run_sync(known) < TASKS:  # noqa: ASYNC110
                await trio.sleep(0.02)
        seconds = trio.current_time() - start
        nursery.cancel_scope.cancel()
    return timed, seconds


def _known_to(rig: Rig) -> int:
    metrics = json.loads(rig.get("/metrics/snapshot"))
    states = ("staging", "starting", "running", "finished", "failed", "killed", "lost", "error")
    return int(sum(metrics[f"master/tasks_{state}"] for state in states))


def _until_running() -> Figure:
    """With our executors, and the whole daemon."""
    with (
        tempfile.TemporaryDirectory(prefix="aurorad-bench-") as name,
        mesos_workers(*ROOM, observed=False) as workers,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        with cluster(folder, workers=workers) as it:
            start = time.perf_counter()
            call(it, CreateJob(shell_job("sleepers", "exec sleep 1000", cpus=0.01, instances=AT_ONCE)))
            when(it, "sleepers", "all run", lambda _: len(running(it, "sleepers")) == AT_ONCE, within_s=WITHIN_S)
            seconds = time.perf_counter() - start
    return (
        f"{AT_ONCE} tasks RUNNING with our executors on {AGENTS} agents",
        f"{AT_ONCE / seconds:.1f}/s ({seconds:.1f} s)",
        "",
    )
