"""What goes wrong: each fault is a loop of its own, until the storm is over. A seed draws which of them it has."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from tests.simulation.determinism import AfterSteps, seeded
from tests.simulation.member import Member
from tests.simulation.node import Node

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

Fault = Callable[["Simulation"], Awaitable[None]]


def draw(rng: random.Random) -> list[Fault]:
    """Any of them, or none: some things show best in calm weather."""
    return [fault for fault in FAULTS if rng.random() < 0.45]


async def bad_network(simulation: Simulation) -> None:
    rng, odds = seeded(simulation.seed, "bad network"), simulation.odds
    odds.loss = rng.choice((0.0, 0.03, 0.15))
    odds.repetition = rng.choice((0.0, 0.1))
    odds.delay_s = rng.choice((0.002, 0.1, 1.0))
    odds.straggling = rng.choice((0.0, 0.1, 0.5))
    odds.straggle_s = rng.choice((1.0, 10.0))


async def lost_messages(simulation: Simulation) -> None:
    """Nearly half of them."""
    simulation.odds.loss = 0.4


async def broken_connections(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "connections")
    async for _ in moments(simulation, rng.uniform(8, 25)):
        connections = [node.connection for node in simulation.nodes if node.connection is not None]
        if connections:
            rng.choice(connections).break_for(rng.choice((0.01, 1.0, 10.0)) * rng.random())


async def cut_hosts(simulation: Simulation) -> None:
    """Hosts that are cut off or crash, and come back before they are given up, or after."""
    rng = seeded(simulation.seed, "cut hosts")
    async for _ in moments(simulation, rng.uniform(10, 30)):
        host = rng.choice(simulation.cluster.hosts)
        if host.is_up and host.is_linked:
            (simulation.cluster.crash if rng.random() < 0.3 else simulation.cluster.cut)(host)
            simulation.timeline.after(rng.uniform(0.5, 30), partial(simulation.cluster.back, host))


async def rescinds(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "rescinds")
    async for _ in moments(simulation, rng.uniform(0.5, 5)):
        simulation.cluster.rescind_one()


async def crashes(simulation: Simulation) -> None:
    """At a moment, at an await of any task, at a call of the disk; with and without what the disk had not synced."""
    rng = seeded(simulation.seed, "crashes")
    async for _ in moments(simulation, rng.uniform(5, 25)):
        if not simulation.nodes:
            continue
        node = a_node(simulation, rng)
        power_loss = rng.random() < 0.5
        match rng.randrange(3):
            case 0:
                node.crash(power_loss)
            case 1:
                instrument = AfterSteps(rng.randrange(1, 200), partial(node.crash, power_loss))
                trio.lowlevel.add_instrument(instrument)
            case 2:
                node.disk.steps_left = rng.randrange(12)


async def full_disk(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "full disk")
    async for _ in moments(simulation, rng.uniform(10, 30)):
        if simulation.nodes:
            node = a_node(simulation, rng)
            node.disk.room = rng.randrange(3000)
            simulation.trace("disk", f"has room for {node.disk.room} bytes")
            await trio.sleep(rng.uniform(0.1, 8))
            node.disk.room = 1 << 40
            simulation.trace("disk", "has room again")


async def slow_disk(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "slow disk")
    async for _ in moments(simulation, rng.uniform(5, 15)):
        simulation.pace.slowness = rng.choice((1.0, 20.0, 500.0))


async def clock_jumps(simulation: Simulation) -> None:
    """Somebody sets the wall clock."""
    rng = seeded(simulation.seed, "clock")
    async for _ in moments(simulation, rng.uniform(10, 30)):
        simulation.clock_ms += round(rng.uniform(-20_000, 20_000))
        simulation.trace("clock", f"is set to {simulation.now_ms()}")


FAULTS: tuple[Fault, ...] = (
    bad_network,
    broken_connections,
    cut_hosts,
    rescinds,
    crashes,
    full_disk,
    slow_disk,
    clock_jumps,
)


def a_node(simulation: Simulation, rng: random.Random) -> Node | Member:
    """Often who leads."""
    leading = [node for node in simulation.nodes if node.is_serving]
    return rng.choice(leading if leading and rng.random() < 0.6 else simulation.nodes)


async def moments(simulation: Simulation, mean_s: float) -> AsyncIterator[None]:
    """At random, until the storm has passed."""
    rng = seeded(simulation.seed, f"moments {mean_s}")
    while True:
        wait_s = rng.expovariate(1 / mean_s)
        if trio.current_time() + wait_s > simulation.storm_s or simulation.is_condemned:
            return
        await trio.sleep(wait_s)
        yield
