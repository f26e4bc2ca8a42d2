"""One life of a member: the real core and the real journal, driven as `aurorad/log/driving.py` and `scribe.py` do it,
but without tasks and threads."""

from __future__ import annotations

import contextlib
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from aurorad.log.errors import LogDamaged, LogFull
from aurorad.log.here import Timing
from aurorad.log.journal import Journal
from aurorad.log.messages import Caught, Fetched, Message, Peer, Record, Status, Value, Write, Wrote
from aurorad.log.paxos import (
    Chosen,
    Confirmed,
    Distrusted,
    Elected,
    ElectionFailed,
    Event,
    Lost,
    Member,
    NotLeading,
    Unfit,
)
from tests.log.fake_disk import Down
from tests.simulation.log.history import Append, Read

if TYPE_CHECKING:
    from tests.simulation.log.machine import Machine

CLUSTER = "simulated"
TIMING = Timing(election_s=5.0, gone_s=12.0)

# All of it is small, as the disk and the values are.
SEGMENT_BYTES = 16 << 10
HEADROOM, LOW_WATER = 4 << 10, 6 << 10
BATCH_BYTES = 8 << 10
_SMALL_BYTES = 1 << 10
_RECORD_BYTES, _VALUE_BYTES = 1024, 16
_RETRY_S = 1.0


class Waiting(NamedTuple):
    """Appends that wait to be in the log."""

    first: int
    appends: Sequence[Append]
    told: Callable[[], None]


class Asked(NamedTuple):
    """A read that waits to be confirmed."""

    token: int
    read: Read
    told: Callable[[], None]


class Process:
    """`ended` once it is over. Whatever reaches it comes by `enter` or `later`."""

    def __init__(self, machine: Machine, journal: Journal, life: int) -> None:
        self.machine = machine
        self.address = machine.address
        self.quorum = machine.quorum
        self.life = life
        self.journal = journal
        self.ended = False
        self.frozen_until = 0.0
        self.electing = False
        self.lost: str | None = None
        self.refused = ""
        """Why it was not elected, lately."""
        self.introduced = 0
        self.others: dict[str, Peer | None] = {}
        self.view_frozen_until = 0.0
        self.delivered = journal.stored.learned_to
        self.writing: Sequence[Record] = ()
        """What is on its way to the disk."""
        self.waiting: deque[tuple[int, Sequence[Record], int]] = deque()
        """What will be: tickets, records, and their size."""
        self._world = machine.world
        self._backlog = 0
        self._placed: deque[Waiting] = deque()
        self._asked: deque[Asked] = deque()
        self._served: set[str] = set()
        self._tick_at = math.inf
        rng = random.Random(self._world.rng.random())
        self.member = Member(
            self.address,
            CLUSTER,
            self.quorum,
            journal.stored,
            rng,
            timing=TIMING,
            initialize=self._world.initialize,
        )

    # --- Being driven ---

    @property
    def is_frozen(self) -> bool:
        return self._world.timeline.now < self.frozen_until

    @property
    def leads(self) -> bool:
        """Whether clients may come."""
        return self.member.leads and self.lost is None

    def later(self, seconds: float, do: Callable[..., None], *given: object) -> None:
        self._world.timeline.after(seconds, self.enter, do, *given)

    def enter(self, do: Callable[..., None], *given: object) -> None:
        """Do it, unless it is over; once it is not frozen any more."""
        if self.ended:
            return
        if self.is_frozen:
            self._world.timeline.at(self.frozen_until, self.enter, do, *given)
            return
        try:
            do(*given)
        except Down:
            self.machine.went_down("at a call of the disk")
        except LogDamaged as damage:
            self._world.judge.found_damage(self, damage)
            self.machine.end_process(f"found damage: {damage}")
        except OSError as error:
            self.machine.end_process(f"the disk fails: {error}")
        except Exception as error:
            self._world.judge.broke(self, error)

    def step(self) -> None:
        """Do what the member says."""
        member, judge = self.member, self._world.judge
        self.introduced = member.member
        out = member.take()
        for sending in out.sendings:
            judge.said(self, sending.message)
            for to in sending.to:
                self._world.network.send(self, to, sending.message)
        if out.records:
            size = sum(map(_cost, out.records))
            self._backlog += size
            self.waiting.append((out.ticket, out.records, size))
            if not self.writing:
                self._write_next()
        if out.chosen.values:
            self._chosen(out.chosen)
        for event in out.events:
            self._event(event)
        for asker, first in out.fetches:
            if asker not in self._served:
                self._served.add(asker)
                self.later(self._world.rng.random() * self.machine.sync_s, self._serve, asker, first)
        judge.stands(self)
        self.tick_anew()

    def tick_anew(self) -> None:
        """See to it that the clock is heard in time."""
        if self.member.next_at < self._tick_at:
            self._tick_at = self.member.next_at
            self._world.timeline.at(self.machine.when(self._tick_at), self.enter, self._tick, self._tick_at)

    def tick_at_once(self) -> None:
        """The clock was set."""
        self._tick_at = math.inf
        self.tick_anew()

    def _tick(self, at: float) -> None:
        if at != self._tick_at:
            return  # another one is due before
        self._tick_at = math.inf
        now = self.machine.clock()
        if now >= self.member.next_at:
            self.member.tick(now)
        self.step()

    # --- The others ---

    def look_at_group(self) -> None:
        now = self._world.timeline.now
        if now < self.view_frozen_until:
            self.later(self.view_frozen_until - now, self.look_at_group)
            return
        members = self._world.network.members - {self.address}
        if members != self.others.keys():
            for gone in sorted(self.others.keys() - members):
                self._world.network.disconnect(self.address, gone)
            self.others = {address: self.others.get(address) for address in sorted(members)}
            self._tell_members()

    def met(self, address: str, peer: Peer) -> None:
        self.enter(self._met, address, peer)

    def _met(self, address: str, peer: Peer) -> None:
        if address in self.others and self.others[address] != peer:
            self.others[address] = peer
            self._tell_members()

    def _tell_members(self) -> None:
        self.member.members(self.machine.clock(), dict(self.others))
        self.step()

    def receive(self, sender: str, message: Message) -> None:
        self.enter(self._receive, sender, message)

    def _receive(self, sender: str, message: Message) -> None:
        if isinstance(message, Write | Fetched):
            self.member.room = self._makes_room(_wire_size(message.values))
        elif not self.member.room:
            self.member.room = self._has_room(0)
        self._world.judge.heard(message)
        self.member.receive(self.machine.clock(), sender, message)
        self.step()
        self._world.judge.was_heard(self, message)

    # --- The disk ---

    def _has_room(self, size: int) -> bool:
        return self.journal.room >= self._backlog + size + _RECORD_BYTES + HEADROOM

    def _makes_room(self, size: int) -> bool:
        if not self._has_room(size) and size > _SMALL_BYTES:
            with contextlib.suppress(LogFull):
                self.journal.reserve(self._backlog + size + _RECORD_BYTES, HEADROOM)
        return self._has_room(size)

    def _write_next(self) -> None:
        records: list[Record] = []
        ticket = size = 0
        while self.waiting and size < BATCH_BYTES:
            ticket, some, more = self.waiting.popleft()
            records += some
            size += more
        self.writing = records
        self.later(self._world.rng.random() * self.machine.sync_s, self._written, ticket, size)

    def _written(self, ticket: int, size: int) -> None:
        try:
            self.journal.append(self.writing)
        except LogFull as full:
            self._world.trace(self.address, "is stuck:", full)
            self.later(_RETRY_S, self._written, ticket, size)
            return
        self._backlog -= size
        self.machine.wrote(self.writing)
        self.writing = ()
        self.member.durable(self.machine.clock(), ticket)
        self.step()
        if self.waiting and not self.writing:
            self._write_next()

    def refill(self) -> None:
        """Make room ahead, every now and then."""
        self.later(_RETRY_S, self.refill)
        if self.journal.room < self._backlog + LOW_WATER + HEADROOM:
            with contextlib.suppress(LogFull):
                self.journal.reserve(self._backlog + LOW_WATER, HEADROOM)
        self.member.room = self._has_room(0)

    def _serve(self, asker: str, first: int) -> None:
        """Read at once; what was read is sent a little later, and much may have happened meanwhile."""
        first = max(first, self.journal.begin)
        try:
            values = self.journal.read(first, self._world.fetch_bytes)
        except LookupError:
            values = []
        known = values[: max(0, self.journal.learned_to - first)]
        self.later(self._world.rng.random() * self.machine.sync_s, self._served_it, asker, first, known)

    def _served_it(self, asker: str, first: int, values: Sequence[Value]) -> None:
        self._served.discard(asker)
        message = self.member.fetched(first, values)
        self._world.judge.said(self, message)
        self._world.network.send(self, asker, message)

    # --- The log's users ---

    def elect(self) -> None:
        if not (self.electing or self.member.leads or self.lost):
            self.electing = True
            self._world.trace(self.address, "believes that it should lead")
            self.member.elect(self.machine.clock())
            self.step()

    def append(self, appends: Sequence[Append], told: Callable[[], None]) -> bool:
        """Whether that was begun; if not, nothing was written."""
        values = [append.value for append in appends]
        size = _size_of(values)
        try:
            while not self._has_room(size):
                self.journal.reserve(self._backlog + size + _RECORD_BYTES, HEADROOM)
            first = self.member.append(self.machine.clock(), values)
        except (LogFull, NotLeading):
            return False
        self._placed.append(Waiting(first, appends, told))
        self.step()
        return True

    def ask(self, read: Read, told: Callable[[], None]) -> None:
        self._asked.append(Asked(self.member.confirm(self.machine.clock()), read, told))
        self.step()

    def truncate(self) -> None:
        if self.leads:
            to = self._world.rng.randint(self.member.begin, self.member.learned_to)
            self.member.truncate(self.machine.clock(), to)
            self.step()

    def give_up(self) -> None:
        """Nobody hears any more from this process what became of what it was asked."""
        told = [*(placed.told for placed in self._placed), *(asked.told for asked in self._asked)]
        self._placed.clear()
        self._asked.clear()
        for tell in told:
            self._world.timeline.after(0.0, tell)

    def _chosen(self, chosen: Chosen) -> None:
        self._world.judge.chosen(self, *chosen)
        self.delivered = chosen.first + len(chosen.values)
        while self._placed and self._placed[0].first + len(self._placed[0].appends) <= self.delivered:
            first, appends, told = self._placed.popleft()
            for position, append in enumerate(appends, first):
                self._world.history.acknowledged(append, position)
            self._world.judge.acknowledged(self.member.last, first, appends)
            told()

    def _event(self, event: Event) -> None:
        self._world.trace(self.address, "", event)
        match event:
            case Elected():
                self.electing = False
                self._world.judge.elected(self, event)
            case ElectionFailed(why) | Unfit(why):
                self.electing = False
                self.refused = why
            case Lost(why):
                self.lost = why
                self.electing = False
                self.give_up()
                self._world.lost(self)
            case Confirmed(token):
                while self._asked and self._asked[0].token <= token:
                    _, read, told = self._asked.popleft()
                    self._world.history.saw(read, self.delivered)
                    told()
            case Distrusted():
                pass  # the judge sees where it stands

    def may_try_again(self) -> None:
        """As if it had begun anew, which it should have."""
        self.lost = None

    @property
    def votes(self) -> bool:
        return self.member.status is Status.VOTING


def _size_of(values: Sequence[Value]) -> int:
    return sum(_VALUE_BYTES + len(value) if isinstance(value, bytes) else _RECORD_BYTES for value in values)


def _wire_size(values: Sequence[Value]) -> int:
    return sum(_VALUE_BYTES + len(value) if isinstance(value, bytes) else 8 * _VALUE_BYTES for value in values)


def _cost(record: Record) -> int:
    return _RECORD_BYTES + (_size_of(record.values) if isinstance(record, Wrote | Caught) else 0)
