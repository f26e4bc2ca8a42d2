"""One incarnation of the scheduler, from its start on a disk to its end: the daemon without sockets and processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import trio

from aurorad.api.calls import Call
from aurorad.api.results import Response
from aurorad.flags import Flags
from aurorad.log.errors import LogFull
from aurorad.log.face import Batches, Receipt
from aurorad.log.local import LocalLog
from aurorad.log.segments import Segments
from aurorad.rules import tiers
from aurorad.scheduler.limits import configured_executors
from aurorad.scheduler.rpc.calls import api_of
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.scheduler.service import Scheduler
from aurorad.scheduler.updater import Updater
from aurorad.storage.recovery import recover
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import OutcomeUnknown, Storage, StorageNotReady
from aurorad.storage.tables import Changes
from aurorad.vars import Vars
from tests.log.fake_disk import Down, FakeDisk
from tests.simulation.network import Connection

NO_DATABASE = Path("/nonexistent/state.db")
"""The database is left out: a start without one reads the whole log, which is what is to be proven."""


class _Append:
    """Entries that are on their way to the disk, or lie there and were not told yet."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = list(entries)
        self.last: int | None = None
        """The position of the last one, once they lie there."""


class WatchedLog:
    """The real log; remembers what nobody was told of."""

    def __init__(self, log: LocalLog) -> None:
        self._log = log
        self._appends: list[_Append] = []

    @property
    def in_flight(self) -> list[list[bytes]]:
        """What may be found after a crash: all of the first of these or nothing of it, and so on."""
        return [append.entries for append in self._appends]

    def told(self, position: int) -> None:
        """Everybody knows what lies up to here."""
        for append in self._appends:
            if append.last is not None:
                del append.entries[: max(0, position - append.last + len(append.entries))]
        self._appends = [append for append in self._appends if append.entries]

    @property
    def begin(self) -> int:
        return self._log.begin

    @property
    def end(self) -> int:
        return self._log.end

    @property
    def reach(self) -> int:
        return self._log.reach

    @property
    def size(self) -> int:
        return self._log.size

    async def submit(self, entries: Sequence[bytes]) -> Receipt:
        append = _Append(entries)
        self._appends.append(append)
        try:
            receipt = await self._log.submit(entries)
        except LogFull:
            self._appends.remove(append)
            raise
        append.last = await receipt.wait()
        return receipt

    def read(self, position: int) -> Batches:
        return self._log.read(position)

    async def truncate(self, before: int) -> None:
        await self._log.truncate(before)

    async def confirm(self) -> None:
        await self._log.confirm()


class Services:
    """All that only a leader has."""

    def __init__(
        self,
        storage: Storage,
        engine: Connection,
        flags: Flags,
        rng: random.Random,
        now_ms: Callable[[], int],
        stats: Vars,
    ) -> None:
        def new_uuid() -> UUID:
            return UUID(int=rng.getrandbits(128), version=4)

        self.engine = engine
        self.scheduler = Scheduler(
            storage=storage,
            engine=engine,
            flags=flags,
            stats=stats,
            now_ms=now_ms,
            rng=rng,
            new_uuid=new_uuid,
            hostname="scheduler",
            executors=configured_executors(flags),
        )
        self.updater = Updater(
            storage,
            self.scheduler.states,
            now_ms,
            stats,
            flags,
            sla=self.scheduler.sla,
            rng=rng,
            keep_place=self.scheduler.reservations.keep_place,
        )
        self.api: Api = api_of(
            storage=storage,
            scheduler=self.scheduler,
            updater=self.updater,
            flags=flags,
            tiers=tiers.BUILT_IN,
            stats=stats,
            new_uuid=new_uuid,
        )

    @property
    def registered(self) -> trio.Event:
        return self.scheduler.registered

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.scheduler.run)
            await nursery.start(self.updater.run)
            task_status.started()

    async def wind_up(self) -> None:
        await trio.lowlevel.checkpoint()


class Node:
    """`run` until it is crashed; then `disk` is what the next one finds, and `in_flight` what may or may not be there.

    That includes what those before it had `in_flight`, if it did not come as far as to read it.

    `storage` and `scheduler` are there once it has started.
    """

    def __init__(
        self,
        disk: FakeDisk,
        connection: Connection,
        flags: Flags,
        rng: random.Random,
        now_ms: Callable[[], int],
        *,
        segment_bytes: int,
        in_flight: Sequence[Sequence[bytes]],
        recovered: Callable[[Storage, Sequence[Sequence[bytes]]], None],
        durable: Callable[[Changes], None],
    ) -> None:
        self.disk = disk
        self.connection = connection
        self.is_dead = False
        self.is_serving = False
        self.in_flight = in_flight
        self.stats = Vars()
        self.started_s = 0.0
        self._flags = flags
        self._rng = rng
        self._now_ms = now_ms
        self._segment_bytes = segment_bytes
        self._recovered = recovered
        self._durable = durable
        self._scope = trio.CancelScope()
        self._log: WatchedLog | None = None

    def crash(self, power_loss: bool) -> None:
        """Now, in the middle of whatever goes on. Nothing that it still does counts."""
        if self.is_dead:
            return
        self.is_dead, self.is_serving = True, False
        self.disk = self.disk.after_power_loss() if power_loss else self.disk.after_process_crash()
        self.in_flight = [*self.in_flight, *(self._log.in_flight if self._log is not None else ())]
        self.connection.close()
        self._scope.cancel()

    async def run(self) -> None:
        """Returns when it is dead, by `crash` or by its disk; the former may have happened already."""
        try:
            with self._scope:
                await self._serve()
        except* (Down, OSError, StorageNotReady, OutcomeUnknown):
            pass  # the disk went down or failed for good: the end of a scheduler like any other
        self.crash(power_loss=True)

    async def _serve(self) -> None:
        segments = Segments(self.disk, self._segment_bytes)
        log = self._log = WatchedLog(LocalLog(segments, self.stats))
        found = await recover(log, NO_DATABASE, self.stats)
        self.storage = Storage(log, found.tables, self._flags.dlog_max_entry_size, self._told_durable)
        self._recovered(self.storage, self.in_flight)
        self.in_flight = ()
        interval_s = self._flags.dlog_snapshot_interval
        snapshots = Snapshots(self.storage, log, self.stats, self._now_ms, interval_s, found.replay.transactions)
        self.storage.snapshot = snapshots.ordered
        services = Services(self.storage, self.connection, self._flags, self._rng, self._now_ms, self.stats)
        self.connection.heard_by(self.stats)
        self._api = services.api
        async with trio.open_nursery() as nursery:
            await nursery.start(self.storage.run)
            nursery.start_soon(snapshots.run)
            await nursery.start(services.run)
            self.started_s = trio.current_time()
            self.is_serving = not self.is_dead

    async def call(self, call: Call, user: str) -> Response | None:
        """The answer, as a client would get it; None if it never comes."""
        if not self.is_serving:
            return None
        response = await self._api.handle(call, user)
        is_down = self.disk.steps_left is not None and self.disk.steps_left < 0
        return None if self.is_dead or is_down else response

    def _told_durable(self, position: int, changes: Changes) -> None:
        if not self.is_dead and self._log is not None:
            self._log.told(position)
            self._durable(changes)
