"""What the schedulers of a group say to each other about their log, on the way."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import msgspec
import trio

from aurorad.log.messages import Message, Peer
from aurorad.log.peers import Deliver, Met
from tests.simulation.network import Odds
from tests.simulation.timeline import Timeline

GREET_S = 0.3


class Wires:
    """Messages between two come in their order, if at all, unless they straggle; what is for a dead process is lost."""

    def __init__(self, timeline: Timeline, odds: Odds, rng: random.Random) -> None:
        self.cut: set[tuple[str, str]] = set()
        """From whom to whom nothing comes through."""
        self._timeline = timeline
        self._odds = odds
        self._rng = rng
        self._ends: dict[str, Wire] = {}
        self._last_at: dict[tuple[str, str], float] = {}
        self._encoder = msgspec.msgpack.Encoder()

    def join(self, end: Wire) -> None:
        self._ends[end.me] = end

    def carry(self, sender: Wire, to: str, what: Message | Peer) -> None:
        way, receiver = (sender.me, to), self._ends.get(to)
        if receiver is None or way in self.cut or sender.is_gone() or self._happens(self._odds.loss):
            return
        self._arrive(way, receiver, what)
        if self._happens(self._odds.repetition):
            self._arrive(way, receiver, what, straggles=True)

    def _arrive(self, way: tuple[str, str], receiver: Wire, what: Message | Peer, straggles: bool = False) -> None:
        def arrive() -> None:
            if way not in self.cut and self._ends.get(receiver.me) is receiver:
                receiver.hear(way[0], what, size)

        size = 0 if isinstance(what, Peer) else len(self._encoder.encode(what))
        at = trio.current_time() + self._rng.random() * self._odds.delay_s
        if straggles or self._happens(self._odds.straggling):
            at = trio.current_time() + self._rng.random() * self._odds.straggle_s
        else:
            at = self._last_at[way] = max(at, self._last_at.get(way, 0.0))
        self._timeline.at(at, arrive)

    def delay_s(self) -> float:
        return GREET_S * (0.5 + self._rng.random())

    def _happens(self, odds: float) -> bool:
        return odds > 0 and self._rng.random() < odds


class Wire:
    """One process's end: its `aurorad.log.peers.Peers`."""

    def __init__(self, wires: Wires, me: str, is_gone: Callable[[], bool]) -> None:
        self.me = me
        self.is_gone = is_gone
        self._wires = wires
        self._peer = Peer(0, 0)
        self._members: frozenset[str] = frozenset()
        self._sender, self._heard = trio.open_memory_channel[tuple[str, Message | Peer, int]](math.inf)
        wires.join(self)

    def introduce(self, peer: Peer) -> None:
        self._peer = peer
        self._greet()

    def aim(self, members: frozenset[str]) -> None:
        self._members = members
        self._greet()

    def send(self, to: str, message: Message) -> None:
        self._wires.carry(self, to, message)

    def hear(self, sender: str, what: Message | Peer, size: int) -> None:
        if sender in self._members and not self.is_gone():
            self._sender.send_nowait((sender, what, size))

    async def run(self, deliver: Deliver, met: Met) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_greeting)
            async for sender, what, size in self._heard:
                if isinstance(what, Peer):
                    met(sender, what)
                else:
                    await deliver(sender, what, size)

    async def _keep_greeting(self) -> None:
        while True:
            self._greet()
            await trio.sleep(self._wires.delay_s())

    def _greet(self) -> None:
        for other in sorted(self._members - {self.me}):
            self._wires.carry(self, other, self._peer)
