"""The engine gives a cluster a clock."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from aurorad.engine.base import Event, Offers, Registered, StatusUpdate, TaskState
from aurorad.engine.simulated.agents import agent
from aurorad.engine.simulated.cluster import Cluster
from aurorad.engine.simulated.engine import SimulatedEngine
from tests.engine.simulated.test_cluster import info


@asynccontextmanager
async def running(engine: SimulatedEngine) -> AsyncIterator[trio.MemoryReceiveChannel[Event]]:
    send, events = trio.open_memory_channel[Event](math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, send, None)
        yield events
        nursery.cancel_scope.cancel()


async def offer(events: trio.MemoryReceiveChannel[Event]) -> str:
    event = await events.receive()
    assert isinstance(event, Offers)
    return event.offers[0].id


async def test_a_task_starts_runs_and_is_killed_in_its_time(autojump_clock: MockClock) -> None:
    engine = SimulatedEngine(Cluster([agent("a", "h")]))
    async with running(engine) as events:
        assert await events.receive() == Registered("local")
        await engine.launch(await offer(events), (info("t"),), 0)
        await offer(events)
        heard = []
        for _ in range(2):
            event = await events.receive()
            assert isinstance(event, StatusUpdate)
            heard.append((event.state, round(trio.current_time(), 2)))
            await engine.acknowledge(event)
        await trio.sleep(100)
        await engine.kill("t")
        event = await events.receive()
        assert isinstance(event, StatusUpdate)
        heard.append((event.state, round(trio.current_time() - 100, 2)))
    assert heard == [
        (TaskState.TASK_STARTING, 0.15),
        (TaskState.TASK_RUNNING, 0.3),
        (TaskState.TASK_KILLED, 0.45),
    ]


async def test_tasks_go_on_while_nobody_listens(autojump_clock: MockClock) -> None:
    engine = SimulatedEngine(Cluster([agent("a", "h")]))
    async with running(engine) as events:
        await events.receive()
        await engine.launch(await offer(events), (info("t"),), 0)
    await trio.sleep(100)
    async with running(engine) as events:
        assert await events.receive() == Registered("local")
        first = await events.receive()
        assert isinstance(first, StatusUpdate)
        assert first.state is TaskState.TASK_STARTING
        await engine.reconcile(("t", "u"))
        states: list[TaskState] = []
        while len(states) < 2:
            event = await events.receive()
            if isinstance(event, StatusUpdate) and event.uuid is None:
                states.append(event.state)
        assert states == [TaskState.TASK_RUNNING, TaskState.TASK_LOST]


async def test_the_framework_id_is_the_one_that_was_given() -> None:
    send, events = trio.open_memory_channel[Event](math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(SimulatedEngine(Cluster()).run, send, "mine")
        assert await events.receive() == Registered("mine")
        nursery.cancel_scope.cancel()
