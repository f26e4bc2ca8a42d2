"""Members of a log in one process, with a network and disks that do their worst, and what must hold all the same.

Time is a number, chance is a seed.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from aurorad.log.here import Timing
from aurorad.log.messages import Accepted, Heard, Message, Peer, Promised, Proposal, Record, Status, Value
from aurorad.log.paxos import (
    Confirmed,
    Elected,
    ElectionFailed,
    Lost,
    Member,
    NotLeading,
    Output,
    Unfit,
)
from tests.log.paper import Paper, initialized

TIMING = Timing(election_s=5.0, gone_s=5.0)


class Faults:
    """How bad it is: chances, and seconds."""

    def __init__(
        self,
        *,
        lost: float = 0.0,
        twice: float = 0.0,
        delay_s: float = 0.002,
        late: float = 0.0,
        sync_s: float = 0.003,
        slow: float = 0.0,
    ) -> None:
        self.lost = lost
        self.twice = twice
        self.delay_s = delay_s
        self.late = late
        self.sync_s = sync_s
        self.slow = slow


class Node:
    """A member, its disk, and whoever drives it. `member` is None while it is down."""

    def __init__(self, network: Network, address: str, quorum: int, paper: Paper) -> None:
        self.network = network
        self.address = address
        self.quorum = quorum
        self.paper = paper
        self.member: Member | None = None
        self.life = 0
        self.identity = 0
        self.pending: deque[tuple[int, Sequence[Record]]] = deque()
        self.delivered = 0
        self.syncing = False
        self.electing = False
        self.waiting: dict[int, bytes] = {}
        self.confirmed = 0
        self.confirms: dict[int, Proposal] = {}  # token -> the highest proposal known to have been written with then
        self.events: list[object] = []
        self.tick_at = float("inf")
        self.refused: str | None = None

    def start(self) -> None:
        network = self.network
        if self.member is not None:
            return
        self.life += 1
        stored = self.paper.stored()
        self.member = Member(self.address, "c", self.quorum, stored, random.Random(network.rng.random()), timing=TIMING)
        self.delivered = stored.learned_to
        self.pending.clear()
        self.waiting.clear()
        self.confirms.clear()
        self.syncing = self.electing = False
        self.tick_at = float("inf")
        network.members_changed()
        self.work()

    def crash(self) -> None:
        """The process ends; of what was on its way to the disk, some is there."""
        for _, records in itertools.islice(self.pending, self.network.rng.randint(0, len(self.pending))):
            self.paper.write(records)
        self.member = None
        self.life += 1
        self.network.members_changed()

    def call(self, do: Callable[[Member, float], None]) -> None:
        if self.member is not None:
            do(self.member, self.network.now)
            self.work()

    def work(self) -> None:
        """Do what the member says, until it says no more."""
        member = self.member
        assert member is not None
        self._obey(member, member.take())
        if self.identity != member.member:
            self.identity = member.member
            self.network.members_changed()
        if member.next_at < self.tick_at:
            self.tick_at = member.next_at
            self.network.at(member.next_at, self._tick, self.life)

    def _obey(self, member: Member, out: Output) -> None:
        network = self.network
        for to, message in out.sendings:
            network.check_said(self, message)
            for address in to:
                network.send(self.address, address, message)
        if out.ticket:
            self.pending.append((out.ticket, out.records))
            if not self.syncing:
                self._sync()
        for address, first in out.fetches:
            network.after(network.faults.sync_s, self._read, self.life, address, first)
        network.check_chosen(self, *out.chosen)
        for event in out.events:
            self._event(event)

    def _event(self, event: object) -> None:
        self.events.append(event)
        match event:
            case Elected(proposal, end):
                self.electing = False
                self.confirmed = 0
                self.network.elected(self, proposal, end)
            case ElectionFailed() | Unfit():
                self.electing = False
                self.refused = getattr(event, "why", None)
            case Lost():
                self.waiting.clear()
                self.confirms.clear()
            case Confirmed(token):
                self.confirmed = token
                for asked in [asked for asked in self.confirms if asked <= token]:
                    known = self.confirms.pop(asked)
                    assert self.member is not None
                    assert self.member.last >= known, "a deposed leader was confirmed"

    def _sync(self) -> None:
        faults, rng = self.network.faults, self.network.rng
        self.syncing = True
        took_s = rng.random() * faults.sync_s + (rng.random() * 2.0 if rng.random() < faults.slow else 0.0)
        self.network.after(took_s, self._synced, self.life, len(self.pending))

    def _synced(self, life: int, count: int) -> None:
        if life != self.life:
            return
        assert self.member is not None
        ticket = 0
        for _ in range(count):
            ticket, records = self.pending.popleft()
            self.paper.write(records)
        self.syncing = False
        if self.pending:
            self._sync()
        self.member.durable(self.network.now, ticket)
        self.work()

    def _read(self, life: int, address: str, first: int) -> None:
        if life == self.life and self.member is not None:
            start = max(first, self.paper.begin)
            values = self.paper.read(start, 7) if start <= self.paper.end else []
            values = values[: max(0, self.paper.learned_to - start)]
            self.network.send(self.address, address, self.member.fetched(start, values))

    def _tick(self, life: int) -> None:
        if life == self.life and self.network.now >= self.tick_at:
            self.tick_at = float("inf")
            self.call(lambda member, now: member.tick(now))


class Network:
    """The world: nodes, what is on its way, and what all of them must agree on."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.rng = random.Random(seed)
        self.faults = faults or Faults()
        self.now = 0.0
        self.nodes: dict[str, Node] = {}
        self.cut: set[tuple[str, str]] = set()  # pairs that do not hear each other
        self.chosen: dict[int, Value] = {}
        self.acknowledged: dict[int, tuple[bytes, Proposal]] = {}
        self.written_with: Proposal = (0, 0)  # the highest proposal with which a write was acknowledged
        self.leaders: dict[Proposal, str] = {}
        self.disks_may_go = True
        self.disks_lost = 0
        self.shelf: list[tuple[str, Paper]] = []
        self._queue: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = itertools.count()
        self._entries = itertools.count()

    def add(self, address: str, quorum: int, paper: Paper | None = None) -> Node:
        node = self.nodes[address] = Node(self, address, quorum, paper or Paper())
        node.start()
        return node

    # --- Time ---

    def at(self, when: float, do: Callable[..., None], *args: object) -> None:
        heapq.heappush(self._queue, (when, next(self._count), do, args))

    def after(self, seconds: float, do: Callable[..., None], *args: object) -> None:
        self.at(self.now + seconds, do, *args)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._queue and self._queue[0][0] <= until:
            self.now, _, do, args = heapq.heappop(self._queue)
            do(*args)
        self.now = until

    # --- The network ---

    def send(self, sender: str, to: str, message: Message) -> None:
        faults, rng = self.faults, self.rng
        for _ in range(2 if rng.random() < faults.twice else 1):
            if rng.random() >= faults.lost:
                delay_s = rng.random() * faults.delay_s + (rng.random() * 3.0 if rng.random() < faults.late else 0.0)
                self.after(delay_s, self._deliver, sender, to, message)

    def _deliver(self, sender: str, to: str, message: Message) -> None:
        node = self.nodes.get(to)
        if node is not None and (sender, to) not in self.cut and (to, sender) not in self.cut:
            node.call(lambda member, now: member.receive(now, sender, message))

    def members_changed(self) -> None:
        self.after(0.05, self._tell_members)

    def _tell_members(self) -> None:
        up = {
            node.address: Peer(node.member.member, node.quorum)
            for node in self.nodes.values()
            if node.member is not None
        }
        for node in list(self.nodes.values()):
            others = {address: peer for address, peer in up.items() if address != node.address}
            node.call(partial(Member.members, peers=others))

    # --- What clients do ---

    def leader(self) -> Node | None:
        leading = [node for node in self.nodes.values() if node.member is not None and node.member.leads]
        return max(leading, key=lambda node: node.member.last if node.member is not None else (0, 0), default=None)

    def elect(self, address: str) -> None:
        node = self.nodes[address]
        if node.member is not None and not node.electing and not node.member.leads:
            node.electing = True
            node.call(lambda member, now: member.elect(now))

    def append(self, node: Node, count: int = 1) -> None:
        values = [b"%d" % next(self._entries) for _ in range(count)]

        def write(member: Member, now: float) -> None:
            try:
                first = member.append(now, values)
            except NotLeading:
                return
            node.waiting.update(enumerate(values, first))

        node.call(write)

    def truncate(self, node: Node) -> None:
        def write(member: Member, now: float) -> None:
            member.truncate(now, self.rng.randint(member.begin, member.learned_to))

        if node.member is not None and node.member.leads:
            node.call(write)

    def confirm(self, node: Node) -> None:
        def ask(member: Member, now: float) -> None:
            if member.leads:
                token = member.confirm(now)
                assert token > node.confirmed, "confirmed by an answer to an older question"
                node.confirms[token] = self.written_with

        node.call(ask)

    # --- What must hold ---

    def elected(self, node: Node, proposal: Proposal, end: int) -> None:
        assert self.leaders.setdefault(proposal, node.address) == node.address, "two leaders with one proposal"
        assert node.member is not None
        assert node.member.learned_to >= end
        beyond = [position for position in self.acknowledged if position >= end]
        assert all(self.acknowledged[position][1] > proposal for position in beyond), "elected without what was chosen"

    def check_chosen(self, node: Node, first: int, values: Sequence[Value]) -> None:
        assert node.member is not None
        if first > node.delivered:
            assert first == node.member.begin, f"{node.address} skips what was not truncated"
        else:
            assert first == node.delivered, f"{node.address} is told something twice"
        for position, value in enumerate(values, first):
            known = self.chosen.setdefault(position, value)
            assert known == value, f"{node.address} learned {value!r} at {position}, where {known!r} was chosen"
            stored = node.paper.values.get(position)
            assert position < node.paper.begin or stored == value, f"{node.address} tells what it has not: {position}"
            if (mine := node.waiting.pop(position, None)) is not None:
                assert mine == value, f"{node.address} acknowledged {mine!r} at {position}, which was never chosen"
                self.acknowledged[position] = mine, node.member.last
                self.written_with = max(self.written_with, node.member.last)
        node.delivered = first + len(values)

    def check_said(self, node: Node, message: Message) -> None:
        paper = node.paper
        if isinstance(message, Promised | Accepted):
            assert paper.metadata.status is Status.VOTING, "a member without a vote votes"
            assert message.member == paper.metadata.member or isinstance(message, Accepted)
            assert message.proposal <= paper.promised, "a promise is not durable"
            moved_on = paper.last > message.proposal or (
                isinstance(message, Promised) and paper.last == message.proposal
            )
            assert message.end <= paper.end or moved_on, "what was accepted is not durable"
        elif isinstance(message, Heard):
            assert node.member is not None
            assert node.member.promised <= message.proposal

    def whole(self) -> bool:
        """Whether a disk may be lost now: all are there and vote, the log knows all of them, and needs not all."""
        members = [node.member for node in self.nodes.values() if node.member is not None]
        if len(members) < len(self.nodes) or any(member.status is not Status.VOTING for member in members):
            return False
        ids = {member.member for member in members}
        if len(ids) <= max(node.quorum for node in self.nodes.values()):
            return False
        placed = [node.paper.placed() for node in self.nodes.values()]
        chosen = [one.configuration for one in placed if one.position in self.chosen]
        return len(chosen) == len(placed) and all(one is not None and one.ids == ids for one in chosen)


def cluster(seed: int, size: int = 3, faults: Faults | None = None) -> Network:
    """Members a, b, c... of a log that was initialized."""
    network = Network(seed, faults)
    for address in "abcdefg"[:size]:
        network.add(address, size // 2 + 1, initialized())
    network.run(0.2)
    return network


def lead(network: Network, address: str | None = None) -> Node:
    """Let somebody lead, whatever it takes, once the network is well."""
    for _ in range(60):
        for candidate in [address] if address else list(network.nodes):
            node = network.nodes[candidate]
            network.elect(candidate)
            network.run(2.0)
            if node.member is not None and node.member.leads:
                return node
    raise AssertionError([(node.address, node.refused, node.events[-3:]) for node in network.nodes.values()])


def alive(node: Node) -> Member:
    assert node.member is not None
    return node.member


def write(network: Network, leader: Node, count: int) -> None:
    """`count` entries, acknowledged."""
    before = len(network.acknowledged)
    network.append(leader, count)
    network.run(1.0)
    assert len(network.acknowledged) == before + count


def all_equal(network: Network) -> bool:
    logs = [node.paper.read(node.paper.begin) for node in network.nodes.values()]
    learned = {alive(node).learned_to for node in network.nodes.values()}
    return len(learned) == 1 and all(log == logs[0] for log in logs)
