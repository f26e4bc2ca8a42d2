"""Writes the whole state into the log now and then, so that what came before can be forgotten.

The log alone suffices to rebuild the state. A snapshot is the state at its beginning; writers go on while its parts are
written, between theirs. One that a crash or a full disk ended early means nothing.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import trio

from aurorad.api.tasks import ScheduledTask
from aurorad.log.errors import LogFull
from aurorad.log.face import Log
from aurorad.storage import entries
from aurorad.storage.frozen import FrozenTasks
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars

_logger = logging.getLogger(__name__)

# A part is encoded in a few milliseconds, and so holds neither the loop nor other writers.
PART_ROWS = dict.fromkeys(Table, 1000) | {Table.UPDATES: 10}

# A log that outgrew its last snapshot by this much, or by the size it had then, gets a new one before its time.
GROWTH_BYTES = 64 << 20
_CHECK_S = 5.0


class _Order:
    """A snapshot that somebody waits for: of the state, or of what shall be in its place."""

    def __init__(self, instead: Tables | None = None) -> None:
        self.instead = instead
        self.done = trio.Event()
        self.refusal: str | None = None


class Snapshots:
    """Takes a snapshot every `interval_s`, and when the log has grown a lot. `run` must run for that."""

    def __init__(
        self,
        storage: Storage,
        log: Log,
        stats: Vars,
        now_ms: Callable[[], int],
        interval_s: float,
        replayed_transactions: int,
    ) -> None:
        self._storage = storage
        self._log = log
        self._stats = stats
        self._now_ms = now_ms
        self._interval_s = interval_s
        self._lock = trio.Lock()
        self._orders: list[_Order] = []
        self._ordered = trio.Event()
        self._log_size = 0  # after the last snapshot
        self._transactions = -replayed_transactions  # when the last snapshot began
        stats.declare("scheduler_log_snapshots")
        stats.gauge(
            "scheduler_log_un_snapshotted_transactions", lambda: self._storage.transactions - self._transactions
        )

    async def ordered(self) -> None:
        """Have `run` take a snapshot as soon as it can; returns when that is done. Raises `LogFull`.

        Other errors of the log end `run`, as at any other time, whoever wanted the snapshot.
        """
        await self._order(_Order())

    async def replace(self, tables: Tables) -> None:
        """Have `run` put `tables` into the log in the place of the state; nothing can be written after that.

        Raises `LogFull`: then nothing has changed. It happens, or not, even if this is cancelled.
        """
        await self._order(_Order(tables))

    async def _order(self, order: _Order) -> None:
        self._orders.append(order)
        self._ordered.set()
        await order.done.wait()
        if order.refusal is not None:
            raise LogFull(order.refusal)

    async def run(self) -> None:
        due = trio.current_time() + self._interval_s
        while True:
            with trio.move_on_after(min(_CHECK_S, max(0.0, due - trio.current_time()))):
                await self._ordered.wait()
            await self._fill_orders()
            grown = self._log.size - self._log_size > max(GROWTH_BYTES, self._log_size)
            if not grown and trio.current_time() < due:
                continue
            due = trio.current_time() + self._interval_s
            if grown or self._storage.transactions != self._transactions:
                await self._try()

    async def write(self) -> None:
        """Take one snapshot, then forget what the log held before it.

        Raises `LogFull` if there is no room for it, `StorageNotReady`. If cancelled, it means nothing.
        """
        async with self._lock:
            started = trio.current_time()
            await self._log.truncate(await self._write(self._storage.tables))
            self._log_size = self._log.size
            self._stats.count("scheduler_log_snapshots")
            self._stats.observe("scheduler_log_snapshot", trio.current_time() - started)
        taken, self._storage.snapshot_taken = self._storage.snapshot_taken, trio.Event()
        taken.set()

    async def _fill_orders(self) -> None:
        orders, self._orders, self._ordered = self._orders, [], trio.Event()
        for instead in dict.fromkeys(order.instead for order in orders):
            refusal: str | None = None
            try:
                await (self.write() if instead is None else self._replace(instead))
            except LogFull as full:
                refusal = str(full)
            for order in orders:
                if order.instead is instead:
                    order.refusal = refusal
                    order.done.set()

    async def _replace(self, tables: Tables) -> None:
        """Returns once the log has it: who waits for that must hear of it before the process ends."""
        async with self._lock:
            await self._write(tables)

    async def _try(self) -> None:
        try:
            await self.write()
        except LogFull as refusal:
            # What was written of it stays in the log: another attempt soon would only make the room less.
            self._log_size = self._log.size
            _logger.warning("No room for a snapshot: %s", refusal)

    async def _write(self, tables: Tables) -> int:
        """The position of its beginning. Other tables than the storage's replace those."""
        begun: list[tuple[int, int]] = []
        replaces = tables is not self._storage.tables
        # What the tables show at this moment is what the log holds before this entry, if it gets there.
        begin = self._storage.append(
            entries.SnapshotBegin(self._now_ms(), replaces),
            lambda position: begun.append((position, self._storage.transactions)),
        )
        with tables.frozen() as (tasks, rows):
            await begin.wait()
            parts, last = 0, begin
            for part in every_part(tasks, rows):
                written, last = last, self._storage.append(part)  # one is made while the one before is written
                await written.wait()
                parts += 1
            await last.wait()
        end = entries.SnapshotEnd(parts, replaces)
        await (self._storage.append_last(end) if replaces else self._storage.append(end).wait())
        ((position, self._transactions),) = begun
        return position


def every_part(tasks: FrozenTasks, rows: dict[Table, dict[Any, Any]]) -> Iterator[entries.SnapshotPart]:
    """All rows of a state, in parts."""
    return itertools.chain(_task_parts(tasks), _parts(rows))


def _task_parts(tasks: FrozenTasks) -> Iterator[entries.SnapshotPart]:
    some: list[ScheduledTask] = []
    for of_job in tasks.jobs():
        some += of_job
        while len(some) >= PART_ROWS[Table.TASKS]:
            yield entries.tasks_part(some[: PART_ROWS[Table.TASKS]])
            del some[: PART_ROWS[Table.TASKS]]
    if some:
        yield entries.tasks_part(some)


def _parts(rows: dict[Table, dict[Any, Any]]) -> Iterator[entries.SnapshotPart]:
    for table, values in rows.items():
        some = (Row(table, key, value) for key, value in values.items())
        while part := list(itertools.islice(some, PART_ROWS[table])):
            yield entries.part(table, part)
