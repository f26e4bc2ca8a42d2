"""A recovery that is committed while everything else goes on, and the machine goes down at any moment."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable, Collection
from functools import partial

import pytest
import trio

from aurorad.log.local import LocalLog
from aurorad.log.segments import Segments
from aurorad.storage import snapshots
from aurorad.storage.recovery import recover
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import OutcomeUnknown, Storage, StorageNotReady
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars
from tests.log.fake_disk import Down, FakeDisk
from tests.simulation import determinism
from tests.simulation.node import NO_DATABASE
from tests.storage.samples import config, task

Act = Callable[[Storage], Awaitable[None]]

RESTORED = frozenset({"x", "y", "z"})
RECORD_BYTES = 600  # so that entries have several records
SEGMENT_BYTES = 4 << 10


class Life:
    """One process on a disk, and what it was told to be there."""

    def __init__(self, disk: FakeDisk, *, awaits: int | None = None, power_fails: bool = False) -> None:
        """It ends after so many awaits, if it is told how many, or at a call of its disk."""
        self.disk = disk
        self.awaits = awaits
        self.power_fails = power_fails
        self.found: frozenset[str] = frozenset()
        self.begun: set[str] = set()
        self.told: set[str] = set()
        self.is_asked = self.is_replaced = self.is_over = False
        self.scope = trio.CancelScope()

    def end(self) -> None:
        """Nothing that it still does counts."""
        if not self.is_over:
            self.is_over = True
            self.disk = self.disk.after_power_loss() if self.power_fails else self.disk.after_process_crash()
            self.scope.cancel()

    async def run(self, act: Act) -> None:
        with self.scope:
            await self._live(act)

    async def _live(self, act: Act) -> None:
        if self.awaits is not None:
            trio.lowlevel.add_instrument(determinism.AfterSteps(self.awaits, self.end))
        stats = Vars()
        log = LocalLog(Segments(self.disk, SEGMENT_BYTES), stats)
        recovered = await recover(log, NO_DATABASE, stats)
        self.found = frozenset(recovered.tables.rows(Table.TASKS))
        storage = Storage(log, recovered.tables, RECORD_BYTES)
        shots = Snapshots(storage, log, stats, lambda: 1, 3600.0, recovered.replay.transactions)
        storage.snapshot, storage.replace = shots.ordered, shots.replace
        try:
            async with trio.open_nursery() as services:
                await services.start(storage.run)
                services.start_soon(shots.run)
                await act(storage)
                services.cancel_scope.cancel()
        except* (Down, OSError, StorageNotReady, OutcomeUnknown):
            pass

    async def save(self, storage: Storage, names: Collection[str]) -> None:
        for name in names:
            await self._save_one(storage, name)

    async def _save_one(self, storage: Storage, name: str) -> None:
        self.begun.add(name)
        await storage.write(lambda tx: tx.save_tasks(task(name, config=config(data="d" * 700))))
        if not self.is_over:
            self.told.add(name)

    async def commit(self, storage: Storage) -> None:
        """While users write and a snapshot is taken."""

        async def users() -> None:
            await self.save(storage, ("c", "d", "e"))

        await self.save(storage, ("a", "b"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(users)
            nursery.start_soon(storage.snapshot)
            instead = Tables()
            instead.load(Row(Table.TASKS, name, task(name, config=config(data="z" * 900))) for name in RESTORED)
            self.is_asked = True
            try:
                await storage.replace(instead)
                self.is_replaced = not self.is_over
            finally:
                nursery.cancel_scope.cancel()


def run(life: Life, act: Act, seed: int) -> None:
    rng = random.Random(seed)
    with contextlib.suppress(Down):  # while it started
        determinism.run(lambda: life.run(act), seed, lambda: rng.random() / 1000)
    life.end()


@pytest.mark.parametrize("power_fails", [False, True])
@pytest.mark.parametrize("where", ["at a call of the disk", "at an await"])
def test_whenever_it_goes_down_the_state_is_wholly_the_old_or_wholly_the_new_one(
    monkeypatch: pytest.MonkeyPatch, where: str, power_fails: bool
) -> None:
    monkeypatch.setattr(snapshots, "PART_ROWS", dict.fromkeys(Table, 1))
    replaced = 0
    for steps in range(1, 2000):
        disk = FakeDisk(random.Random(steps))
        life = Life(disk, awaits=steps if where == "at an await" else None, power_fails=power_fails)
        disk.steps_left = steps if where == "at a call of the disk" else None
        run(life, life.commit, steps)
        after = Life(life.disk)
        run(after, partial(after.save, names=("later",)), steps)
        if life.is_replaced:
            assert after.found == RESTORED
        else:
            assert (life.is_asked and after.found == RESTORED) or life.told <= after.found <= life.begun
        third = Life(after.disk)
        run(third, partial(third.save, names=()), steps)
        assert third.found == after.found | {"later"}
        replaced += life.is_replaced
        if replaced == 5:  # and soon after it
            break
    assert replaced == 5
    assert steps > 15
