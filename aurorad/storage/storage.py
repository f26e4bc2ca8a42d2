"""The one door to the truth: writes become durable in the log before anyone hears of them.

A write's work runs at once, on the tables; its operations then wait for the log together with those of other writers
(group commit). Until they are durable nobody is told: subscribers get no event, `write` does not return, and a reader
who must not see more than the log holds awaits `settled` after reading. If the log refuses, the work is undone.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from aurorad.log.errors import LogFull as LogFull
from aurorad.log.errors import LogLost
from aurorad.log.face import Log
from aurorad.storage import entries
from aurorad.storage.commits import Commit, GroupCommit
from aurorad.storage.commits import OutcomeUnknown as OutcomeUnknown
from aurorad.storage.commits import StorageNotReady as StorageNotReady
from aurorad.storage.events import StorageEvent
from aurorad.storage.tables import Changes, Tables
from aurorad.storage.transaction import Transaction

T = TypeVar("T")

MAX_ENTRY_BYTES = 512 << 10

# What must fit before the log counts as having room again: a few bytes may fit although nothing else does.
_PROBE_BYTES = 64 << 10

Follower = Callable[[int, Changes], None]
"""Told of each transaction once the log has it: its position there, and what it changed."""


class Storage:
    """Tables, transactions and subscriptions over a log. `run` must run for writes to become durable."""

    def __init__(
        self, log: Log, tables: Tables, max_entry_bytes: int = MAX_ENTRY_BYTES, follower: Follower = lambda *_: None
    ) -> None:
        self.tables = tables
        self._log = log
        self._commits = GroupCommit(log, probe=entries.records(entries.Padding(bytes(_PROBE_BYTES)), max_entry_bytes))
        self.transactions = 0
        """How many the log got from here."""
        self._max_entry_bytes = max_entry_bytes
        self._follower = follower
        self.snapshot: Callable[[], Awaitable[None]] = _no_snapshot
        """Takes a snapshot now, raising what `Snapshots.ordered` does; nothing for a log that is never cut."""
        self.snapshot_taken = trio.Event()
        """Set, and replaced by another, whenever a snapshot was taken."""
        self.replace: Callable[[Tables], Awaitable[None]] = _no_replacement
        """Puts other tables in the place of these, as `Snapshots.replace` does."""
        self.replaced = trio.Event()
        """Set once the log says that the state is another one than these tables: this process must end."""
        self._sealed: trio.Event | None = None
        self._subscribers: list[trio.MemorySendChannel[Sequence[StorageEvent]]] = []

    @property
    def refusing(self) -> str | None:
        """Why the log has no room, None as long as it has."""
        return self._commits.refusing

    @property
    def refusals(self) -> int:
        """How often writes were refused and undone: what was read across a change of this may not be true."""
        return self._commits.refusals

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` as one transaction; its result, once the log has it and all that it could see.

        Raises what `work` raises (nothing changed then), `LogFull` if the log has no room or `StorageNotReady`
        (likewise), or `OutcomeUnknown`. If cancelled while waiting for the log, the write may still become durable.
        While the storage is sealed it waits, until the process ends if need be.
        """
        while self._sealed is not None:
            await self._sealed.wait()
        self._commits.check_ready()
        transaction = Transaction(self.tables)
        try:
            result = work(transaction)
            records = self._records(transaction)
        except BaseException:
            transaction.revert()
            raise
        if not transaction.is_empty:
            await self._commits.add(records, lambda at: self._done(at, transaction), transaction.revert).wait()
        else:
            await self.settled()
        return result

    def append(self, entry: entries.Entry, durable: Callable[[int], None] = lambda _: None) -> Commit:
        """Queue an entry that changes no table behind all writes up to now; `durable` is told where its last record is.

        Raises `StorageNotReady`.
        """
        return self._commits.add(entries.records(entry, self._max_entry_bytes), durable)

    @property
    def sealed(self) -> bool:
        """Whether nothing may be written, nor read, since all this may be replaced at this moment."""
        return self._sealed is not None

    async def append_last(self, entry: entries.Entry) -> None:
        """Append an entry behind which nothing may come; then set `replaced`. Never cancel it.

        Raises `LogFull`: then all goes on as if nothing had been.
        """
        commit = self.append(entry)
        self._sealed = lifted = trio.Event()
        try:
            await commit.wait()
        except LogFull:
            self._sealed = None
            lifted.set()
            raise
        self.replaced.set()

    async def settled(self) -> None:
        """Wait until all that the tables show now is in the log, and nothing of another leader's is.

        Raises `LogFull` if part of it was refused and is undone, `StorageNotReady` if the storage does not serve or
        cannot know whether all of it stays.
        """
        if self.sealed:
            raise StorageNotReady("Storage is not READY")
        self._commits.check_ready()
        last = self._commits.last()
        try:
            if last is not None:
                await last.wait()
            await self._log.confirm()
        except (LogLost, OutcomeUnknown) as lost:
            raise StorageNotReady(str(lost)) from None

    def subscribe(self) -> trio.MemoryReceiveChannel[Sequence[StorageEvent]]:
        """All events from now on, in the order of the log, those of one write together.

        The buffer is unbounded: keep reading, or close it.
        """
        send, receive = trio.open_memory_channel[Sequence[StorageEvent]](math.inf)
        self._subscribers.append(send)
        return receive

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit writes in groups until cancelled; whatever waits then is undone and told so.

        A log that fails for good ends it with its error: what is true is known again when the log is opened anew.
        """
        await self._commits.run(task_status=task_status)

    def _records(self, transaction: Transaction) -> list[bytes]:
        if not transaction.ops:
            return []
        return entries.records(entries.transaction(transaction.ops), self._max_entry_bytes)

    def _done(self, position: int, transaction: Transaction) -> None:
        if transaction.ops:
            self.transactions += 1
            self._follower(position, transaction.changes)
        events = transaction.events() if self._subscribers else []
        if events:
            for subscriber in list(self._subscribers):
                self._publish(subscriber, events)

    def _publish(
        self, subscriber: trio.MemorySendChannel[Sequence[StorageEvent]], events: Sequence[StorageEvent]
    ) -> None:
        try:
            subscriber.send_nowait(events)
        except trio.BrokenResourceError:  # it was closed by its reader
            self._subscribers.remove(subscriber)


async def _no_replacement(tables: Tables) -> None:
    raise StorageNotReady("Storage is not READY")


async def _no_snapshot() -> None:
    await trio.lowlevel.checkpoint()
