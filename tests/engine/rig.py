"""A local engine with stand-in executors, and the scheduler's side of it: sees all events, acknowledges if told to."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio

from aurorad.api import binary
from aurorad.api.tasks import AssignedTask, ExecutorConfig, JobKey, TaskConfig
from aurorad.cgroups import Hierarchy
from aurorad.engine.base import Event, Offer, Offers, Resource, StatusUpdate, TaskInfo, TaskState
from aurorad.engine.local.capacity import Amounts, amounts
from aurorad.engine.local.engine import LocalEngine
from aurorad.engine.local.live import Patience
from aurorad.engine.local.oversight import Restarts
from aurorad.engine.local.processes import NOBODY, Identity, claimant, lives
from aurorad.engine.retention import Policy
from executor.sandbox import current_user

REPOSITORY = Path(__file__).parents[2]
_IMPORT = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from tests.engine.stand_in import main; main()"
STAND_IN = (sys.executable, "-c", _IMPORT)
MACHINE = amounts({"cpus": 4, "mem": 1024, "disk": 10000}, range(31000, 31010))
RESTARTS = Restarts(pause_s=0.01)
PATIENCE = Patience(to_subscribe=20, to_kill=20, to_exit=5)
LIMIT_S = 20.0  # how long a test waits for what must happen

E = TypeVar("E")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Rig:
    def __init__(self, engine: LocalEngine, work_dir: Path, scope: trio.CancelScope) -> None:
        self.engine = engine
        self.work_dir = work_dir
        self.acknowledging = True
        self.events: list[Event] = []
        self._scope = scope
        self._news = trio.Event()

    def stop(self) -> None:
        """As a crash would, as far as an engine can tell: executors are not told."""
        self._scope.cancel()

    async def take(self, events: trio.MemoryReceiveChannel[Event]) -> None:
        async for event in events:
            self.events.append(event)
            if isinstance(event, StatusUpdate) and self.acknowledging:
                await self.engine.acknowledge(event)
            self._news.set()
            self._news = trio.Event()

    async def until(self, found: Callable[[Event], E | None]) -> E:
        """What `found` makes of the first event that it makes something of."""
        with trio.fail_after(LIMIT_S):
            seen = 0
            while True:
                for event in self.events[seen:]:
                    result = found(event)
                    if result is not None:
                        return result
                seen = len(self.events)
                await self._news.wait()

    async def after(self, seen: int) -> list[Event]:
        """The events that came after so many, once there are some."""
        while len(self.events) <= seen:
            await self._news.wait()
        return self.events[seen:]

    async def offer(self) -> Offer:
        """The newest offer, once there is one."""
        await self.until(lambda event: event if isinstance(event, Offers) else None)
        return [event for event in self.events if isinstance(event, Offers)][-1].offers[0]

    async def offer_with(self, **least: float) -> Offer:
        """The newest offer, once it has so much; older ones do not count."""

        def enough(_: Event) -> Offer | None:
            newest = next((e.offers[0] for e in reversed(self.events) if isinstance(e, Offers)), None)
            if newest is None:
                return None
            have = {resource.name: resource.scalar or 0 for resource in newest.resources}
            return newest if all(have.get(name, 0) >= value for name, value in least.items()) else None

        return await self.until(enough)

    async def update(self, task_id: str, state: TaskState) -> StatusUpdate:
        return await self.until(
            lambda e: e if isinstance(e, StatusUpdate) and (e.task_id, e.state) == (task_id, state) else None
        )

    def states(self, task_id: str) -> list[str]:
        updates = [e for e in self.events if isinstance(e, StatusUpdate) and e.task_id == task_id]
        return [update.state.removeprefix("TASK_") for update in updates]

    async def launch(self, task_id: str, cpus: float = 1.0, ports: tuple[int, ...] = (), **orders: Any) -> None:
        offer = await self.offer()
        await self.engine.launch(offer.id, (task(offer.agent_id, task_id, cpus, ports, **orders),), 0)

    async def launch_job(self, task_id: str, thermos: dict[str, Any], **fields: Any) -> None:
        """A thermos task as real executors run it; `fields` are further ones of its job."""
        offer = await self.offer()
        data = job_data(thermos, **fields)
        job = JobKey(current_user().name, "test", "job")
        config = TaskConfig(job=job, executor_config=ExecutorConfig("AuroraExecutor", json.dumps(data)))
        assigned = AssignedTask(task_id, offer.agent_id, offer.hostname, config)
        info = msgspec.structs.replace(task(offer.agent_id, task_id), data=binary.encode(assigned))
        await self.engine.launch(offer.id, (info,), 0)

    def run_directory(self, task_id: str) -> Path:
        latest = "agent/slaves/*/frameworks/*/executors/thermos-{}/runs/latest"
        (found,) = self.work_dir.glob(latest.format(task_id))
        return found

    def executor(self, task_id: str) -> Identity:
        """The latest one's process, once it has claimed the run."""
        found = latest_executor(self.work_dir / "agent/meta" / self.run_directory(task_id).readlink().name)
        assert found is not None
        return found

    def sleeper(self, task_id: str) -> int:
        """The pid of the task's only process."""
        return int((self.run_directory(task_id) / "sandbox/pid").read_text())


def task(agent_id: str, task_id: str, cpus: float = 1.0, ports: tuple[int, ...] = (), **orders: Any) -> TaskInfo:
    config = TaskConfig(executor_config=ExecutorConfig("AuroraExecutor", json.dumps(orders)))
    resources = (
        Resource("cpus", scalar=cpus),
        Resource("mem", scalar=64.0),
        Resource("ports", ranges=tuple((port, port) for port in ports)),
    )
    return TaskInfo(
        task_id=task_id,
        name="www/prod/hello",
        agent_id=agent_id,
        resources=resources,
        executor_id=f"thermos-{task_id}",
        executor_resources=(Resource("cpus", scalar=0.25),),
        source="www.prod.hello.0",
        labels=(),
        data=binary.encode(AssignedTask(task_id=task_id, slave_id=agent_id, task=config)),
    )


def job_data(thermos: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A job around a thermos task, of the user who runs this."""
    job = {"cluster": "c", "role": current_user().name, "environment": "test", "name": "job"}
    return {**job, "task": thermos, **fields}


@asynccontextmanager
async def running(
    work_dir: Path,
    *,
    machine: Amounts = MACHINE,
    patience: Patience = PATIENCE,
    gc_delay_s: float = 1000.0,
    acknowledging: bool = True,
    restarts: Restarts = RESTARTS,
    launcher: tuple[str, ...] = STAND_IN,
    executor_arguments: tuple[str, ...] = (),
    hierarchy: Hierarchy | None = None,
) -> AsyncIterator[Rig]:
    """An engine on `work_dir`; it stops, and its executors go on, at the end of the block."""
    engine = LocalEngine(
        work_dir,
        "localhost",
        machine,
        now_ms,
        patience=patience,
        restarts=restarts,
        retention=Policy(max_age_s=gc_delay_s),
        launcher=launcher,
        executor_arguments=executor_arguments,
        hierarchy=hierarchy,
    )
    send, receive = trio.open_memory_channel[Event](math.inf)
    async with trio.open_nursery() as nursery:
        rig = Rig(engine, work_dir, nursery.cancel_scope)
        rig.acknowledging = acknowledging
        nursery.start_soon(engine.run, send, None)
        nursery.start_soon(rig.take, receive)
        yield rig
        rig.stop()


def latest_executor(meta: Path) -> Identity | None:
    """Of the executors that took over from each other, the last that claimed this run."""
    claims = sorted(meta.glob("executor*"), key=lambda place: int(place.suffix[1:] or 0))
    found = [claimed for place in claims if (claimed := claimant(place)) not in (None, NOBODY)]
    return found[-1] if found else None


def end_leftovers(work_dir: Path) -> list[str]:
    """Kill the executors that a test left, so that none outlives it; their runs."""
    left = []
    for meta in work_dir.glob("agent/meta/*"):
        found = latest_executor(meta)
        if found is not None and lives(found):
            os.kill(found.pid, signal.SIGKILL)
            left.append(meta.name)
    return left
