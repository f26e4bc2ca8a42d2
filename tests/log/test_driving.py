"""A member whose disk is slower than what it is told: what it reads there may be an old tail still."""

from __future__ import annotations

import random
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from aurorad.log.journal import Journal
from aurorad.log.messages import (
    NOBODY,
    Fetch,
    Fetched,
    Known,
    Message,
    Metadata,
    Peer,
    Proposal,
    Record,
    Status,
    Value,
    Write,
    Wrote,
)
from aurorad.log.peers import Deliver, Met
from aurorad.log.replicated import LogSettings, ReplicatedLog
from aurorad.vars import Vars
from tests.log.fake_disk import FakeDisk
from tests.waiting import until

OLD: Proposal = (1, 1)
NEW: Proposal = (2, 2)


class Wire:
    """`Peers`, in the hands of a test."""

    me = "10.0.0.1:1"

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.deliver: Deliver

    def introduce(self, peer: Peer) -> None: ...

    def aim(self, members: frozenset[str]) -> None: ...

    def send(self, to: str, message: Message) -> None:
        self.sent.append(message)

    async def run(self, deliver: Deliver, met: Met) -> None:
        self.deliver = deliver
        await trio.sleep_forever()


class Slow:
    """A journal's method that waits before it returns, or before it begins, as long as `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.is_waiting = threading.Event()

    def wait(self) -> None:
        self.is_waiting.set()
        assert self.gate.wait(30)


async def group() -> AsyncIterator[frozenset[str]]:
    yield frozenset({Wire.me, "10.0.0.2:1", "10.0.0.3:1"})
    await trio.sleep_forever()


@asynccontextmanager
async def member() -> AsyncIterator[tuple[ReplicatedLog, Journal, Wire]]:
    """One that has learned ten positions, and has a tail of ten behind them that was never chosen."""
    journal = Journal.open(FakeDisk(), alone=True, rng=random.Random(0), segment_bytes=1 << 20)
    journal.append([Metadata(Status.VOTING, 5, NOBODY), Wrote(OLD, 0, [b"old"] * 20), Known(10)])
    journal.stored = journal._what_is_stored()
    wire = Wire()
    log = ReplicatedLog(journal, wire, group(), LogSettings("west", 2), Vars(), random.Random(0))
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        await until(lambda: hasattr(wire, "deliver"))
        yield log, journal, wire
        nursery.cancel_scope.cancel()
    await log.aclose()


async def test_a_member_whose_disk_lags_serves_no_tail_that_was_never_chosen() -> None:
    slow = Slow()
    async with member() as (_, journal, wire):
        append = journal.append

        def append_late(records: Sequence[Record]) -> None:
            slow.wait()
            append(records)

        journal.append = append_late  # type: ignore[method-assign]
        try:
            await wire.deliver("10.0.0.2:1", Write(NEW, NEW, 10, [b"new"] * 10, 15), 100)
            await until(slow.is_waiting.is_set)  # learned here, and still not on this disk
            await wire.deliver("10.0.0.3:1", Fetch(5), 10)
            await until(lambda: any(isinstance(message, Fetched) for message in wire.sent))
        finally:
            slow.gate.set()
        (told,) = [message for message in wire.sent if isinstance(message, Fetched)]
        assert (told.first, told.values) == (5, [b"old"] * 5)


async def test_who_follows_gets_nothing_that_was_cut_off_while_it_was_read() -> None:
    slow = Slow()
    async with member() as (log, journal, wire):
        read = journal.read

        def read_late(first: int, max_bytes: int) -> list[Value]:
            values = read(first, max_bytes)
            slow.wait()
            return values

        journal.read = read_late  # type: ignore[method-assign]
        got: list[bytes] = []

        async def follow() -> None:
            async for entries in log.follow(5):
                got.extend(entry for _, entry in entries)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            try:
                await until(slow.is_waiting.is_set)
                await wire.deliver("10.0.0.2:1", Write(NEW, NEW, 10, [b"new"] * 10, 15), 100)
                await until(lambda: log.end == 15)
            finally:
                slow.gate.set()
            await until(lambda: len(got) == 10)
            nursery.cancel_scope.cancel()
        assert got == [b"old"] * 5 + [b"new"] * 5
