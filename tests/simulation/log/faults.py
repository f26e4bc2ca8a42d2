"""What goes wrong. **A new fault is one function in `FAULTS`.**

Only what must be survivable is injected: a disk is lost, damaged or exchanged only as long as a quorum of those who
vote is unharmed, by any configuration that may count.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from aurorad.log.messages import Configuration, Status, Wrote
from tests.simulation.log.machine import FAST_S, Machine

if TYPE_CHECKING:
    from tests.simulation.log.simulation import World

Fault = Callable[["World"], None]


def draw(rng: random.Random) -> tuple[Fault, ...]:
    """Any of them, or none: some things show best in calm weather."""
    if rng.random() < 0.05:
        return ()
    return tuple(fault for fault in FAULTS if rng.random() < 0.4)


# --- Processes, machines, clocks ---


def crashes(world: World) -> None:
    """At any moment, also in the midst of a write."""
    machine = _up(world)
    if machine is not None:
        machine.crash(power=world.rng.random() < 0.5)
        machine.start_soon(world.rng.choice((0.2, 2.0, 6.0)))


def crashes_at_a_call_of_the_disk(world: World) -> None:
    """Any call but those that only read, also while it starts."""
    machine = world.rng.choice(world.here())
    machine.disk.steps_left = world.rng.randrange(12)


def power_cuts(world: World) -> None:
    """All at once."""
    for machine in world.here():
        machine.crash(power=True)
        machine.start_soon(1.0)


def freezes(world: World) -> None:
    """A process that is stopped for a while notices nothing, and goes on."""
    machine = _up(world)
    if machine is not None and machine.process is not None:
        seconds = world.rng.choice((0.1, 1.0, 5.0)) * world.rng.random()
        world.trace(machine.address, f"is frozen for {seconds:.3f} s")
        machine.process.frozen_until = world.timeline.now + seconds


def clocks_jump(world: World) -> None:
    machine = world.rng.choice(world.here())
    machine.jump(world.rng.choice((0.1, 2.0, 60.0)) * world.rng.random())


# --- The network ---


def cuts(world: World) -> None:
    """Pairs, or all around one, in one direction or both, for a while."""
    rng = world.rng
    addresses = [machine.address for machine in world.here()]
    one = rng.choice(addresses)
    others = [address for address in addresses if address != one and rng.random() < rng.choice((0.5, 1.0))]
    cut = {(one, other) for other in others} if rng.random() < 0.7 else set()
    if not cut or rng.random() < 0.7:
        cut |= {(other, one) for other in others}
    world.trace("", "cut:", *sorted(cut))
    world.network.cut |= cut
    if rng.random() < 0.5:
        for other in others:
            world.network.disconnect(one, other)

    def heal() -> None:
        world.trace("", "mended:", *sorted(cut))
        world.network.cut -= cut

    world.timeline.after(rng.choice((0.3, 3.0, 10.0)) * rng.random(), heal)


def leaders_cut_off(world: World) -> None:
    """Who leads hears nobody for a while, its clients apart, and somebody else stands."""
    leader = world.leader()
    if leader is None:
        return
    one, others = leader.address, sorted(leader.others)
    cut = {pair for other in others for pair in ((one, other), (other, one))}
    world.trace("", f"{one} is cut off")
    world.network.cut |= cut
    world.timeline.after(world.rng.uniform(1, 6), world.network.cut.difference_update, cut)
    for other in others[:2]:
        if other in world.network.processes:
            process = world.network.processes[other]
            process.later(world.rng.uniform(0, 1), process.elect)


def reconnects(world: World) -> None:
    rng = world.rng
    addresses = [machine.address for machine in world.here()]
    if len(addresses) > 1:
        world.network.disconnect(*rng.sample(addresses, 2))


def weather_changes(world: World) -> None:
    """It gets better or worse."""
    bad = world.weather
    world.network.weather = world.rng.choice(
        (
            bad,
            bad._replace(lost=0.0, late=0.0),
            bad._replace(lost=0.5),
            bad._replace(late=0.5),
            bad._replace(delay_s=0.6),
        )
    )


def old_views(world: World) -> None:
    """A member does not hear of changes of the group for a while."""
    machine = _up(world)
    if machine is not None and machine.process is not None:
        machine.process.view_frozen_until = world.timeline.now + world.rng.uniform(0.5, 8)


# --- Disks ---


def slow_disks(world: World) -> None:
    machine = world.rng.choice(world.here())
    machine.sync_s = world.rng.choice((FAST_S, FAST_S, 0.05, 0.5, 3.0))


def full_disks(world: World) -> None:
    machine = world.rng.choice(world.here())
    machine.fill(not machine.is_full)
    world.trace(machine.address, "has a full disk" if machine.is_full else "has room again")


def failing_syncs(world: World) -> None:
    """The end of the process."""
    machine = _up(world)
    if machine is not None:
        machine.disk.sync_error = errno.EIO


def disks_lost(world: World) -> None:
    machine = world.rng.choice(world.here())
    if may_lose(world, machine):
        machine.crash(power=True)
        machine.lose_disk()
        machine.start_soon(1.0)


def bits_flip(world: World) -> None:
    """At rest: below a running process, or while there is none."""
    machine = world.rng.choice(world.here())
    if may_lose(world, machine) or machine.quorum == 1:
        if machine.process is not None and world.rng.random() < 0.7:
            machine.crash(power=world.rng.random() < 0.5)
            machine.start_soon(1.0)
        machine.flip()


def unreadable_disks(world: World) -> None:
    """For one start."""
    machine = world.rng.choice(world.here())
    if may_lose(world, machine):
        machine.crash(power=False)
        machine.unreadable = True
        world.trace(machine.address, "cannot be read")
        machine.start_soon(1.0)


def old_disks(world: World) -> None:
    """A copy of a disk is kept, and put back later: whatever it has forgotten, all others know."""
    machine = _up(world)
    if machine is not None:
        machine.keep_copy()
        world.timeline.after(world.rng.uniform(0.5, 5), _put_back, machine)


def _put_back(machine: Machine) -> None:
    world = machine.world
    machine.forget_strange_copies()
    if not (world.is_stormy and machine.copies and may_lose(world, machine) and _others_know(world, machine)):
        return
    machine.crash(power=False)
    if len(machine.papers) == 1 and _others_know(world, machine):
        machine.put_back(world.rng.randrange(len(machine.copies)))
    machine.start_soon(0.3)


# --- Members ---


def machines_replaced(world: World) -> None:
    """One is taken away for good, another with an empty disk comes."""
    machine = world.rng.choice(world.here())
    if world.may_add and may_lose(world, machine):
        world.trace(machine.address, "is taken away")
        machine.crash(power=True)
        machine.gone = True
        world.add()


def machines_move(world: World) -> None:
    """The addresses of two machines are swapped: their disks come up elsewhere."""
    rng = world.rng
    if len(world.here()) < 3:
        return
    one, other = rng.sample(world.here(), 2)
    for machine in (one, other):
        machine.crash(power=True)
        machine.start_soon(0.5)
    one.address, other.address = other.address, one.address
    world.trace("", f"{one.address} and {other.address} have each other's disks")


def growth(world: World) -> None:
    """From three members to five, as it is documented: raise the flag, restart all, add two."""
    machines = world.here()
    if world.quorum != 2 or len(machines) != 3 or not all(_is_sound(machine) for machine in machines):
        return
    ids = frozenset(machine.paper.metadata.member for machine in machines)
    if any(one.ids != ids for machine in machines for one in _configurations(machine)):
        return
    if not all(_configurations(machine) for machine in machines):
        return
    world.trace("", "the quorum is raised to 3")
    world.quorum = 3
    for machine in machines:
        world.timeline.after(world.rng.uniform(0, 3), _raise, machine)
    for _ in range(2):
        world.timeline.after(world.rng.uniform(3, 10), _grow, world)


def _raise(machine: Machine) -> None:
    if machine.quorum != machine.world.quorum:
        machine.quorum = machine.world.quorum
        machine.restart()


def _grow(world: World) -> None:
    if world.is_stormy:
        world.add()


def truncations(world: World) -> None:
    leader = world.leader()
    if leader is not None:
        leader.enter(leader.truncate)


def elections(world: World) -> None:
    """Somebody, or all, believe that they should lead, whoever does."""
    for process in world.processes():
        if world.rng.random() < 0.5:
            process.enter(process.elect)


# --- What may be lost ---


def may_lose(world: World, lost: Machine) -> bool:
    """Whether a quorum of those who vote is unharmed without that one."""
    sound = {machine.paper.metadata.member for machine in world.here() if machine is not lost and _is_sound(machine)}
    configurations = [one for machine in world.here() for one in _configurations(machine)]
    known = all(_configurations(machine) for machine in world.here() if machine is not lost and _is_sound(machine))
    return (
        bool(configurations)
        and known
        and all(len(sound & one.ids) >= max(one.quorum, world.quorum) for one in configurations)
    )


def _is_sound(machine: Machine) -> bool:
    """Its disk votes, and has all that it said."""
    votes = all(paper.metadata.status is Status.VOTING and paper.metadata.member for paper in machine.papers)
    return votes and not machine.flipped and not machine.unreadable and not machine.is_old


def _configurations(machine: Machine) -> list[Configuration]:
    """All that may be the last one on its disk, now or soon."""
    found = [paper.placed().configuration for paper in machine.papers]
    found += [paper.metadata.placed.configuration for paper in machine.papers]
    process = machine.process
    if process is not None:
        records = [*process.writing, *(record for _, records, _ in process.waiting for record in records)]
        found += [
            value
            for record in records
            if isinstance(record, Wrote)
            for value in record.values
            if isinstance(value, Configuration)
        ]
    return [one for one in found if one is not None]


def _others_know(world: World, machine: Machine) -> bool:
    """Whether all others have promised and accepted at least what this one has."""
    mine = machine.paper
    others = [other for other in world.here() if other is not machine]
    return len(others) > 0 and all(
        _is_sound(other)
        and len(other.papers) == 1
        and other.paper.promised >= mine.promised
        and (other.paper.last, other.paper.end) >= (mine.last, mine.end)
        for other in others
    )


def _up(world: World) -> Machine | None:
    up = [machine for machine in world.here() if machine.process is not None]
    return world.rng.choice(up) if up else None


FAULTS: tuple[Fault, ...] = (
    crashes,
    crashes_at_a_call_of_the_disk,
    power_cuts,
    freezes,
    clocks_jump,
    cuts,
    leaders_cut_off,
    reconnects,
    weather_changes,
    old_views,
    slow_disks,
    full_disks,
    failing_syncs,
    disks_lost,
    bits_flip,
    unreadable_disks,
    old_disks,
    machines_replaced,
    machines_move,
    growth,
    truncations,
    elections,
)
