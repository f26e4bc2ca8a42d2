"""Which ended tasks are forgotten, and when (task-state-machine sheet, section 10)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskEvent
from aurorad.flags import Flags
from aurorad.scheduler.history import History
from aurorad.storage.events import StorageEvent, TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Table, Tables
from aurorad.vars import Vars
from tests.scheduler.world import START_MS, MemoryLog, config, now_ms

S = ScheduleStatus
HOUR_S = 3600
DAY_S = 24 * HOUR_S


def ended(name: str, hours_ago: float, status: S = S.FINISHED) -> ScheduledTask:
    event = TaskEvent(START_MS - round(hours_ago * HOUR_S * 1000), status)
    return ScheduledTask(AssignedTask(name, task=config()), status, task_events=(event,))


class Kept:
    """A storage and its history, without the rest of a scheduler."""

    def __init__(self, *tasks: ScheduledTask, **flags: float) -> None:
        self._found = tasks
        self.stats = Vars()
        self.storage = Storage(MemoryLog(), Tables())
        self.history = History(
            storage=self.storage, flags=dataclasses.replace(Flags(), **flags), stats=self.stats, now_ms=now_ms
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Kept]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.storage.run)
            await self.save(*self._found)
            nursery.start_soon(self._hear, self.storage.subscribe())
            for task in self._found:
                self.history.changed(TaskChanged(None, task))
            nursery.start_soon(self.history.run)
            yield self
            nursery.cancel_scope.cancel()

    async def _hear(self, changes: trio.MemoryReceiveChannel[Sequence[StorageEvent]]) -> None:
        async for events in changes:
            for event in events:
                assert isinstance(event, TaskChanged)
                self.history.changed(event)

    async def save(self, *tasks: ScheduledTask) -> None:
        await self.storage.write(lambda tx: tx.save_tasks(*tasks))

    def known(self) -> set[str]:
        return set(self.storage.tables.rows(Table.TASKS))


async def left_after(seconds: float, it: Kept) -> set[str]:
    """The tasks that are still known so long after a scheduler found these."""
    async with it.running():
        await trio.sleep(seconds)
        return it.known()


@pytest.mark.parametrize("status", [S.FINISHED, S.FAILED, S.KILLED, S.LOST])
@pytest.mark.parametrize(("after_s", "known"), [(2 * DAY_S - 1, True), (2 * DAY_S + 1, False)])
async def test_an_ended_task_is_known_for_two_days(
    status: S, after_s: float, known: bool, autojump_clock: MockClock
) -> None:
    assert await left_after(after_s, Kept(ended("a", 0, status))) == ({"a"} if known else set())


@pytest.mark.parametrize(
    ("hours_ago", "known_for_hours"),
    [(0, 48), (24, 24), (47, 1), (49, 0), (1000, 0), (-5, 53)],  # negative: by a clock that went ahead
)
async def test_what_passed_before_the_start_counts(
    hours_ago: float, known_for_hours: float, autojump_clock: MockClock
) -> None:
    async with Kept(ended("a", hours_ago)).running() as it:
        if known_for_hours:
            await trio.sleep(known_for_hours * HOUR_S - 5)
            assert it.known()
        await trio.sleep(10)
        assert not it.known()


async def test_the_least_retention_comes_before_the_longest(autojump_clock: MockClock) -> None:
    flags = {"history_prune_threshold": 60.0, "history_min_retention_threshold": 600.0}
    assert await left_after(599, Kept(ended("a", 0), **flags)) == {"a"}
    assert await left_after(601, Kept(ended("a", 0), **flags)) == set()


async def test_the_oldest_of_too_many_go_first_but_not_before_an_hour(autojump_clock: MockClock) -> None:
    tasks = [ended(f"t{n}", n / 10) for n in range(1, 16)]  # 6 minutes to 1.5 hours ago
    assert await left_after(1, Kept(*tasks, history_max_per_job_threshold=2)) == {f"t{n}" for n in range(1, 10)}
    assert await left_after(HOUR_S, Kept(*tasks, history_max_per_job_threshold=2)) == {"t1", "t2"}
    assert await left_after(1, Kept(*tasks, history_max_per_job_threshold=12)) == {f"t{n}" for n in range(1, 13)}


async def test_tasks_that_were_removed_by_others_count_no_more(autojump_clock: MockClock) -> None:
    flags = {"history_max_per_job_threshold": 2, "history_min_retention_threshold": 0.0}
    async with Kept(ended("a", 3), ended("b", 2), **flags).running() as it:
        await it.storage.write(lambda tx: tx.remove_tasks(["a"]))
        await it.save(ended("c", 1))
        await trio.sleep(1)
        assert it.known() == {"b", "c"}
        await it.save(ended("d", 0))
        await trio.sleep(1)
        assert it.known() == {"c", "d"}
        assert it.stats.get("tasks_pruned") == 1


async def test_active_tasks_are_never_forgotten(autojump_clock: MockClock) -> None:
    assert await left_after(30 * DAY_S, Kept(ended("a", 0, S.RUNNING))) == {"a"}
