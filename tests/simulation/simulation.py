"""One seed: a cluster, a scheduler that crashes and starts again, its users, faults; then quiet, and the reckoning."""

from __future__ import annotations

import gc
import itertools
import logging
import random
from collections.abc import Sequence
from typing import NamedTuple

import trio

from aurorad.api import calls
from aurorad.api.tasks import Attribute, ScheduledTask
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Changes
from tests.log.fake_disk import FakeDisk
from tests.simulation import clients as workload
from tests.simulation import determinism, faults, faults_of_groups
from tests.simulation.clients import Clients
from tests.simulation.cluster import Cluster, machine
from tests.simulation.complaints import Complaints, leaves
from tests.simulation.election import Election
from tests.simulation.ending import Ending
from tests.simulation.engine_judge import EngineJudge
from tests.simulation.hosts import Host
from tests.simulation.impatience import impatient
from tests.simulation.jobs import Fates
from tests.simulation.judge import Judge
from tests.simulation.ledger import Ledger, changes_of
from tests.simulation.member import Around, Member, new_disk
from tests.simulation.network import Connection, Odds
from tests.simulation.node import Node
from tests.simulation.seat import DiskPace, Seat
from tests.simulation.timeline import Timeline
from tests.simulation.trace import Trace, Violation
from tests.simulation.truth import Truth
from tests.simulation.wires import Wires

START_MS = 1_700_000_000_000
LARGE_EVERY = 50
"""One seed in so many is several times as large."""
GROUPS = (1, 1, 3, 3, 5)
"""How many schedulers there are, and how often."""
STRESS_WEIGHT = 20
CHECK_S = 5.0
ENDLESS_STEPS = 100_000
MOST_STEPS = 4000
"""Of all tasks together between two checks. Some hundred are usual, two thousand in a busy moment; more where somebody
goes in circles."""
LONGEST_START_S = 5.0
LONGEST_S = 400.0
"""Longer than any deadline, penalty and interval of the flags below, one after the other: in the quiet after the storm
everything comes to its end within this."""
PATIENCE_S = {"one leads": 40.0, "every update is acknowledged": 60.0, "nothing runs that should not": 200.0}


class Result(NamedTuple):
    seed: int
    violations: list[Violation]
    trace: list[str]


class Stress(NamedTuple):
    """What a simulation is to be full of, rather than what its seed draws."""

    faults: tuple[faults.Fault, ...] | None = None
    actions: tuple[workload.Action, ...] = ()
    group: int | None = None
    """How many schedulers."""


def run_seed(seed: int, stress: Stress = Stress()) -> Result:  # noqa: B008 - a value
    """Simulate. The same seed gives the same trace, byte for byte."""
    trace = Trace()
    pace = DiskPace(determinism.seeded(seed, "disk time"))

    async def simulate() -> None:
        await Simulation(seed, trace, pace, stress).run()

    was_enabled = gc.isenabled()
    gc.disable()
    logging.getLogger("aurorad").addHandler(handler := Complaints(trace))
    logging.getLogger("aurorad").setLevel(logging.WARNING)
    try:
        determinism.run(simulate, seed, pace.draw_s)
    except BaseExceptionGroup as group:
        for error in leaves(group):
            trace.violations.append(Violation("nothing breaks", repr(error)))
            trace.lines.append(f"            VIOLATED  nothing breaks: {error!r}")
    finally:
        logging.getLogger("aurorad").removeHandler(handler)
        logging.getLogger("aurorad").setLevel(logging.NOTSET)
        if was_enabled:
            gc.enable()
    return Result(seed, trace.violations, trace.lines)


class Simulation:
    def __init__(self, seed: int, trace: Trace, pace: DiskPace, stress: Stress) -> None:
        self._stress = stress
        self.seed = seed
        self.trace = trace
        self.rng = determinism.seeded(seed, "simulation")
        self.is_large = seed % LARGE_EVERY == LARGE_EVERY - 1
        size = 4 if self.is_large else self.rng.randint(1, 2)
        self.timeline = Timeline()
        self.odds = Odds()
        self.fates = Fates(determinism.seeded(seed, "fates"))
        network = determinism.seeded(seed, "network")
        self.cluster = Cluster(
            self.timeline,
            determinism.seeded(seed, "cluster"),
            trace,
            partition_aware=self.rng.random() < 0.5,
            agent_timeout_s=self.rng.choice((5.0, 15.0)),
            fate=self.fates.draw,
            delay=lambda: network.random() * self.odds.delay_s,
            is_lost=lambda: self.odds.loss > 0 and network.random() < self.odds.loss,
        )
        self.ledger = Ledger(trace)
        self.engine_judge = EngineJudge(trace, self.ledger, self.cluster)
        self.judge = Judge(trace, self.ledger, ended=self._ended)
        self.cluster.watch = self.engine_judge
        self.flags = impatient(self.rng)
        self.segment_bytes = self.rng.choice((4 << 10, 32 << 10))
        self.storm_s = self.rng.uniform(20, 60) * (3 if self.is_large else 1)
        self.actions = (40 if self.is_large else self.rng.randint(10, 22)) * size
        self.is_storm = True
        self.clock_ms = 0
        """How far the wall clock was set forward."""
        self.pace = pace
        group = determinism.seeded(seed, "group")
        self.group = group.choice(GROUPS) if stress.group is None else stress.group
        disks = determinism.seeded(seed, "disk")
        self.seats = (
            [Seat("scheduler", FakeDisk(disks))]
            if self.group == 1
            else [Seat(f"scheduler-{n}", new_disk(disks, initialized=True)) for n in range(self.group)]
        )
        self.wire_odds = Odds()
        self.wires = Wires(self.timeline, self.wire_odds, determinism.seeded(seed, "wires"))
        self.truth = Truth(trace, self._durable)
        self._connections = itertools.count(1)
        self._reach_rng = determinism.seeded(seed, "reach")
        self.clients = Clients(determinism.seeded(seed, "clients"), trace, self.ledger, self._reachable, size)
        self._network_rng = network
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery
        self._added = 0
        self._steps = determinism.Steps(ENDLESS_STEPS, self._give_up)
        hosts = determinism.seeded(seed, "hosts")
        for number in range(3 * size if self.is_large else hosts.randint(2, 4)):
            self.cluster.add(self._host(number, hosts))

    def now_ms(self) -> int:
        return START_MS + round(trio.current_time() * 1000) + self.clock_ms

    async def run(self) -> None:
        with self._scope:
            await self._run()

    def _give_up(self) -> None:
        """Time does not even pass any more."""
        self.trace.violated("nothing spins", f"{ENDLESS_STEPS} steps and no end")
        self._scope.cancel()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            trio.lowlevel.add_instrument(self._steps)
            nursery.start_soon(self.timeline.run)
            self.around = Around(
                tuple(seat.address for seat in self.seats),
                self.wires,
                Election(self.timeline, determinism.seeded(self.seed, "election"), self.trace),
                self.truth,
                self._new_connection,
                self._led,
            )
            for seat in self.seats:
                nursery.start_soon(self._schedule, seat)
            self._audit()
            async with trio.open_nursery() as storm:
                storm.start_soon(self._act)
                for fault in self._faults() if self._stress.faults is None else self._stress.faults:
                    storm.start_soon(fault, self)
            await self._quiet()
            nursery.cancel_scope.cancel()

    def _faults(self) -> Sequence[faults.Fault]:
        rng = determinism.seeded(self.seed, "faults")
        if rng.random() < 0.1:
            return ()
        alone = faults.draw(rng)
        return alone + faults_of_groups.draw(rng) if self.group > 1 else alone

    def add_seat(self) -> None:
        """One more scheduler, with an empty disk."""
        self._added += 1
        seat = Seat(f"scheduler-{self.group + self._added - 1}", new_disk(self.rng, initialized=False))
        self.seats.append(seat)
        self._tell_addresses()
        self._nursery.start_soon(self._schedule, seat)

    def take_away(self, seat: Seat) -> None:
        """For good."""
        self.seats.remove(seat)
        self._tell_addresses()
        if seat.node is not None:
            seat.node.crash(power_loss=True)

    def _tell_addresses(self) -> None:
        self.trace("node", f"the group is {', '.join(seat.address for seat in self.seats)}")
        self.around.group(frozenset(seat.address for seat in self.seats))

    @property
    def is_condemned(self) -> bool:
        return bool(self.trace.violations)

    @property
    def nodes(self) -> list[Node | Member]:
        """The schedulers that live."""
        return [seat.node for seat in self.seats if seat.node is not None and not seat.node.is_dead]

    @property
    def members(self) -> list[Member]:
        return [node for node in self.nodes if isinstance(node, Member)]

    async def _schedule(self, seat: Seat) -> None:
        """One scheduler after the other, each on what the one before left on the disk."""
        while seat in self.seats:
            seat.life += 1
            self.trace("node", f"{seat.address} starts, number {seat.life}")
            node = seat.node = self._new_node(seat) if self.group == 1 else self._new_member(seat)
            async with trio.open_nursery() as nursery:  # its tasks are its own, to be stopped together
                nursery.start_soon(node.run)
            self.trace("node", f"{seat.address} is dead")
            if node.connection is not None:
                self.engine_judge.offers_void(node.connection)
            seat.disk = node.disk
            await trio.sleep(self.rng.random() * 3)
            if seat.exchange is not None:
                seat.disk, seat.exchange = seat.exchange(seat.disk), None
                self.trace("node", f"{seat.address} has another disk")

    def _new_node(self, seat: Seat) -> Node:
        in_flight = seat.node.in_flight if isinstance(seat.node, Node) else ()
        self.engine_judge.awake_s = trio.current_time() + LONGEST_START_S
        return Node(
            seat.disk,
            self._new_connection(),
            self.flags,
            determinism.seeded(self.seed, f"node {seat.life}"),
            self.now_ms,
            segment_bytes=self.segment_bytes,
            in_flight=in_flight,
            recovered=self._recovered,
            durable=self._durable,
        )

    def _new_member(self, seat: Seat) -> Member:
        rng = determinism.seeded(self.seed, f"{seat.address} {seat.life}")
        return Member(
            seat.address, seat.disk, self.around, self.flags, rng, lambda: self.now_ms() + seat.clock_ms, seat.life
        )

    def _new_connection(self) -> Connection:
        return Connection(
            self.cluster,
            self.timeline,
            self.odds,
            self._network_rng,
            self.trace,
            self.engine_judge,
            next(self._connections),
        )

    def _led(self, member: Member) -> None:
        """It has read the log to its end, and begins to write."""
        self.trace("node", f"{member.address} leads")
        self.engine_judge.awake_s = trio.current_time() + LONGEST_START_S
        assert member.storage is not None
        if self.around.elected is member:
            self.ledger.compare(member.storage.tables, f"when {member.address} begins to lead")

    def _recovered(self, storage: Storage, in_flight: Sequence[Sequence[bytes]]) -> None:
        changes = self.ledger.recovered(storage.tables, in_flight)
        self.trace("node", f"recovered, {len(changes)} changes more than were told")
        if changes:
            self.judge.durable(changes)

    def _durable(self, changes: Changes) -> None:
        self.judge.durable(changes_of(changes))

    def _ended(self, task: ScheduledTask) -> None:
        self.engine_judge.gave_up(task, self.flags.transient_task_state_timeout)

    def _reachable(self) -> Node | Member | None:
        """Who says that it leads; of several, one."""
        serving = [node for node in self.nodes if node.is_serving]
        return self._reach_rng.choice(serving) if serving else None

    def _audit(self) -> None:
        """Now and then: nothing spins; when nothing is on its way to the log, the tables are what the log holds."""
        steps, self._steps.count = self._steps.count, 0
        if steps > MOST_STEPS * self.group * (5 if self.is_large else 1):
            self.trace.violated("nothing spins", f"{steps} steps in {CHECK_S} s")
        for node in self.nodes:
            if isinstance(node, Member):
                self._audit_member(node)
            elif node.is_serving and node.storage._commits.last() is None:
                self.ledger.compare(node.storage.tables, "between writes")
        self.timeline.after(CHECK_S, self._audit)

    def _audit_member(self, member: Member) -> None:
        """Its tables are those at its position; nobody knows more than the log."""
        state, storage, truth = member.state, member.storage, self.truth
        if state is None or member.log is None or member.is_gone:
            return
        if storage is not None:
            leads = self.around.elected is member  # else it may have learned what it does not apply any more
            serves = storage._commits._ready  # whoever stopped took back what it does not know to be in the log
            if leads and serves and storage._commits.last() is None and member.log.end == truth.next:
                self.ledger.compare(storage.tables, f"of {member.address}, between writes")
        elif state.position >= truth.next:
            self.trace.violated("one log", f"{member.address} is at {state.position}, the log ends at {truth.next}")
        elif state.position >= truth.last_entry:
            self.ledger.compare(state.tables, f"of {member.address}, which follows")

    async def _act(self) -> None:
        rng = self.clients.rng
        stress = [(action, STRESS_WEIGHT) for action in self._stress.actions]
        actions, weights = zip(*workload.ACTIONS, *stress, strict=True)
        async with trio.open_nursery() as nursery:
            await trio.sleep(rng.random())
            for first in (workload.set_quota, workload.set_quota, workload.create, workload.schedule_cron):
                nursery.start_soon(first, self.clients)
            for _ in range(self.actions):
                if self.is_condemned:
                    return
                nursery.start_soon(rng.choices(actions, weights)[0], self.clients)
                await trio.sleep(rng.expovariate(self.actions / self.storm_s))

    async def _quiet(self) -> None:
        """No more faults; whatever is unfinished has the time that it may take."""
        self.trace("world", "is quiet")
        self.is_storm = self.fates.is_storm = False
        self.odds.calm()
        self.pace.slowness = 1.0
        self.wire_odds.calm()
        self.wires.cut.clear()
        self.around.election.cut.clear()
        for node in self.nodes:
            node.disk.room = 1 << 40
            if isinstance(node, Member):
                node.go_on()
        for host in self.cluster.hosts:
            self.cluster.back(host)
        overhead = (self.flags.thermos_executor_cpu, round(self.flags.thermos_executor_ram / (1 << 20)))
        ending = Ending(self.ledger, self.cluster, overhead)
        since: dict[tuple[str, str], float] = {}
        while not self.is_condemned:
            await trio.sleep(10.0)
            await self._help_updates()
            now = trio.current_time()
            open_ends = [*ending.open_ends(), *self._leaderless()]
            since = {one: since.get(one, now) for one in open_ends}
            if not since:
                self.trace("world", "is in order")
                return
            for rule, what in since:
                if now - since[rule, what] > PATIENCE_S.get(rule, LONGEST_S):
                    self.trace.violated(rule, what)

    def _leaderless(self) -> list[tuple[str, str]]:
        count = sum(node.is_serving for node in self.nodes)
        return [] if count == 1 else [("one leads", f"{count} of {self.group} do")]

    async def _help_updates(self) -> None:
        """Somebody resumes what waits for a person, and pulses what waits for a pulse."""
        for key, details in list(self.ledger.updates.items()):
            if details.update_events[-1].status.name.endswith(("_PAUSED", "_AWAITING_PULSE")):
                await self.clients.call(calls.PulseJobUpdate(key))
                await self.clients.call(calls.ResumeJobUpdate(key))
            elif details.update.instructions.settings.block_if_no_pulses_after_ms:
                await self.clients.call(calls.PulseJobUpdate(key))

    def _host(self, number: int, rng: random.Random) -> Host:
        name = f"host-{number}"
        attributes = [Attribute("host", frozenset({name})), Attribute("rack", frozenset({f"rack-{number % 2}"}))]
        if number == 3 and rng.random() < 0.3:
            attributes.append(Attribute("dedicated", frozenset({"role-0/x"})))
        resources = machine(rng.choice((2.0, 4.0)), rng.choice((1024, 2048)), 1000, rng.choice((2, 10)))
        return Host(
            name,
            resources,
            frozenset(attributes),
            self.timeline,
            determinism.seeded(self.seed, name),
            self.trace,
            self.cluster.hear,
            self.now_ms,
        )
