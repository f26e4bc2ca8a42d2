"""What goes wrong among several schedulers; `faults.py` has what befalls any. A new fault is one loop here.

A disk is lost, damaged or exchanged only as long as a quorum of the others is unharmed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from aurorad.log.messages import Status
from tests.log.fake_disk import FakeDisk
from tests.simulation.determinism import seeded
from tests.simulation.faults import Fault, a_node, moments
from tests.simulation.member import Member, new_disk

if TYPE_CHECKING:
    from tests.simulation.seat import Seat
    from tests.simulation.simulation import Simulation


def draw(rng: random.Random) -> list[Fault]:
    return [fault for fault in FAULTS if rng.random() < 0.4]


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
    async for _ in moments(simulation, rng.uniform(8, 25)):
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
    async for _ in moments(simulation, rng.uniform(8, 25)):
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
    async for _ in moments(simulation, rng.uniform(8, 16)):
        leading = [(node, node.connection) for node in simulation.members if node.is_serving and node.connection]
        if leading:
            node, connection = rng.choice(leading)
            one, lasts_s = node.address, rng.uniform(1, 4)
            cut = [way for other in addresses if other != one for way in ((one, other), (other, one))]
            simulation.trace("wires", f"{one} is cut off from all, and its session ends")
            simulation.around.election.cut.add(one)
            simulation.wires.cut.update(cut)
            connection.break_for(lasts_s)
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
    async for _ in moments(simulation, rng.uniform(8, 20)):
        if simulation.members:
            node = a_node(simulation, rng)
            assert isinstance(node, Member)
            simulation.trace("node", f"{node.address} stands still")
            node.freeze()
            await trio.sleep(rng.choice((0.5, 5.0, 15.0)) * rng.random())
            node.go_on()
            simulation.engine_judge.awake_s = trio.current_time()
            simulation.trace("node", f"{node.address} goes on")


async def different_clocks(simulation: Simulation) -> None:
    rng = seeded(simulation.seed, "clocks")
    for seat in simulation.seats:
        seat.clock_ms = round(rng.uniform(-5000, 5000))


# --- Disks ---


async def lost_disks(simulation: Simulation) -> None:
    """Whoever lost its disk votes no more until it has learned everything."""
    rng = seeded(simulation.seed, "lost disks")
    async for _ in moments(simulation, rng.uniform(8, 25)):
        seat = rng.choice(simulation.seats)
        if _may_lose(simulation, seat):
            simulation.trace("node", f"{seat.address} loses its disk")
            seat.exchange = lambda _: new_disk(simulation.rng, initialized=False)
            _crash(seat, power_loss=True)


async def flipped_bits(simulation: Simulation) -> None:
    """In the log, while nobody runs there, or below who does, and starts again a little later."""
    rng = seeded(simulation.seed, "flipped bits")
    async for _ in moments(simulation, rng.uniform(8, 25)):
        seat = rng.choice(simulation.seats)
        if not _may_lose(simulation, seat):
            continue
        seat.harmed_in = seat.life
        if rng.random() < 0.5 and seat.node is not None:
            simulation.trace("node", f"{seat.address} has {_flip(seat.node.disk, rng)} flipped below it")
            await trio.sleep(rng.uniform(0, 3))
            _crash(seat, power_loss=False)
        else:
            seat.exchange = lambda disk: _flipped(disk, rng)
            _crash(seat, power_loss=rng.random() < 0.5)


async def old_disks(simulation: Simulation) -> None:
    """A copy of a disk is kept, and put back later: whatever it has forgotten, all others know."""
    rng = seeded(simulation.seed, "old disks")
    async for _ in moments(simulation, rng.uniform(8, 20)):
        seat = rng.choice(simulation.seats)
        node = seat.node
        if not isinstance(node, Member) or node.is_gone or not node.votes:
            continue
        copy, before = node.disk.after_process_crash(), node.stands
        await trio.sleep(rng.uniform(0.5, 8))
        now = seat.node
        if not (isinstance(now, Member) and not now.is_gone and now.votes and _may_lose(simulation, seat)):
            continue
        if now.stands.member == before.member and all(
            _knows(other, now) for other in simulation.seats if other is not seat
        ):
            simulation.trace("node", f"{seat.address} gets an old disk back")
            seat.exchange, seat.forgot_to = lambda _, copy=copy: copy, now.stands.end
            _crash(seat, power_loss=False)


# --- Members ---


async def replaced(simulation: Simulation) -> None:
    """A machine is taken away for good; another one comes, with an empty disk."""
    rng = seeded(simulation.seed, "replaced")
    async for _ in moments(simulation, rng.uniform(15, 40)):
        seat = rng.choice(simulation.seats)
        if _may_lose(simulation, seat):
            simulation.trace("node", f"{seat.address} is taken away")
            simulation.take_away(seat)
            await trio.sleep(rng.uniform(0, 2))
            simulation.add_seat()


async def growth(simulation: Simulation) -> None:
    """From three to five, as it is documented: the flag on all, restarts, then two more."""
    rng = seeded(simulation.seed, "growth")
    async for _ in moments(simulation, rng.uniform(5, 15)):
        seats = list(simulation.seats)
        if len(seats) != 3 or simulation.around.quorum != 2 or not all(map(_is_sound, seats)):
            continue
        if not all(map(_votes_durably, seats)):
            continue
        simulation.trace("node", "the quorum is raised to 3")
        simulation.around.quorum = 3
        for seat in seats:
            _crash(seat, power_loss=False)
            await trio.sleep(rng.uniform(0, 4))
        for _ in range(2):
            simulation.add_seat()
            await trio.sleep(rng.uniform(0, 4))


def _may_lose(simulation: Simulation, lost: Seat) -> bool:
    """Whether the others are unharmed, and enough."""
    others = [seat for seat in simulation.seats if seat is not lost]
    enough = len(others) >= simulation.around.quorum and lost.exchange is None
    return enough and all(map(_is_sound, others)) and _have_met(simulation, others)


def _have_met(simulation: Simulation, seats: Sequence[Seat]) -> bool:
    """Whether the log counts on these: whom its first leader had not met has no vote until it was heard."""
    states = {member.address: member.log._journal._standing for member in simulation.members if member.log is not None}
    begun = any(state.placed.configuration is not None for state in states.values())
    return not begun or all(states[seat.address].placed.configuration is not None for seat in seats)


def _is_sound(seat: Seat) -> bool:
    """Its disk votes, and has all that it ever said."""
    node = seat.node
    if seat.exchange is not None or seat.harmed_in == seat.life or not isinstance(node, Member) or node.is_gone:
        return False
    return node.votes and node.durably.end >= seat.forgot_to


def _votes_durably(seat: Seat) -> bool:
    assert isinstance(seat.node, Member)
    assert seat.node.log is not None
    return seat.node.log._journal._standing.status is Status.VOTING


def _knows(seat: Seat, other: Member) -> bool:
    """Whether its disk has promised and accepted at least what the other one has."""
    assert isinstance(seat.node, Member)
    mine, its = seat.node.durably, other.stands
    return mine.promised >= its.promised and (mine.last, mine.end) >= (its.last, its.end)


def _crash(seat: Seat, *, power_loss: bool) -> None:
    if seat.node is not None:
        seat.node.crash(power_loss)


def _flipped(disk: FakeDisk, rng: random.Random) -> FakeDisk:
    _flip(disk, rng)
    return disk


def _flip(disk: FakeDisk, rng: random.Random) -> str:
    """A bit of the journal that somebody wrote; where it is."""
    name = rng.choice(sorted(name for name in disk.files if name.endswith(".journal")))
    file = disk.files[name]
    at, mask = rng.randrange(max(1, len(file.now.rstrip(b"\0")))), 1 << rng.randrange(8)
    file.now[at] ^= mask
    if at < len(file.durable):
        file.durable = file.durable[:at] + bytes([file.durable[at] ^ mask]) + file.durable[at + 1 :]
    return f"{name}[{at}]"


FAULTS: tuple[Fault, ...] = (
    bad_wires,
    partitions,
    lost_sessions,
    dethroned,
    freezes,
    lost_disks,
    different_clocks,
    flipped_bits,
    old_disks,
    replaced,
    growth,
)
