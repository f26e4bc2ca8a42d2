"""One incarnation of a scheduler among several: the real log, follower, and life, without sockets and processes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import trio

from aurorad.api.calls import Call
from aurorad.api.results import Response
from aurorad.flags import Flags
from aurorad.leader.face import Defeated
from aurorad.lifecycle import Ending, Lifecycle
from aurorad.log.errors import LogDamaged, LogFailed, LogFull, LogLost, NotElected
from aurorad.log.here import Timing
from aurorad.log.journal import Journal
from aurorad.log.messages import NOBODY, Metadata, Proposal, Status
from aurorad.log.paxos import Chosen, Elected, Event
from aurorad.log.replicated import LogSettings, ReplicatedLog
from aurorad.log.scribe import Room
from aurorad.scheduler.service import EngineGone
from aurorad.scheduler_role import Followed, SchedulerRole
from aurorad.storage import following
from aurorad.storage.following import Following
from aurorad.storage.materialise import Materialiser
from aurorad.storage.recovery import recover
from aurorad.storage.storage import OutcomeUnknown, Storage, StorageNotReady
from aurorad.storage.tables import Changes, Table
from aurorad.vars import Vars
from tests.log.fake_disk import Down, FakeDisk
from tests.simulation.determinism import Process
from tests.simulation.election import Candidate, Election
from tests.simulation.network import Connection
from tests.simulation.node import NO_DATABASE, Services
from tests.simulation.truth import Truth
from tests.simulation.wires import Wire, Wires

SEGMENT_BYTES = 16 << 10
SMALL = Room(headroom=4 << 10, low_water=16 << 10, piece=8 << 10, small=2 << 10)
"""Room is kept by the kilobyte, since disks are copied."""
SECTOR = 512
TIMING = Timing(gone_s=12.0)
GRACE_S = 1.0
SLEEPY_S = 1.0
"""Within this time, whoever stood still has read what came meanwhile."""

_ENDS = (
    Down,
    OSError,
    LogDamaged,
    LogLost,
    LogFailed,
    LogFull,
    NotElected,
    Defeated,
    EngineGone,
    StorageNotReady,
    OutcomeUnknown,
)
"""What `daemon.py` takes for the end of a leader like any other, and of a machine."""


def quorum_of(count: int) -> int:
    return count // 2 + 1


def new_disk(rng: random.Random, *, initialized: bool) -> FakeDisk:
    """Of one of the first members of a log, or an empty one."""
    disk = FakeDisk(rng, sector=SECTOR)
    if initialized:
        journal = Journal.open(disk, alone=True, rng=rng, segment_bytes=SEGMENT_BYTES)
        journal.append([Metadata(Status.VOTING, 0, NOBODY)])
        journal.close()
    return disk


class _WatchedLog(ReplicatedLog):
    """The real one; tells the judge what it knows to be chosen, and whether it leads."""

    def watch(self, member: Member) -> None:
        self._watcher = member

    def _chosen(self, chosen: Chosen) -> None:
        self._watcher.learned(chosen)
        super()._chosen(chosen)

    def _event(self, event: Event) -> None:
        if isinstance(event, Elected):
            self._watcher.elected(event.proposal)
        super()._event(event)


class _NoDatabase(Materialiser):
    """The database is left out; this tells what a leader's storage takes for durable."""

    def __init__(self, durable: Callable[[int], None]) -> None:
        super().__init__(NO_DATABASE, None, {}, -1, Vars())
        self._durable = durable

    def follow(self, position: int, changes: Changes) -> None:
        self._durable(position)

    def begin_anew(self, position: int, rows: dict[Table, dict[Any, Any]]) -> None:
        pass


class Standing(NamedTuple):
    """Of a member of the log."""

    member: int
    promised: Proposal
    last: Proposal
    end: int


class Around:
    """What all schedulers of a group share."""

    def __init__(
        self,
        addresses: tuple[str, ...],
        wires: Wires,
        election: Election,
        truth: Truth,
        new_connection: Callable[[], Connection],
        led: Callable[[Member], None],
    ) -> None:
        """`led` is told of who has read all, and is about to write."""
        self._addresses = frozenset(addresses)
        self._changed = trio.Event()
        self.quorum = quorum_of(len(addresses))
        self.wires = wires
        self.election = election
        self.truth = truth
        self.new_connection = new_connection
        self.led = led
        self.elected: Member | None = None
        """By the highest proposal: who stood still may hear late that it was, and lead till it hears who else was."""
        self.highest = NOBODY

    def group(self, addresses: frozenset[str]) -> None:
        """Whose log it is, from now on."""
        self._addresses = addresses
        self._changed.set()
        self._changed = trio.Event()

    async def members(self) -> AsyncIterator[frozenset[str]]:
        while True:
            changed = self._changed
            yield self._addresses
            await changed.wait()


class _Request:
    def __init__(self, call: Call, user: str) -> None:
        self.call = call
        self.user = user
        self.response: Response | None = None
        self.done = trio.Event()
        self.scope = trio.CancelScope()


class Member:
    """`run` until it is crashed or ends; then `disk` is what the next one finds. It is its own front, too."""

    def __init__(
        self,
        address: str,
        disk: FakeDisk,
        around: Around,
        flags: Flags,
        rng: random.Random,
        now_ms: Callable[[], int],
        life: int,
    ) -> None:
        self.address = address
        self._life = life
        self.disk = disk
        self.is_dead = False
        self.stats = Vars()
        self.process = Process(address)
        self.connection: Connection | None = None
        self.storage: Storage | None = None
        self.state: Following | None = None
        self.frozen_s = -1.0
        """When it last was."""
        self._around = around
        self._flags = flags
        self._rng = rng
        self._now_ms = now_ms
        self._scope = trio.CancelScope()
        self._leadership = Candidate(around.election, address, lambda: self.is_gone)
        self._lead: Services | None = None
        self._serving: Services | None = None
        self._sender, self._requests = trio.open_memory_channel[_Request](100)
        self._pending: list[_Request] = []
        self._wire = Wire(around.wires, address, lambda: self.is_gone)
        self.log: _WatchedLog | None = None

    @property
    def is_gone(self) -> bool:
        return self.is_dead or (self.disk.steps_left is not None and self.disk.steps_left < 0)

    @property
    def is_serving(self) -> bool:
        """As a leader, as far as it knows."""
        return not self.is_gone and self._serving is not None and self._leadership.is_advertised

    @property
    def votes(self) -> bool:
        """As a member of the log."""
        return not self.is_gone and self.log is not None and self.log._member.status is Status.VOTING

    @property
    def stands(self) -> Standing:
        """Where its member of the log stands, in memory."""
        assert self.log is not None
        member = self.log._member
        return Standing(member.member, member.promised, member.last, member.end)

    @property
    def durably(self) -> Standing:
        """The same, on its disk."""
        assert self.log is not None
        state = self.log._journal._standing
        return Standing(state.member, state.promised, state.last, state.span.end)

    def crash(self, power_loss: bool) -> None:
        """Now, in the middle of whatever goes on. Nothing that it still does counts."""
        if self.is_dead:
            return
        self.is_dead = True
        self.disk = self.disk.after_power_loss() if power_loss else self.disk.after_process_crash()
        if self.connection is not None:
            self.connection.close()
        for request in self._pending:
            request.done.set()
        self.go_on()
        self._scope.cancel()

    def was_frozen(self, within_s: float) -> bool:
        """Now, or so long ago at most."""
        return self.process.is_stopped or self.frozen_s > trio.current_time() - within_s

    def freeze(self) -> None:
        self.process.stop()

    def go_on(self) -> None:
        if self.process.is_stopped:
            self.frozen_s = trio.current_time()
            self.process.go_on()

    async def run(self) -> None:
        """Returns when it has ended, by `crash`, by its disk, or since it cannot lead any more."""
        self.process.enter()
        try:
            with self._scope:
                await self._live()
        except* _ENDS:
            pass
        self.crash(power_loss=self.is_gone)

    async def _live(self) -> None:
        quorum = self._around.quorum
        journal = Journal.open(self.disk, alone=quorum == 1, rng=self._rng, segment_bytes=SEGMENT_BYTES)
        settings = LogSettings("the cluster", quorum, TIMING, room=SMALL)
        log = self.log = _WatchedLog(journal, self._wire, self._around.members(), settings, self.stats, self._rng)
        log.watch(self)
        role = SchedulerRole(
            lifecycle=Lifecycle(self.stats),
            ending=Ending(),
            leadership=self._leadership,
            follow=self._follow,
            begin_reign=self._begin_reign,
            front=self,
            stats=self.stats,
            alone=False,
            election_attempts=self._flags.native_log_election_retries,
            max_registration_delay_s=60.0,
            max_leading_duration_s=self._flags.max_leading_duration,
        )
        try:
            self._around.truth.learned(self.address, journal.begin, self._known(journal))
            async with trio.open_nursery() as nursery:
                await nursery.start(log.run)
                nursery.start_soon(self._answer)
                await role.run()
                nursery.cancel_scope.cancel()
        finally:
            await log.aclose()

    def _known(self, journal: Journal) -> Any:
        return journal.read(journal.begin, 1 << 40)[: journal.learned_to - journal.begin]

    # --- What the log tells ---

    def learned(self, chosen: Chosen) -> None:
        if not self.is_gone:
            self._around.truth.learned(self.address, chosen.first, chosen.values)

    def elected(self, proposal: Proposal) -> None:
        if not self.is_gone and proposal > self._around.highest:
            self._around.elected, self._around.highest = self, proposal

    def _told_durable(self, position: int) -> None:
        if self._lead is not None and not self.is_gone:
            self._around.truth.acknowledged(f"{self.address}, life {self._life}", position)

    # --- What a scheduler's life consists of ---

    @contextlib.asynccontextmanager
    async def _follow(self) -> AsyncIterator[Following]:
        assert self.log is not None
        recovered = await recover(self.log, NO_DATABASE, self.stats, alone=False)
        flags = self._flags
        settings = following.Settings(self._now_ms, flags.dlog_max_entry_size, flags.dlog_snapshot_interval)
        self.state = Following(self.log, recovered, _NoDatabase(self._told_durable), settings, self.stats)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.state.run)
            yield self.state
            nursery.cancel_scope.cancel()

    async def _begin_reign(self, storage: Storage) -> Services:
        self.storage = storage
        if not self.is_gone:
            self._around.led(self)
        self.connection = self._around.new_connection()
        self.connection.is_asleep = lambda: self.was_frozen(SLEEPY_S)
        self._lead = Services(storage, self.connection, self._flags, self._rng, self._now_ms, self.stats)
        self.connection.heard_by(self.stats)
        if self.is_dead:
            self.connection.close()
        return self._lead

    async def follow(self, state: Followed) -> None:
        await trio.lowlevel.checkpoint()

    async def lead(self, reign: Services) -> None:
        await trio.lowlevel.checkpoint()
        self._serving = reign

    async def stop(self) -> None:
        self._serving = None
        with trio.move_on_after(GRACE_S):
            for request in list(self._pending):
                await request.done.wait()
        await trio.lowlevel.checkpoint()

    # --- Calls ---

    async def call(self, call: Call, user: str) -> Response | None:
        """The answer, as a client would get it; None if it never comes."""
        if not self.is_serving:
            return None
        request = _Request(call, user)
        self._pending.append(request)
        self._sender.send_nowait(request)
        try:
            await request.done.wait()
        finally:
            self._pending.remove(request)
            request.scope.cancel()
        return None if self.is_gone else request.response

    async def _answer(self) -> None:
        async with trio.open_nursery() as nursery:
            async for request in self._requests:
                nursery.start_soon(self._handle, request)

    async def _handle(self, request: _Request) -> None:
        try:
            with request.scope:
                if self._serving is not None:
                    request.response = await self._serving.api.handle(request.call, request.user)
        finally:
            request.done.set()
