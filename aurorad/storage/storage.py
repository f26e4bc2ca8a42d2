"""The one door to the truth: writes become durable in the log before anyone hears of them.

A write's work runs at once, on the tables; its operations then wait for the log together with those of other writers
(group commit). Until they are durable nobody is told: subscribers get no event, `write` does not return, and a reader
who must not see more than the log holds awaits `settled` first. If the log refuses, the work is undone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec
import trio

from aurorad.api import storage as s
from aurorad.storage.events import StorageEvent
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction

T = TypeVar("T")


class LogFull(Exception):
    """The log has no room: nothing was written, and the same write may succeed later."""


class StorageNotReady(Exception):
    """The storage is not serving (yet, or any more): ERROR_TRANSIENT to a client."""


class Log(Protocol):
    """What storage needs of a log."""

    async def append(self, entries: Sequence[bytes]) -> int:
        """Make all entries durable, in order; the position of the last.

        Raises `LogFull` when there is no room; then none of them is in the log.
        """


class _Pending:
    """A transaction on its way into the log."""

    def __init__(self, transaction: Transaction, entry: bytes) -> None:
        self.transaction = transaction
        self.entry = entry
        self.done = trio.Event()
        self.refused: LogFull | None = None


class Storage:
    """Tables, transactions and subscriptions over a log. `run` must run for writes to become durable."""

    def __init__(self, log: Log, tables: Tables) -> None:
        self.tables = tables
        self._log = log
        self._pending: list[_Pending] = []
        self._in_flight: list[_Pending] = []
        self._wake = trio.Event()
        self._subscribers: list[trio.MemorySendChannel[StorageEvent]] = []
        self._ready = False
        self.refusing: str | None = None
        """Why the last write was refused, None after one that was not."""
        self.refusals = 0
        """How often writes were refused and undone: what was read across a change of this may not be true."""

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` as one transaction; its result, once the log has it.

        Raises what `work` raises (nothing changed then), `LogFull` if the log has no room (likewise), or
        `StorageNotReady`. If cancelled while waiting for the log, the write may still become durable.
        """
        if not self._ready:
            raise StorageNotReady("Storage is not READY")
        transaction = Transaction(self.tables)
        try:
            result = work(transaction)
        except BaseException:
            transaction.revert()
            raise
        if transaction.ops or transaction.events():
            await self._commit(transaction)
        return result

    async def settled(self) -> None:
        """Wait until all that the tables show is in the log.

        Raises `LogFull` if part of it was refused and is undone, `StorageNotReady` before the storage serves.
        """
        if not self._ready:
            raise StorageNotReady("Storage is not READY")
        waiting = self._pending or self._in_flight
        if waiting:
            last = waiting[-1]
            await last.done.wait()
            if last.refused is not None:
                raise last.refused

    def subscribe(self) -> trio.MemoryReceiveChannel[StorageEvent]:
        """All events from now on, in the order of the log. The buffer is unbounded: keep reading, or close it."""
        send, receive = trio.open_memory_channel[StorageEvent](math.inf)
        self._subscribers.append(send)
        return receive

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit writes in groups until cancelled; whatever waits then is undone and gets `StorageNotReady`."""
        self._ready = True
        task_status.started()
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                await self._commit_group()
        finally:
            self._ready = False

    async def _commit(self, transaction: Transaction) -> None:
        pending = _Pending(transaction, msgspec.msgpack.encode(s.Transaction(tuple(transaction.ops), 1)))
        self._pending.append(pending)
        self._wake.set()
        await pending.done.wait()
        if pending.refused is not None:
            raise pending.refused

    async def _commit_group(self) -> None:
        group, self._pending = self._pending, []
        self._in_flight = group
        try:
            await self._log.append([pending.entry for pending in group])
        except LogFull as refusal:
            self._refuse(refusal)
            return
        self._in_flight = []
        self.refusing = None
        for pending in group:
            self._publish(pending.transaction.events())
            pending.done.set()

    def _refuse(self, refusal: LogFull) -> None:
        """Undo the group and all that was built on it, newest first."""
        refused = self._in_flight + self._pending
        self._in_flight, self._pending = [], []
        self.refusing = str(refusal)
        self.refusals += 1
        for pending in reversed(refused):
            pending.transaction.revert()
            pending.refused = refusal
        for pending in refused:
            pending.done.set()

    def _publish(self, events: list[StorageEvent]) -> None:
        for subscriber in list(self._subscribers):
            try:
                for event in events:
                    subscriber.send_nowait(event)
            except trio.BrokenResourceError:  # closed by its reader
                self._subscribers.remove(subscriber)
