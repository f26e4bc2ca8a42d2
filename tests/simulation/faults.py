"""What goes wrong: each fault is a loop of its own, until the storm is over. A seed draws which of them it has."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from tests.simulation.determinism import AfterSteps, seeded
from tests.simulation.member import Member
from tests.simulation.node import Node

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

Fault = Callable[["Simulation"], Awaitable[None]]


def draw(simulation: Simulation) -> list[Fault]:
    """Any of them, or none: some things show best in calm weather."""
    rng = seeded(simulation.seed, "faults")
    if rng.random() < 0.1:
        return []
    alone = [fault for fault in FAULTS if rng.random() < 0.45]
    return alone + [fault for fault in FAULTS_OF_GROUPS if simulation.group > 1 and rng.random() < 0.4]


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
    async for _ in _moments(simulation, rng.uniform(8, 25)):
        connections = [node.connection for node in simulation.nodes if node.connection is not None]
        if connections:
            rng.choice(connections).break_for(rng.choice((0.01, 1.0, 10.0)) * rng.random())


async def cut_hosts(simulation: Simulation) -> None:
    """Hosts that are cut off or crash, and come back before they are given up, or after."""
    rng = seeded(simulation.seed, "cut hosts")
    async for _ in _moments(simulation, rng.uniform(10, 30)):
        host = rng.choice(simulation.cluster.hosts)
        if host.is_up and host.is_linked:
            (simulation.cluster.crash if rng.random() < 0.3 else simulation.cluster.cut)(host)
            simulation.timeline.after(rng.uniform(0.5, 30), lambda host=host: simulation.cluster.back(host))


async def rescinds(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "rescinds")
    async for _ in _moments(simulation, rng.uniform(0.5, 5)):
        simulation.cluster.rescind_one()


async def crashes(simulation: Simulation) -> None:
    """At a moment, at an await of any task, at a call of the disk; with and without what the disk had not synced."""
    rng = seeded(simulation.seed, "crashes")
    async for _ in _moments(simulation, rng.uniform(5, 25)):
        if not simulation.nodes:
            continue
        node = _a_node(simulation, rng)
        power_loss = rng.random() < 0.5
        match rng.randrange(3):
            case 0:
                node.crash(power_loss)
            case 1:
                instrument = AfterSteps(rng.randrange(1, 200), lambda node=node, how=power_loss: node.crash(how))
                trio.lowlevel.add_instrument(instrument)
            case 2:
                node.disk.steps_left = rng.randrange(12)


async def full_disk(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "full disk")
    async for _ in _moments(simulation, rng.uniform(10, 30)):
        if simulation.nodes:
            node = _a_node(simulation, rng)
            node.disk.room = rng.randrange(3000)
            simulation.trace("disk", f"has room for {node.disk.room} bytes")
            await trio.sleep(rng.uniform(0.1, 8))
            node.disk.room = 1 << 40
            simulation.trace("disk", "has room again")


async def slow_disk(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "slow disk")
    async for _ in _moments(simulation, rng.uniform(5, 15)):
        simulation.pace.slowness = rng.choice((1.0, 20.0, 500.0))


async def clock_jumps(simulation: Simulation) -> None:
    """Somebody sets the wall clock."""
    rng = seeded(simulation.seed, "clock")
    async for _ in _moments(simulation, rng.uniform(10, 30)):
        simulation.clock_ms += round(rng.uniform(-20_000, 20_000))
        simulation.trace("clock", f"is set to {simulation.now_ms()}")


async def bad_wires(simulation: Simulation) -> None:
    """Between schedulers."""
    rng, odds = seeded(simulation.seed, "bad wires"), simulation.wire_odds
    odds.loss = rng.choice((0.0, 0.02, 0.1))
    odds.repetition = rng.choice((0.0, 0.1))
    odds.delay_s = rng.choice((0.002, 0.02, 0.3))
    odds.straggling = rng.choice((0.0, 0.05, 0.2))
    odds.straggle_s = rng.choice((0.5, 5.0))


async def partitions(simulation: Simulation) -> None:
    """Some schedulers do not reach the others, or cannot be reached by them, or both."""
    rng = seeded(simulation.seed, "partitions")
    addresses = [seat.address for seat in simulation.seats]
    async for _ in _moments(simulation, rng.uniform(8, 25)):
        leading = [node.address for node in simulation.members if node.is_serving]
        some = leading if leading and rng.random() < 0.5 else rng.sample(addresses, rng.randint(1, len(addresses) // 2))
        ways = [(one, other) for one in some for other in addresses if other not in some]
        back = [way[::-1] for way in ways]
        cut = rng.choice((ways, back, ways + back, ways + back))
        simulation.trace("wires", f"cut {' '.join(f'{one}>{other}' for one, other in cut)}")
        simulation.wires.cut.update(cut)
        from_election = some if rng.random() < 0.5 else []
        simulation.around.election.cut.update(from_election)
        await trio.sleep(rng.choice((1.0, 5.0, 20.0)) * rng.random())
        simulation.wires.cut.difference_update(cut)
        simulation.around.election.cut.difference_update(from_election)
        simulation.trace("wires", "are mended")


async def lost_sessions(simulation: Simulation) -> None:
    """Who leads is told that it does not, or does not hear that it does not."""
    rng = seeded(simulation.seed, "sessions")
    async for _ in _moments(simulation, rng.uniform(8, 25)):
        if rng.random() < 0.5:
            simulation.around.election.expire_one()
            continue
        one = rng.choice(simulation.seats).address
        simulation.trace("election", f"{one} is cut off")
        simulation.around.election.cut.add(one)
        await trio.sleep(rng.uniform(0, 20))
        simulation.around.election.cut.discard(one)


async def dethroned(simulation: Simulation) -> None:
    """Who leads does not hear that its session ends, and for a moment does not reach the others either."""
    rng = seeded(simulation.seed, "dethroned")
    addresses = [seat.address for seat in simulation.seats]
    async for _ in _moments(simulation, rng.uniform(8, 16)):
        leading = [node for node in simulation.members if node.is_serving and node.connection is not None]
        if leading:
            node = rng.choice(leading)
            one, lasts_s = node.address, rng.uniform(1, 4)
            cut = [way for other in addresses if other != one for way in ((one, other), (other, one))]
            simulation.trace("wires", f"{one} is cut off from all, and its session ends")
            simulation.around.election.cut.add(one)
            simulation.wires.cut.update(cut)
            node.connection.break_for(lasts_s)
            await trio.sleep(rng.random() / 2)
            simulation.around.election.expire(one)
            await trio.sleep(lasts_s)
            simulation.wires.cut.difference_update(cut)
            simulation.trace("wires", "are mended")
            await trio.sleep(rng.uniform(0, 5))
            simulation.around.election.cut.discard(one)


async def freezes(simulation: Simulation) -> None:
    """A scheduler stands still, and goes on as if nothing had been."""
    rng = seeded(simulation.seed, "freezes")
    async for _ in _moments(simulation, rng.uniform(8, 20)):
        if simulation.members:
            node = _a_node(simulation, rng)
            assert not isinstance(node, Node)
            simulation.trace("node", f"{node.address} stands still")
            node.freeze()
            await trio.sleep(rng.choice((0.5, 5.0, 15.0)) * rng.random())
            node.go_on()
            simulation.engine_judge.awake_s = trio.current_time()
            simulation.trace("node", f"{node.address} goes on")


async def lost_disks(simulation: Simulation) -> None:
    """One at a time, when all the others vote: whoever lost its disk votes no more until it has learned everything."""
    rng = seeded(simulation.seed, "lost disks")
    async for _ in _moments(simulation, rng.uniform(8, 25)):
        seat = rng.choice(simulation.seats)
        others = [other for other in simulation.seats if other is not seat]
        if any(other.is_lost for other in simulation.seats):
            continue
        if all(other.node is not None and other.node in simulation.nodes and other.node.votes for other in others):
            seat.is_lost = True
            simulation.trace("node", f"{seat.address} loses its disk")
            if seat.node is not None:
                seat.node.crash(power_loss=True)


async def different_clocks(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "clocks")
    for seat in simulation.seats:
        seat.clock_ms = round(rng.uniform(-5000, 5000))


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
FAULTS_OF_GROUPS: tuple[Fault, ...] = (
    bad_wires,
    partitions,
    lost_sessions,
    dethroned,
    freezes,
    lost_disks,
    different_clocks,
)


def _a_node(simulation: Simulation, rng: random.Random) -> Node | Member:
    """Often who leads."""
    leading = [node for node in simulation.nodes if node.is_serving]
    return rng.choice(leading if leading and rng.random() < 0.6 else simulation.nodes)


async def _moments(simulation: Simulation, mean_s: float):  # type: ignore[no-untyped-def]
    """At random, until the storm has passed."""
    rng = seeded(simulation.seed, f"moments {mean_s}")
    while True:
        wait_s = rng.expovariate(1 / mean_s)
        if trio.current_time() + wait_s > simulation.storm_s or simulation.is_condemned:
            return
        await trio.sleep(wait_s)
        yield
