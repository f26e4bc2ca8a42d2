from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aurorad.api.enums import ScheduleStatus
from aurorad.log.errors import LogLost
from aurorad.storage import commits
from aurorad.storage.commits import PROBE_S
from aurorad.storage.events import KillRequested, StorageEvent, TaskChanged
from aurorad.storage.storage import MAX_ENTRY_BYTES, Follower, LogFull, OutcomeUnknown, Storage, StorageNotReady
from aurorad.storage.tables import Changes, Table, Tables
from aurorad.storage.transaction import Transaction
from tests.storage.memory_log import MemoryLog
from tests.storage.samples import task


@asynccontextmanager
async def serving(
    log: MemoryLog, *, max_entry_bytes: int = MAX_ENTRY_BYTES, follower: Follower = lambda *_: None
) -> AsyncIterator[Storage]:
    storage = Storage(log, Tables(), max_entry_bytes, follower)
    async with trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        yield storage
        nursery.cancel_scope.cancel()


def save(*ids: str) -> Callable[[Transaction], None]:
    return lambda tx: tx.save_tasks(*map(task, ids))


def heard(events: trio.MemoryReceiveChannel[Sequence[StorageEvent]]) -> list[StorageEvent]:
    found: list[StorageEvent] = []
    while True:
        try:
            found += events.receive_nowait()
        except trio.WouldBlock:
            return found


def ids(storage: Storage) -> set[str]:
    return set(storage.tables.rows(Table.TASKS))


async def test_a_write_returns_its_result_once_the_log_has_it() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        log.gate = trio.Event()
        results: list[int] = []

        def work(tx: Transaction) -> int:
            tx.save_tasks(task("a"))
            return 7

        async def write() -> None:
            results.append(await storage.write(work))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await log.reached.wait()
            await wait_all_tasks_blocked()
            assert ids(storage) == {"a"}
            assert results == []
            log.gate.set()
        assert results == [7]
        assert log.end == 1


async def test_those_who_wait_share_one_append() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        log.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(storage.write, save(f"task-{number}"))
                await log.reached.wait()
            await wait_all_tasks_blocked()
            log.gate.set()
    assert log.appends == [1, 49]


async def test_subscribers_hear_only_of_what_is_durable_in_the_order_of_the_log() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        events, others = storage.subscribe(), storage.subscribe()
        log.gate = trio.Event()

        def work(tx: Transaction) -> None:
            tx.kill("k")
            tx.save_tasks(task("a", ScheduleStatus.KILLING))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.write, save("a"))
            await wait_all_tasks_blocked()
            nursery.start_soon(storage.write, work)
            await wait_all_tasks_blocked()
            assert heard(events) == []
            log.gate.set()
        expected = [
            TaskChanged(None, task("a")),
            TaskChanged(task("a"), task("a", ScheduleStatus.KILLING)),
            KillRequested("k"),
        ]
        assert heard(events) == expected
        assert heard(others) == expected


async def test_a_subscriber_that_closed_is_forgotten() -> None:
    async with serving(MemoryLog()) as storage:
        gone, stays = storage.subscribe(), storage.subscribe()
        gone.close()
        await storage.write(save("a"))
        await storage.write(save("b"))
        assert len(heard(stays)) == 2


async def test_work_that_raises_changes_nothing() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        events = storage.subscribe()

        def work(tx: Transaction) -> None:
            tx.save_tasks(task("a"))
            raise KeyError("no")

        with pytest.raises(KeyError, match="no"):
            await storage.write(work)
        assert ids(storage) == set()
        assert (log.end, heard(events)) == (0, [])


async def test_a_write_of_nothing_waits_for_what_it_could_see_and_logs_nothing() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        log.gate = trio.Event()
        seen: list[bool] = []

        async def look() -> None:
            seen.append(await storage.write(lambda tx: tx.tables.task("a") is not None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.write, save("a"))
            await log.reached.wait()
            nursery.start_soon(look)
            await wait_all_tasks_blocked()
            assert seen == []
            log.gate.set()
        assert seen == [True]
        assert log.end == 1


async def test_a_kill_alone_is_told_in_its_turn_and_logs_nothing() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        events = storage.subscribe()
        log.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.write, save("a"))
            await log.reached.wait()
            nursery.start_soon(storage.write, lambda tx: tx.kill("a"))
            await wait_all_tasks_blocked()
            log.gate.set()
        assert heard(events) == [TaskChanged(None, task("a")), KillRequested("a")]
        assert log.end == 1


async def test_a_refusal_undoes_everything_that_was_built_on_it() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        await storage.write(save("kept"))
        events = storage.subscribe()
        log.gate = trio.Event()
        log.full = True
        refused: list[str] = []

        async def write(work: Callable[[Transaction], None]) -> None:
            with pytest.raises(LogFull, match="No space left on device"):
                await storage.write(work)
            refused.append("write")

        async def read() -> None:
            with pytest.raises(LogFull):
                await storage.settled()
            refused.append("read")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, save("a"))
            await log.reached.wait()
            nursery.start_soon(write, save("b"))
            await wait_all_tasks_blocked()
            nursery.start_soon(write, lambda tx: tx.remove_tasks(["a", "kept"]))
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            assert ids(storage) == {"b"}
            log.gate.set()
        assert sorted(refused) == ["read", "write", "write", "write"]
        assert ids(storage) == {"kept"}
        assert heard(events) == []
        assert (storage.refusing, storage.refusals) == ("No space left on device", 1)


async def test_a_refused_write_may_succeed_later() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        log.full = True
        with pytest.raises(LogFull):
            await storage.write(save("a"))
        log.full = False
        await storage.write(save("a"))
        assert storage.refusing is None
        assert ids(storage) == {"a"}


async def test_room_is_noticed_without_a_write(autojump_clock: trio.testing.MockClock) -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        log.full = True
        with pytest.raises(LogFull):
            await storage.write(save("a"))
        await trio.sleep(PROBE_S * 3.5)
        assert (storage.refusing, log.end) == ("No space left on device", 0)
        log.full = False
        await trio.sleep(PROBE_S)
        assert storage.refusing is None
        written = log.end
        await trio.sleep(PROBE_S * 10)
        assert log.end == written, "once there is room nothing more is asked"


async def test_settled_waits_for_all_that_the_tables_show_and_not_for_more() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        await storage.settled()
        log.gate = trio.Event()
        settled = trio.Event()

        async def settle() -> None:
            await storage.settled()
            settled.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.write, save("a"))
            await log.reached.wait()
            nursery.start_soon(settle)
            await wait_all_tasks_blocked()
            assert not settled.is_set()
            nursery.start_soon(storage.write, save("b"))
            await wait_all_tasks_blocked()
            first, log.gate = log.gate, trio.Event()
            first.set()
            await settled.wait()
            log.gate.set()


async def test_settled_waits_until_the_log_confirms_that_nobody_else_leads() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        log.confirmed = trio.Event()
        settled = trio.Event()

        async def settle() -> None:
            await storage.settled()
            settled.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(settle)
            await log.asked.wait()
            await wait_all_tasks_blocked()
            assert not settled.is_set()
            log.confirmed.set()
        log.unconfirmed = LogLost("somebody else leads")
        with pytest.raises(StorageNotReady, match="somebody else leads"):
            await storage.settled()
        with pytest.raises(StorageNotReady, match="somebody else leads"):
            await storage.write(lambda tx: None)


async def test_before_it_runs_and_after_it_has_stopped_it_is_not_ready() -> None:
    storage = Storage(MemoryLog(), Tables())
    for _ in range(2):
        with pytest.raises(StorageNotReady, match="Storage is not READY"):
            await storage.write(save("a"))
        with pytest.raises(StorageNotReady, match="Storage is not READY"):
            await storage.settled()
        async with trio.open_nursery() as nursery:
            await nursery.start(storage.run)
            nursery.cancel_scope.cancel()
    assert ids(storage) == set()


async def test_those_who_wait_when_it_stops_are_undone_and_told() -> None:
    log = MemoryLog()
    log.gate = trio.Event()
    storage = Storage(log, Tables())
    told: list[str] = []

    async def expect_not_ready(name: str, wait: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(StorageNotReady, match="Storage has stopped"):
            await wait()
        told.append(name)

    async with trio.open_nursery() as waiters, trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        waiters.start_soon(expect_not_ready, "a", lambda: storage.write(save("a")))
        await log.reached.wait()
        waiters.start_soon(expect_not_ready, "b", lambda: storage.write(save("b")))
        await wait_all_tasks_blocked()
        waiters.start_soon(expect_not_ready, "settled", storage.settled)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(told) == ["a", "b", "settled"]
    assert ids(storage) == set()


async def test_a_broken_log_ends_it_and_tells_those_who_wait() -> None:
    log = MemoryLog()
    log.failure = OSError(5, "Input/output error")
    storage = Storage(log, Tables())

    async def write() -> None:
        with pytest.raises(OutcomeUnknown):
            await storage.write(save("a"))

    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="Input/output error")):
        async with trio.open_nursery() as waiters:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as shielded:
                    waiters.start_soon(storage.run)
                    await wait_all_tasks_blocked()
                    shielded.start_soon(write)
    assert ids(storage) == set()


async def test_a_cancelled_writer_leaves_a_write_that_becomes_durable() -> None:
    log = MemoryLog()
    async with serving(log) as storage:
        log.gate = trio.Event()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(storage.write, save("a"))
                await log.reached.wait()
                scope.cancel()
        log.gate.set()
        await storage.settled()
        assert ids(storage) == {"a"}
        assert log.end == 1


async def test_a_write_cancelled_before_it_began_is_done_as_any_other() -> None:
    """The work runs at once; only the waiting is cancelled."""
    log = MemoryLog()
    async with serving(log) as storage:
        with trio.CancelScope() as scope:
            scope.cancel()
            await storage.write(save("a"))
        await storage.settled()
        assert (ids(storage), log.end) == ({"a"}, 1)


async def test_a_large_write_takes_several_entries_and_is_told_at_the_last() -> None:
    log = MemoryLog()
    followed: list[tuple[int, int]] = []

    def follow(position: int, changes: Changes) -> None:
        followed.append((position, len(changes.after)))

    async with serving(log, max_entry_bytes=500, follower=follow) as storage:
        await storage.write(save("small"))
        await storage.write(save(*(f"task-{number}" for number in range(100))))
        await storage.write(save("last"))
    assert max(len(entry) for _, entry in log.entries) <= 500
    assert followed == [(0, 1), (log.end - 2, 100), (log.end - 1, 1)]


async def test_those_who_wait_for_one_append_are_told_in_order_whoever_runs_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commits, "_BITE_S", -1.0)
    log, told = MemoryLog(), list[str]()

    async def write(storage: Storage, name: str) -> None:
        await storage.write(save(name))
        told.append(name)
        if name == "b":
            await write(storage, "later")

    async with serving(log) as storage:
        events = storage.subscribe()
        log.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, storage, "first")
            await wait_all_tasks_blocked()
            for name in ("a", "b", "c"):
                nursery.start_soon(write, storage, name)
                await wait_all_tasks_blocked()
            log.gate.set()
        assert told == ["first", "a", "b", "c", "later"]
        assert heard(events) == [TaskChanged(None, task(name)) for name in told]
