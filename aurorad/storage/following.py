"""The state kept at the end of a log, by who follows it and by who leads it: the same tables, never read twice.

A follower applies every entry as soon as the log knows that it stays, so that to lead takes no longer than to read
what came last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from aurorad.log.errors import LogFailed
from aurorad.log.face import Batches, LedLog
from aurorad.log.local import LocalLog
from aurorad.pace import Pace
from aurorad.storage import gauges
from aurorad.storage.materialise import Materialiser
from aurorad.storage.recovery import Recovered, no_snapshot, recover
from aurorad.storage.replay import ReplacedMeanwhile, Replay
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import MAX_ENTRY_BYTES, Storage
from aurorad.storage.tables import Changes, Tables
from aurorad.vars import Vars


class Settings(NamedTuple):
    """How a leader writes."""

    now_ms: Callable[[], int]
    max_entry_bytes: int = MAX_ENTRY_BYTES
    snapshot_interval_s: float = 3600.0


class Following:
    """`tables` are those at `position` of the log, from the first moment to the last. `run` must run, once."""

    def __init__(
        self, log: LedLog, recovered: Recovered, materialiser: Materialiser, settings: Settings, stats: Vars
    ) -> None:
        self.log = log
        self.tables = recovered.replay.tables or Tables(stats)
        self.position = recovered.position
        """Of the last entry that was read; -1 if there was none."""
        self._replay = recovered.replay
        self._shared = recovered.shared
        self._materialiser = materialiser
        self._settings = settings
        self._stats = stats
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()
        gauges.export(self.tables, stats)

    async def run(self) -> None:
        """Apply what comes, until this process leads."""
        with self._scope:
            while True:
                await self._read(self.log.follow)
        self._stopped.set()

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Storage]:
        """The storage of who leads the log. It serves until the block ends.

        Raises `UnreadableLog`, `LogDamaged`. A log that is lost and a disk that fails cancel the block: `LogLost` and
        `LogFailed` come out in an exception group.
        """
        self._scope.cancel()
        await self._stopped.wait()
        while not await self._read(self.log.read):
            pass
        if self._replay.tables is None:
            raise no_snapshot(self.log)
        self._materialiser.reach(self.position)
        log, settings = self.log, self._settings
        storage = Storage(log, self.tables, settings.max_entry_bytes, self._materialiser.follow)
        transactions = self._replay.transactions
        snapshots = Snapshots(storage, log, self._stats, settings.now_ms, settings.snapshot_interval_s, transactions)
        storage.snapshot, storage.replace = snapshots.ordered, snapshots.replace
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, storage)
            nursery.start_soon(_run, snapshots)
            yield storage
            nursery.cancel_scope.cancel()

    async def _read(self, batches: Callable[[int], Batches]) -> bool:
        """Apply all that the log gives; False if it has to be begun anew, from before what was read."""
        end = self.log.end
        try:
            async with aclosing(batches(self.position + 1)) as some:
                async for records in some:
                    await self._apply(records)
        except (LookupError, ReplacedMeanwhile) as missed:
            if isinstance(missed, LookupError) and self.position + 1 >= self.log.begin:
                raise  # else it was truncated, and there is a snapshot behind
            self.position = self.log.begin - 1
            self._replay = Replay(Tables(self._stats) if self.position < 0 else None, self._stats, self._shared)
            return False
        self.position = max(self.position, end - 1)
        return True

    async def _apply(self, records: list[tuple[int, bytes]]) -> None:
        pace = Pace()
        for position, record in records:
            with trio.CancelScope(shield=True):  # an entry applies whole
                changes = Changes()
                for _ in self._replay.steps(position, record, changes):
                    await pace.breathe()
                await self._note(position, changes)
            self.position = position
            await pace.breathe()
        self._shared.forget_if_many()

    async def _note(self, position: int, changes: Changes) -> None:
        """Have everybody see what came; a snapshot's tables take the place of those that they look at."""
        if self._replay.tables is None or self._replay.is_amid:
            return
        if self._replay.tables is self.tables:
            self._materialiser.follow(position, changes)
        else:
            self.tables.become(self._replay.tables)
            self._replay.tables = self.tables
            self._materialiser.begin_anew(position, await trio.to_thread.run_sync(self.tables.copy))


Follow = Callable[[], AbstractAsyncContextManager[Following]]
"""Opens a log and follows it, as long as the block lasts."""


async def _run(part: Storage | Snapshots, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    try:
        await (part.run(task_status=task_status) if isinstance(part, Storage) else part.run())
    except OSError as error:
        raise LogFailed(f"the log's disk failed: {error}") from error


@asynccontextmanager
async def following(
    log: LedLog, database: Path, settings: Settings, stats: Vars, *, alone: bool
) -> AsyncIterator[Following]:
    """The state in `log`, followed until the block ends, with the database beside it.

    Raises `UnreadableLog`, `LogDamaged`, or `OSError`. An empty log beside a database is refused if there is nobody
    (`alone`) from whom it could be had again.
    """
    recovered = await recover(log, database, stats, alone=alone)
    known = -1 if recovered.replay.tables is None else recovered.whole
    materialiser = Materialiser(database, recovered.database, recovered.unwritten, known, stats)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(materialiser.run)
            state = Following(log, recovered, materialiser, settings, stats)
            nursery.start_soon(state.run)
            yield state
            nursery.cancel_scope.cancel()
    finally:
        materialiser.close()


@asynccontextmanager
async def local_log(folder: Path, stats: Vars) -> AsyncIterator[LocalLog]:
    """The log of a cluster of one, in ``log/`` of `folder`. Raises `LogInUse`, `LogDamaged`, or `OSError`."""
    await trio.to_thread.run_sync(lambda: folder.mkdir(mode=0o700, parents=True, exist_ok=True))
    log = await LocalLog.open(folder / "log", stats)
    try:
        yield log
    finally:
        await log.aclose()
