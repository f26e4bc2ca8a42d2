"""One seed: some machines and a storm, then the quiet after it, in which all must come to a good end."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

from tests.simulation.log import faults
from tests.simulation.log.clients import Client
from tests.simulation.log.history import History
from tests.simulation.log.judge import Judge
from tests.simulation.log.machine import FAST_S, Machine
from tests.simulation.log.network import Network, Weather
from tests.simulation.log.process import Process
from tests.simulation.log.timeline import Timeline, Trace
from tests.simulation.trace import Violation

ELECTED_WITHIN_S, APPENDED_WITHIN_S, CAUGHT_UP_WITHIN_S = 60.0, 30.0, 120.0
"""After the storm."""
ADDRESSES = "abcdefghijklmnop"


class Stress(NamedTuple):
    """What a seed is to be full of; None: it draws that."""

    faults: tuple[faults.Fault, ...] | None = None
    size: int | None = None
    initialize: bool | None = None
    weather: Weather | None = None
    seconds: float | None = None
    reads: float | None = None


DRAWN = Stress()


class Result(NamedTuple):
    seed: int
    violations: list[Violation]
    trace: list[str]
    acknowledged: int
    leaders: int


class World:
    def __init__(self, seed: int, stress: Stress) -> None:
        self.rng = rng = random.Random(seed)
        self.timeline = Timeline()
        self.trace = Trace(self.timeline)
        self.network = Network(self.timeline, random.Random(rng.random()), self.trace)
        self.history = History()
        self.is_stormy = True
        size = stress.size or rng.choice((3,) * 14 + (5,) * 4 + (1,))
        drawn = size > 1 and rng.random() < 0.1
        self.initialize = drawn if stress.initialize is None else stress.initialize
        """Whether empty members make a log by themselves."""
        self.quorum = size // 2 + 1
        """What the flag says, or will once all were restarted."""
        self.judge = Judge(self.trace, self.history, self.quorum)
        self.fetch_bytes = rng.choice((200, 2000, 1 << 20))
        self.kept_values = rng.choice((2, 16, 4096))
        self.may_try_again = rng.random() < 0.15
        self.machines = [
            Machine(self, address, self.quorum, initialized=not self.initialize) for address in ADDRESSES[:size]
        ]
        self._used = size
        self._lives = 0
        self.weather = stress.weather or _draw_weather(rng)
        self.network.weather = self.weather
        self.reads = rng.choice((0.1, 0.5)) if stress.reads is None else stress.reads
        self.seconds = stress.seconds or rng.choice((8.0, 15.0, 15.0, 30.0))
        self.faults = faults.draw(rng) if stress.faults is None else stress.faults
        self.fault_every_s = rng.choice((0.3, 1.0, 2.0))
        if rng.random() < 0.4:
            for machine in self.machines:
                machine.rate = rng.uniform(0.6, 1.6)
        self.clients = [Client(self, number) for number in range(rng.choice((1, 3, 5)))]

    # --- What there is ---

    def processes(self) -> list[Process]:
        return list(self.network.processes.values())

    def leader(self) -> Process | None:
        """Who leads, if it is not known to be over."""
        leading = [process for process in self.processes() if process.leads]
        return max(leading, key=lambda process: process.member.last, default=None)

    def here(self) -> list[Machine]:
        return [machine for machine in self.machines if not machine.gone]

    def add(self) -> Machine:
        """A new machine, with an empty disk."""
        machine = Machine(self, ADDRESSES[self._used], self.quorum, initialized=False)
        self._used += 1
        self.machines.append(machine)
        machine.start_soon()
        return machine

    @property
    def may_add(self) -> bool:
        return self._used < len(ADDRESSES)

    def next_life(self) -> int:
        self._lives += 1
        return self._lives

    def lost(self, process: Process) -> None:
        """It does not lead any more, so it ends and is started again, by and by."""
        if self.is_stormy and self.may_try_again and self.rng.random() < 0.5:
            process.later(self.rng.uniform(0.1, 1.0), process.may_try_again)
        else:
            process.later(self.rng.uniform(0.0, 0.5), process.machine.end_process, "it leads no more")

    # --- The course of things ---

    def over(self) -> bool:
        return bool(self.trace.violations)

    def run(self) -> None:
        for machine in self.machines:
            machine.start_soon(0.1)
        self.timeline.after(self.rng.uniform(0.3, 1.0), self._somebody_stands)
        for client in self.clients:
            client.later()
        if self.faults:
            self.timeline.after(1.0, self._mishap)
        self.timeline.run(self.seconds, self.over)
        if not self.over():
            self._quiet()

    def _somebody_stands(self) -> None:
        """Who stands next is whoever believes so, and that may be several."""
        if not self.is_stormy:
            return
        self.timeline.after(self.rng.uniform(0.2, 2.0), self._somebody_stands)
        if self.leader() is None or self.rng.random() < 0.1:
            candidates = self.processes()
            self.rng.shuffle(candidates)
            for process in candidates[: self.rng.choice((1, 1, 1, 2, 3))]:
                process.enter(process.elect)

    def _mishap(self) -> None:
        if self.is_stormy:
            self.timeline.after(self.rng.expovariate(1 / self.fault_every_s), self._mishap)
            self.rng.choice(self.faults)(self)

    def _quiet(self) -> None:
        self.trace("", "the storm is over")
        self.is_stormy = False
        self.network.heal()
        for machine in self.here():
            machine.fill(False)
            machine.sync_s = FAST_S
            machine.disk.steps_left = None
            machine.disk.sync_error = None
            if machine.quorum == 1:
                machine.mend()
            elif machine.quorum != self.quorum or machine.flipped:
                machine.quorum = self.quorum
                machine.restart()
            if machine.process is not None:
                machine.process.frozen_until = machine.process.view_frozen_until = 0.0
        while len(self.here()) < 2 * self.quorum - 1:
            self.add()
        self._stand_until_one_leads()
        self._wait(ELECTED_WITHIN_S, "a leader in the end", lambda: self.leader() is not None, self._why_no_leader)
        last = Client(self, 99)
        last.write_until_done()
        self._wait(APPENDED_WITHIN_S, "an append in the end", lambda: last.is_done, self._why_no_leader)
        self._wait(CAUGHT_UP_WITHIN_S, "all catch up", self._all_are_well, self._stands)
        if not self.over():
            self.judge.look_at_disks(self.here())
            self.judge.look_at_history()

    def _stand_until_one_leads(self) -> None:
        self.timeline.after(1.0, self._stand_until_one_leads)
        for machine in self.here():
            machine.start()
        if self.leader() is None:
            fit = [process for process in self.processes() if process.member.unfit() is None]
            if fit and not any(process.electing for process in self.processes()):
                self.rng.choice(fit).enter(self.rng.choice(fit).elect)

    def _wait(self, seconds: float, rule: str, until: Callable[[], bool], why: Callable[[], str]) -> None:
        self.timeline.run(self.timeline.now + seconds, lambda: self.over() or until())
        if not self.over() and not until():
            self.trace.violated(rule, f"not within {seconds:g} s: {why()}")

    def _all_are_well(self) -> bool:
        leader = self.leader()
        if leader is None:
            return False
        end = leader.member.end
        return all(
            machine.process is not None
            and machine.process.votes
            and not machine.process.writing
            and machine.process.delivered == end
            for machine in self.here()
        )

    def _why_no_leader(self) -> str:
        return "; ".join(
            f"{process.address} {process.member.unfit() or process.refused or 'could'}" for process in self.processes()
        )

    def _stands(self) -> str:
        return "; ".join(
            f"{process.address} {process.member.status.name} {process.delivered} of {process.member.end}"
            f"{' leads' if process.leads else ''}"
            for process in self.processes()
        )


def _draw_weather(rng: random.Random) -> Weather:
    return Weather(
        lost=rng.choice((0.0, 0.02, 0.2)),
        twice=rng.choice((0.0, 0.1)),
        delay_s=rng.choice((0.002, 0.05, 0.3)),
        late=rng.choice((0.0, 0.02, 0.1)),
        late_s=rng.choice((1.0, 8.0)),
        in_order=rng.random() < 0.4,
    )


def run_seed(seed: int, stress: Stress = DRAWN, *, told: bool = False) -> Result:
    """`told`: with its trace, even if nothing is wrong."""
    world = World(seed, stress)
    with mock.patch("aurorad.log.recent.KEEP_VALUES", world.kept_values):
        try:
            world.run()
        except Exception as error:
            tail = "".join(traceback.format_exception(error)[-6:])
            world.trace.violated("nothing breaks", f"{type(error).__name__}: {error}\n{tail}")
    violations = world.trace.violations
    lines = world.trace.lines() if told or violations else []
    return Result(seed, violations, lines, len(world.judge.acked), len(world.judge.leaders))
