from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aurorad.log.errors import LogFull, LogLost
from aurorad.log.face import Batches, Receipt
from aurorad.storage.commits import GRACE_S, MOST_UNDER_WAY, Commit, GroupCommit, OutcomeUnknown, StorageNotReady
from tests.simulation import determinism


class SlowReceipt:
    """Done, or lost, when a test says so."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.done = trio.Event()
        self.why: str | None = None

    async def wait(self) -> int:
        await self.done.wait()
        if self.why is not None:
            raise LogLost(self.why)
        return self.last


class FarLog:
    """Places entries at once; they are durable when a test says so."""

    def __init__(self) -> None:
        self.begin = self.end = self.reach = self.size = 0
        self.entries: list[bytes] = []
        self.receipts: list[SlowReceipt] = []
        self.failure: Exception | None = None
        self.gate: trio.Event | None = None
        """What `submit` waits for."""

    async def submit(self, entries: Sequence[bytes]) -> Receipt:
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.entries += entries
        self.receipts.append(SlowReceipt(len(self.entries) - 1))
        return self.receipts[-1]

    async def confirm(self) -> None: ...
    async def truncate(self, before: int) -> None: ...

    async def read(self, position: int) -> Batches:
        yield []

    def finish(self, *numbers: int) -> None:
        for number in numbers:
            self.receipts[number].done.set()

    def lose(self, why: str) -> None:
        self.failure = LogLost(why)
        for receipt in self.receipts:
            if not receipt.done.is_set():
                receipt.why = why
                receipt.done.set()


class Story:
    """What happened to commits, in order."""

    def __init__(self, commits: GroupCommit) -> None:
        self.commits = commits
        self.told: list[str] = []

    def add(self, name: str, records: int = 1) -> Commit:
        return self.commits.add(
            [name.encode()] * records,
            lambda position: self.told.append(f"{name} at {position}"),
            lambda: self.told.append(f"not {name}"),
        )

    async def add_each(self, *names: str) -> list[Commit]:
        """Each in a group of its own."""
        added = []
        for name in names:
            added.append(self.add(name))
            await wait_all_tasks_blocked()
        return added


@asynccontextmanager
async def running(log: FarLog) -> AsyncIterator[Story]:
    commits = GroupCommit(log, probe=[b"probe"])
    async with trio.open_nursery() as nursery:
        await nursery.start(commits.run)
        yield Story(commits)
        nursery.cancel_scope.cancel()


async def outcome(commit: Commit) -> type[BaseException] | None:
    try:
        await commit.wait()
    except (LogFull, OutcomeUnknown, StorageNotReady) as error:
        return type(error)
    return None


async def test_many_appends_are_under_way_at_a_time_and_finish_in_order() -> None:
    log = FarLog()
    async with running(log) as story:
        a, b, c = await story.add_each("a", "b", "c")
        assert [receipt.last for receipt in log.receipts] == [0, 1, 2]
        log.finish(1, 2)
        await wait_all_tasks_blocked()
        assert story.told == []
        log.finish(0)
        for commit in (a, b, c):
            await commit.wait()
        assert story.told == ["a at 0", "b at 1", "c at 2"]


async def test_what_comes_while_enough_is_under_way_shares_the_next_append() -> None:
    log = FarLog()
    async with running(log) as story:
        await story.add_each(*(f"w{number}" for number in range(MOST_UNDER_WAY)))
        waiting = await story.add_each("x", "y", "z")
        assert len(log.receipts) == MOST_UNDER_WAY
        log.finish(0)
        await wait_all_tasks_blocked()
        assert len(log.receipts) == MOST_UNDER_WAY + 1
        log.finish(*range(1, MOST_UNDER_WAY + 1))
        for commit in waiting:
            await commit.wait()
        assert story.told[-3:] == ["x at 16", "y at 17", "z at 18"]


async def test_what_has_no_record_is_told_in_its_turn_and_where_the_last_record_is() -> None:
    log = FarLog()
    async with running(log) as story:
        (a,) = await story.add_each("a")
        nothing = story.add("nothing", records=0)
        await wait_all_tasks_blocked()
        assert story.told == []
        log.finish(0)
        await nothing.wait()
        assert story.told == ["a at 0", "nothing at 0"]
        assert await outcome(a) is None


async def test_last_is_the_newest_that_waits() -> None:
    log = FarLog()
    async with running(log) as story:
        assert story.commits.last() is None
        a, b = await story.add_each("a", "b")
        assert story.commits.last() is b
        log.finish(0)
        await a.wait()
        assert story.commits.last() is b
        log.finish(1)
        await b.wait()
        assert story.commits.last() is None


async def test_a_refusal_undoes_what_comes_behind_and_leaves_what_is_under_way() -> None:
    log = FarLog()
    async with running(log) as story:
        a, b = await story.add_each("a", "b")
        log.gate = trio.Event()
        log.failure = LogFull("no room")
        c, d, e = await story.add_each("c", "d", "e")
        log.gate.set()
        assert [await outcome(commit) for commit in (c, d, e)] == [LogFull] * 3
        assert story.told == ["not e", "not d", "not c"]
        assert story.commits.last() is b
        log.failure = None
        log.finish(0, 1)
        assert [await outcome(commit) for commit in (a, b)] == [None, None]
        (f,) = await story.add_each("f")
        log.finish(2)
        await f.wait()
        assert story.told[3:] == ["a at 0", "b at 1", "f at 2"]


async def test_a_loss_ends_it_newest_first_and_who_was_under_way_does_not_know() -> None:
    log = FarLog()
    ended: list[str] = []

    async def run(commits: GroupCommit, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(LogLost, match="promise lost"):
            await commits.run(task_status=task_status)
        ended.append("with its error")

    commits = GroupCommit(log, probe=[b"probe"])
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: run(commits, task_status))
        story = Story(commits)
        a, b, c = await story.add_each("a", "b", "c")
        log.finish(0)
        await a.wait()
        log.gate = trio.Event()
        d, e = await story.add_each("d", "e")
        log.lose("promise lost")
        assert [await outcome(commit) for commit in (b, c)] == [OutcomeUnknown] * 2
        assert [await outcome(commit) for commit in (d, e)] == [StorageNotReady] * 2
    assert story.told == ["a at 0", "not e", "not d", "not c", "not b"]
    assert ended == ["with its error"]


async def test_a_loss_while_entries_are_placed_leaves_their_outcome_unknown() -> None:
    log = FarLog()
    commits = GroupCommit(log, probe=[b"probe"])
    log.failure = LogLost("promise lost")
    with pytest.RaisesGroup(pytest.RaisesExc(LogLost, match="promise lost")):
        async with trio.open_nursery() as nursery:
            await nursery.start(commits.run)
            story = Story(commits)
            commit = story.add("a")
            with trio.CancelScope(shield=True):
                assert await outcome(commit) is OutcomeUnknown
    assert story.told == ["not a"]


async def test_what_the_log_is_taking_when_it_stops_is_waited_for() -> None:
    log = FarLog()
    commits = GroupCommit(log, probe=[b"probe"])
    async with trio.open_nursery() as waiters, trio.open_nursery() as nursery:
        await nursery.start(commits.run)
        story = Story(commits)
        a, b = await story.add_each("a", "b")
        log.gate = trio.Event()
        (c,) = await story.add_each("c")
        nursery.cancel_scope.cancel()

        async def finish() -> None:
            assert await outcome(c) is StorageNotReady
            assert [await outcome(a), await outcome(b)] == [None, None]

        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            with pytest.raises(StorageNotReady):
                commits.check_ready()
            log.finish(0, 1)
        waiters.start_soon(finish)
    assert story.told == ["a at 0", "b at 1", "not c"]


async def test_it_is_not_waited_for_longer_than_is_decent(autojump_clock: MockClock) -> None:
    log = FarLog()
    commits = GroupCommit(log, probe=[b"probe"])
    async with trio.open_nursery() as nursery:
        await nursery.start(commits.run)
        story = Story(commits)
        a, b = await story.add_each("a", "b")
        stopped = trio.current_time()
        nursery.cancel_scope.cancel()
    assert [await outcome(a), await outcome(b)] == [OutcomeUnknown] * 2
    assert story.told == ["not b", "not a"]
    assert trio.current_time() - stopped == pytest.approx(GRACE_S)


class DelayedReceipt:
    def __init__(self, last: int, delay_s: float) -> None:
        self._last = last
        self._at = trio.current_time() + delay_s

    async def wait(self) -> int:
        await trio.sleep_until(self._at)
        return self._last


class DelayedLog(FarLog):
    """Takes its time for everything, and is full now and then."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    async def submit(self, entries: Sequence[bytes]) -> Receipt:
        await trio.sleep(self._rng.random() / 100)
        if self._rng.random() < 0.1:
            raise LogFull("no room")
        self.entries += entries
        return DelayedReceipt(len(self.entries) - 1, self._rng.random() / 10)


def test_whatever_await_it_is_cancelled_at_each_writer_is_told_the_truth() -> None:
    for steps in range(1, 400, 3):
        rng = random.Random(steps)
        log = DelayedLog(rng)
        determinism.run(partial(_cancelled_after, steps, log, rng), steps, lambda: 0.0)


async def _cancelled_after(steps: int, log: DelayedLog, rng: random.Random) -> None:
    commits = GroupCommit(log, probe=[])
    story, ends = Story(commits), dict[str, type[BaseException] | None]()

    async def write(writer: int) -> None:
        for number in range(10):
            name = f"{writer}.{number}"
            try:
                ends[name] = await outcome(story.add(name))
            except StorageNotReady:
                return
            await trio.sleep(rng.random() / 50)

    scope = trio.CancelScope()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await commits.run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        trio.lowlevel.add_instrument(determinism.AfterSteps(steps, scope.cancel))
        async with trio.open_nursery() as writers:
            for writer in range(5):
                writers.start_soon(write, writer)
        scope.cancel()
    stored = {entry.decode(): at for at, entry in enumerate(log.entries)}
    durable = [said.split(" at ") for said in story.told if " at " in said]
    assert [(name, int(at)) for name, at in durable] == sorted(stored.items(), key=lambda pair: pair[1])[: len(durable)]
    assert {name for name, end in ends.items() if end is None} == {name for name, _ in durable}
    undone = {name for name, end in ends.items() if end is not None}
    assert undone == {said.removeprefix("not ") for said in story.told if said.startswith("not ")}
    assert not any(name in stored for name, end in ends.items() if end in (LogFull, StorageNotReady))
