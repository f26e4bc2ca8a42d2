"""A member that is cancelled at any await has everything that was acknowledged on its disk."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from functools import partial

import trio

from aurorad.log.errors import LogLost
from aurorad.log.journal import Journal
from aurorad.log.messages import NOBODY, Message, Metadata, Peer, Status
from aurorad.log.peers import Deliver, Met
from aurorad.log.replicated import LogSettings, ReplicatedLog
from aurorad.log.scribe import Room
from aurorad.vars import Vars
from tests.log.fake_disk import FakeDisk
from tests.simulation import determinism

SMALL = Room(headroom=8 << 10, low_water=8 << 10, piece=8 << 10)  # small files are made fast


class Nobody:
    """Peers of a member that is alone."""

    me = "here:1"

    def introduce(self, peer: Peer) -> None: ...
    def aim(self, members: frozenset[str]) -> None: ...
    def send(self, to: str, message: Message) -> None: ...

    async def run(self, deliver: Deliver, met: Met) -> None:
        await trio.sleep_forever()


async def group() -> AsyncIterator[frozenset[str]]:
    yield frozenset({"here:1"})
    await trio.sleep_forever()


class Life:
    """One member's, from its start to its end at some step."""

    def __init__(self) -> None:
        self.disk = FakeDisk(sector=512)
        self.acknowledged: list[bytes] = []
        self.submitted: list[bytes] = []
        self.is_whole = False
        journal = Journal.open(self.disk, alone=True, rng=random.Random(1), segment_bytes=256 << 10)
        journal.append([Metadata(Status.VOTING, 0, NOBODY)])
        journal.close()

    async def run(self, steps: int) -> None:
        with trio.CancelScope() as scope:
            trio.lowlevel.add_instrument(determinism.AfterSteps(steps, scope.cancel))
            log = await self._open()
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(log.run)
                    await log.fit()
                    await log.lead()
                    async with trio.open_nursery() as writers:
                        for name in (b"a", b"b", b"c"):
                            writers.start_soon(self._write, log, name)
                    await log.confirm()
                    await log.truncate(log.begin + 1)
                    assert [e async for some in log.read(log.begin) for _, e in some] == self.submitted
                    self.is_whole = True
                    nursery.cancel_scope.cancel()
            finally:
                await log.aclose()

    async def _open(self) -> ReplicatedLog:
        rng = random.Random(2)
        journal = Journal.open(self.disk, alone=True, rng=rng, segment_bytes=256 << 10)
        return ReplicatedLog(journal, Nobody(), group(), LogSettings("west", room=SMALL), Vars(), rng)

    async def _write(self, log: ReplicatedLog, name: bytes) -> None:
        for number in range(3):
            entry = name + b"%d" % number
            try:
                receipt = await log.submit([entry])
                self.submitted.append(entry)
                await receipt.wait()
            except LogLost:
                return
            self.acknowledged.append(entry)

    async def check(self) -> None:
        log = await self._open()
        async with trio.open_nursery() as nursery:
            await nursery.start(log.run)
            await log.fit()
            await log.lead()
            await trio.sleep(1)  # a truncation that was cut short is done now
            found = [entry async for some in log.read(log.begin) for _, entry in some]
            nursery.cancel_scope.cancel()
        await log.aclose()
        assert found == self.submitted[: len(found)]
        assert set(self.acknowledged) <= set(found)


def test_whatever_await_it_is_cancelled_at() -> None:
    for steps in range(1, 2000):
        life = Life()
        rng = random.Random(steps)
        determinism.run(partial(life.run, steps), steps, partial(rng.uniform, 0, 0.001))
        determinism.run(life.check, steps, lambda: 0.001)
        if life.is_whole:
            break
    else:
        raise AssertionError("it never came to its end")
    assert steps > 30
