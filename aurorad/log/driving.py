"""Drives a `paxos.Member` with its journal, its peers and the clock.

The member decides, and only ever changes memory. Whatever it was told, `step` then does what it says: messages go out
at once, records to the journal's thread. So nothing waits here but for the disk, and all order is the member's.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import trio

from aurorad.log.errors import LogFull
from aurorad.log.journal import Journal
from aurorad.log.messages import Accepted, Behind, Fetched, Heard, Message, Peer, Promised, Write
from aurorad.log.paxos import Chosen, Event, Member
from aurorad.log.peers import Peers
from aurorad.log.scribe import USUAL_ROOM, Room, Scribe


class Driver:
    """`run` must run; whoever tells `member` something calls `step` right after."""

    def __init__(
        self,
        member: Member,
        quorum: int,
        journal: Journal,
        peers: Peers,
        group: AsyncIterator[frozenset[str]],
        *,
        chosen: Callable[[Chosen], None],
        event: Callable[[Event], None],
        room: Room = USUAL_ROOM,
    ) -> None:
        """`group` says who is a member, by address. `chosen` and `event` get what the member tells, within `step`."""
        self.member = member
        self.scribe = Scribe(journal, room)
        self.others: dict[str, Peer | None] = {}
        """The other members there are, and what they said of themselves, if anything yet."""
        self.ends: dict[str, int] = {}
        """How far others have the log, as they said last."""
        self._quorum = quorum
        self._room = room
        self._journal = journal
        self._peers = peers
        self._group = group
        self._chosen = chosen
        self._event = event
        self._introduced: int | None = None
        self._tick_at = 0.0
        self._earlier = trio.Event()
        self._stepped = trio.Event()
        self._is_watched = False
        self._served: set[str] = set()
        self._readers = trio.CapacityLimiter(2)
        self._nursery: trio.Nursery

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Raises `OSError` or `LogDamaged` if the disk fails."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.scribe.run, self._durable, self.step)
            self.step()
            nursery.start_soon(self._tick)
            nursery.start_soon(self._watch_group)
            nursery.start_soon(self._peers.run, self._deliver, self._met)
            task_status.started()

    def step(self) -> None:
        """Do what the member says."""
        self.member.room = self.scribe.has_room(self._room.piece)
        if self.member.member != self._introduced:
            self._introduced = self.member.member
            self._peers.introduce(Peer(self.member.member, self._quorum))
        out = self.member.take()
        for sending in out.sendings:
            for to in sending.to:
                self._peers.send(to, sending.message)
        if out.records:
            self.scribe.add(out.ticket, out.records)
        if out.chosen.values:
            self._chosen(out.chosen)
        for event in out.events:
            self._event(event)
        for asker, first in out.fetches:
            self._serve(asker, first)
        if self.member.next_at < self._tick_at:
            self._earlier.set()
        if self._is_watched:
            self._stepped.set()
            self._stepped, self._is_watched = trio.Event(), False

    async def stepped(self) -> None:
        """Until something has happened."""
        self._is_watched = True
        await self._stepped.wait()

    async def _deliver(self, sender: str, message: Message, size: int) -> None:
        """A sender who is not read further has to wait, so what waits for the disk has a limit."""
        if isinstance(message, Write | Fetched):
            self.member.room = await self._has_room(size)
        elif isinstance(message, Accepted | Heard | Behind | Promised):
            self.ends[sender] = message.end
        self.member.receive(trio.current_time(), sender, message)
        self.step()
        await self.scribe.keep_up()

    async def _has_room(self, size: int) -> bool:
        if not self.scribe.has_room(size) and size > self._room.small:
            with contextlib.suppress(LogFull):
                await self.scribe.make_room(size)
        return self.scribe.has_room(size)

    def _durable(self, ticket: int) -> None:
        self.member.durable(trio.current_time(), ticket)
        self.step()

    async def _tick(self) -> None:
        while True:
            self._tick_at, self._earlier = self.member.next_at, trio.Event()
            with trio.CancelScope(deadline=self._tick_at):
                await self._earlier.wait()
            now = trio.current_time()
            if now >= self.member.next_at:
                self.member.tick(now)
                self.step()

    async def _watch_group(self) -> None:
        async for members in self._group:
            self._peers.aim(members)
            self.others = {address: self.others.get(address) for address in sorted(members - {self._peers.me})}
            self.ends = {address: end for address, end in self.ends.items() if address in members}
            self._tell_members()

    def _met(self, address: str, peer: Peer) -> None:
        if self.others.get(address) != peer and address in self.others:
            self.others[address] = peer
            self._tell_members()

    def _tell_members(self) -> None:
        self.member.members(trio.current_time(), self.others)
        self.step()

    def _serve(self, asker: str, first: int) -> None:
        """Read for a member that lacks something; one such question of each at a time."""
        if asker not in self._served:
            self._served.add(asker)
            self._nursery.start_soon(self._read_for, asker, first)

    async def _read_for(self, asker: str, first: int) -> None:
        # As of before: the member may have learned more by now than the journal holds, and that another leader's tail.
        first, learned_to = max(first, self._journal.begin), self._journal.learned_to
        try:
            values = await trio.to_thread.run_sync(self._journal.read, first, self._room.piece, limiter=self._readers)
        except LookupError:  # forgotten meanwhile, or not there yet
            values = []
        finally:
            self._served.discard(asker)
        self._peers.send(asker, self.member.fetched(first, values[: max(0, learned_to - first)]))
