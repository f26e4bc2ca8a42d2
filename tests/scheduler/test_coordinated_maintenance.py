"""Drains of tasks whose jobs have coordinators, which are real servers."""

from __future__ import annotations

import json

import msgspec
import trio

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import CoordinatorSlaPolicy, SlaPolicy, TaskConfig
from aurorad.flags import Flags
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config
from tests.web_servers import answer, hanging, request, server

S = ScheduleStatus
YES, NO = answer(b'{"drain": true}'), answer(b'{"drain": false}')


def a_world() -> World:
    engine = PretendEngine(Agent("h1"))
    engine.start_delay_s = engine.kill_delay_s = 0.001
    return World(engine, Flags(host_maintenance_polling_interval=0.05))


def coordinated(url: str) -> TaskConfig:
    policy = SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy(url))
    return msgspec.structs.replace(config(), sla_policy=policy)


async def until_drained(world: World) -> None:
    await world.until(lambda: world.tables.hosts["h1"].mode is MaintenanceMode.DRAINED)


async def test_tasks_go_when_their_coordinator_agrees() -> None:
    """Also of small jobs and other tiers than production."""
    countdowns: list[int] = []

    async def decide(stream: trio.SocketStream) -> None:
        _, body = await request(stream)
        countdowns.append(int(json.loads(body)["forceMaintenanceCountdownMs"]))
        await stream.send_all(YES if len(countdowns) > 3 else NO)

    async with server(decide) as url, a_world().running() as world:
        await world.create(coordinated(url), 2)
        await world.until_count(S.RUNNING, 2)
        await world.scheduler.maintenance.drain_patiently(["h1"], None, 1000)
        await until_drained(world)
        assert len(countdowns) == 5
        assert all(0 < countdown_ms <= 1_000_000 for countdown_ms in countdowns)
        assert world.stats.get("sla_coordinator_success") == 5


async def test_when_patience_ends_a_coordinator_that_hangs_does_not_matter() -> None:
    async with server(hanging) as url, a_world().running() as world:
        (task_id,) = await world.create(coordinated(url))
        await world.until_count(S.RUNNING, 1)
        await world.scheduler.maintenance.drain_patiently(["h1"], None, 1)
        await trio.sleep(0.3)
        assert world.scheduler.maintenance.waits_for("h1") == {task_id: "its SLA coordinator is being asked"}
        assert world.stats.get("sla_coordinator_attempts") == 1
        await until_drained(world)


async def test_an_answer_that_comes_when_the_drain_was_called_off_does_nothing() -> None:
    asked, release, answered = trio.Event(), trio.Event(), trio.Event()

    async def slowly(stream: trio.SocketStream) -> None:
        await request(stream)
        asked.set()
        await release.wait()
        await stream.send_all(YES)
        answered.set()

    async with server(slowly) as url, a_world().running() as world:
        (task_id,) = await world.create(coordinated(url))
        await world.until_count(S.RUNNING, 1)
        maintenance = world.scheduler.maintenance
        await maintenance.drain_patiently(["h1"], None, 1000)
        await asked.wait()
        await maintenance.end(["h1"])
        release.set()
        await answered.wait()
        await trio.sleep(0.1)
        assert world.task(task_id).status is S.RUNNING
        await maintenance.drain_patiently(["h1"], None, 1000)
        await until_drained(world)


async def test_it_may_be_cancelled_while_a_coordinator_thinks() -> None:
    async with server(hanging) as url, a_world().running() as world:
        (task_id,) = await world.create(coordinated(url))
        await world.until_count(S.RUNNING, 1)
        await world.scheduler.maintenance.drain_patiently(["h1"], None, 2)
        await trio.sleep(0.2)
        await world.restart()
        assert world.task(task_id).status is S.RUNNING
        await until_drained(world)
