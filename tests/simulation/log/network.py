"""What members say to each other, on the way; who is connected with whom; and the group that says who there is."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from aurorad.log.messages import Message, Peer
from tests.simulation.log.timeline import Timeline, Trace

if TYPE_CHECKING:
    from tests.simulation.log.process import Process

DIAL_S = 0.4
TRIES, RETRY_S = 6, 0.3
"""What waits for a connection waits about so long."""


class Weather(NamedTuple):
    """How bad it is: chances, and seconds."""

    lost: float = 0.0
    twice: float = 0.0
    delay_s: float = 0.002
    late: float = 0.0
    late_s: float = 3.0
    in_order: bool = True
    """As long as a connection lasts messages come in their order, each once, and end with it. That is what TCP does;
    the members must bear more than that."""


FAIR = Weather()


class Link(NamedTuple):
    """A connection, that one side dialled; what each said of itself is known to the other."""

    sender: Process
    introduced: int
    receiver: Process


class Network:
    def __init__(self, timeline: Timeline, rng: random.Random, trace: Trace) -> None:
        self.weather = FAIR
        self.cut: set[tuple[str, str]] = set()
        """From whom to whom nothing comes through."""
        self.processes: dict[str, Process] = {}
        """Those that run, by address."""
        self._timeline = timeline
        self._rng = rng
        self._trace = trace
        self._links: dict[tuple[str, str], Link] = {}
        self._last_at: dict[tuple[str, str], float] = {}
        self._registered: dict[tuple[str, int], None] = {}  # address and life

    # --- The group ---

    @property
    def members(self) -> frozenset[str]:
        return frozenset(address for address, _ in self._registered)

    def up(self, process: Process) -> None:
        """It runs: it joins the group soon, and dials."""
        self.processes[process.address] = process
        process.later(self._rng.uniform(0.01, 0.3), self._join, process)
        process.later(self._rng.uniform(0.02, 0.3), process.look_at_group)
        process.later(self._rng.uniform(0, DIAL_S), self._dial, process)

    def down(self, process: Process, at_once: bool) -> None:
        """It ended: the group finds out."""
        del self.processes[process.address]
        expires_s = 0.01 if at_once else self._rng.uniform(0.3, 4.0)
        self._timeline.after(expires_s, self._leave, process.address, process.life)

    def _join(self, process: Process) -> None:
        self._registered[process.address, process.life] = None
        self._tell_group()

    def _leave(self, address: str, life: int) -> None:
        self._registered.pop((address, life), None)
        self._tell_group()

    def _tell_group(self) -> None:
        for process in list(self.processes.values()):
            process.later(self._rng.uniform(0, 0.3), process.look_at_group)

    # --- Connections ---

    def _dial(self, process: Process) -> None:
        process.later(self._rng.uniform(0.5, 1) * DIAL_S, self._dial, process)
        for to in sorted(process.others):
            other = self.processes.get(to)
            link = (process.address, to)
            if other is None or self._current(link) is not None or process.address not in other.others:
                continue
            if link in self.cut or link[::-1] in self.cut or self._rng.random() < self.weather.lost:
                continue
            if other.is_frozen:
                continue
            self._links[link] = Link(process, process.introduced, other)
            other.met(process.address, Peer(process.introduced, process.quorum))
            process.met(to, Peer(other.introduced, other.quorum))

    def _current(self, link: tuple[str, str]) -> Link | None:
        """The connection, if it is still one."""
        found = self._links.get(link)
        if found is None:
            return None
        sender, introduced, receiver = found
        ended = sender.ended or receiver.ended or sender.introduced != introduced
        return None if ended else found

    def disconnect(self, address: str, other: str) -> None:
        """Connections break, and what is on them is lost with them if they are of a kind that keeps order."""
        for link in ((address, other), (other, address)):
            self._links.pop(link, None)

    def heal(self) -> None:
        self.weather = FAIR
        self.cut.clear()

    # --- Messages ---

    def send(self, process: Process, to: str, message: Message) -> None:
        if to not in process.others:
            return
        weather, rng = self.weather, self._rng
        link = (process.address, to)
        if weather.in_order:
            connection = self._current(link)
            if connection is not None:
                at = max(self._last_at.get(link, 0.0), self._timeline.now + rng.random() * weather.delay_s)
                self._last_at[link] = at
                self._timeline.at(at, self._arrive_in_order, connection, link, message)
            return
        for _ in range(2 if rng.random() < weather.twice else 1):
            if rng.random() >= weather.lost:
                late_s = rng.random() * weather.late_s if rng.random() < weather.late else 0.0
                self._timeline.after(
                    rng.random() * weather.delay_s + late_s, self._arrive, process, link, message, TRIES
                )

    def _arrive_in_order(self, connection: Link, link: tuple[str, str], message: Message) -> None:
        if link not in self.cut and self._links.get(link) is connection and not connection.receiver.ended:
            self._deliver(connection.receiver, link, message)

    def _arrive(self, sender: Process, link: tuple[str, str], message: Message, tries: int) -> None:
        receiver = self.processes.get(link[1])
        if receiver is None or link in self.cut:
            return
        if self._current(link) is None and not sender.ended and tries:
            self._timeline.after(RETRY_S, self._arrive, sender, link, message, tries - 1)
        else:
            self._deliver(receiver, link, message)

    def _deliver(self, receiver: Process, link: tuple[str, str], message: Message) -> None:
        if link[0] in receiver.others:
            self._trace(link[1], f"<- {link[0]}", message)
            receiver.receive(link[0], message)
