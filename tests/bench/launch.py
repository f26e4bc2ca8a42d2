"""How long the local engine takes from `launch` to TASK_RUNNING, with real executors running a trivial task."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from pathlib import Path

import trio

from aurorad.api import binary
from aurorad.api.tasks import AssignedTask, ExecutorConfig, JobKey, TaskConfig
from aurorad.engine.base import Event, Offer, Offers, Resource, StatusUpdate, TaskInfo, TaskState
from aurorad.engine.local.capacity import amounts
from aurorad.engine.local.engine import LocalEngine
from executor.sandbox import current_user

LAUNCHES = 30
MACHINE = amounts({"cpus": 1000, "mem": 1 << 20, "disk": 1 << 20})
GOAL = "well under 100 ms"  # of the 250 ms from `job create` answered to RUNNING

Figure = tuple[str, str, str]  # what, measured, goal


def figures() -> list[Figure]:
    """One task after the other, then all of them at once."""
    with tempfile.TemporaryDirectory() as work_dir:
        single, at_once = trio.run(_measure, Path(work_dir))
    each = statistics.quantiles(single, n=10)
    return [
        ("launch to RUNNING on the local engine, median", f"{statistics.median(single) * 1000:.0f} ms", GOAL),
        ("launch to RUNNING on the local engine, 90 %", f"{each[-1] * 1000:.0f} ms", ""),
        (f"{LAUNCHES} launches at once to the last RUNNING", f"{at_once * 1000:.0f} ms", ""),
    ]


async def _measure(work_dir: Path) -> tuple[list[float], float]:
    engine = LocalEngine(work_dir, "localhost", MACHINE, lambda: time.time_ns() // 1_000_000)
    send, receive = trio.open_memory_channel[Event](math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, send, None)
        offer = await first_offer(receive)
        await launch(engine, receive, offer, ["warm-up"])  # the launcher is importing
        single = [await launch(engine, receive, offer, [f"single-{n}"]) for n in range(LAUNCHES)]
        at_once = await launch(engine, receive, offer, [f"together-{n}" for n in range(LAUNCHES)])
        await engine.stop_all_tasks()
        nursery.cancel_scope.cancel()
    return single, at_once


async def first_offer(events: trio.MemoryReceiveChannel[Event]) -> Offer:
    while True:
        event = await events.receive()
        if isinstance(event, Offers):
            return event.offers[0]


async def launch(
    engine: LocalEngine, events: trio.MemoryReceiveChannel[Event], offer: Offer, task_ids: list[str]
) -> float:
    """Seconds until all of them run. The first offer serves them all, as long as the machine does."""
    start = time.perf_counter()
    await engine.launch(offer.id, tuple(_task(offer.agent_id, task_id) for task_id in task_ids), 0)
    waiting = set(task_ids)
    while waiting:
        event = await events.receive()
        if isinstance(event, StatusUpdate):
            await engine.acknowledge(event)
            assert event.state in (TaskState.TASK_STARTING, TaskState.TASK_RUNNING), event
            if event.state is TaskState.TASK_RUNNING:
                waiting.remove(event.task_id)
    return time.perf_counter() - start


def _task(agent_id: str, task_id: str) -> TaskInfo:
    process = {"name": "sleep", "cmdline": "sleep 1000"}
    data = {"role": current_user().name, "environment": "prod", "name": "hello", "cluster": "devcluster"}
    job = JobKey(current_user().name, "prod", "hello")
    config = TaskConfig(
        job=job,
        executor_config=ExecutorConfig(
            "AuroraExecutor", json.dumps({**data, "task": {"name": "hello", "processes": [process]}})
        ),
    )
    return TaskInfo(
        task_id=task_id,
        name="hello",
        agent_id=agent_id,
        resources=(Resource("cpus", scalar=0.1), Resource("mem", scalar=16.0)),
        executor_id=f"thermos-{task_id}",
        executor_resources=(),
        source="hello",
        labels=(),
        data=binary.encode(AssignedTask(task_id=task_id, slave_id=agent_id, slave_host="localhost", task=config)),
    )


if __name__ == "__main__":
    for figure in figures():
        print("{:50} {:>10}  {}".format(*figure))
