"""When the engine is asked about which tasks (scheduling sheet, section 9)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskEvent
from aurorad.flags import Flags
from aurorad.scheduler.reconciliation import Reconciliation
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars
from tests.scheduler.pretend_engine import PretendEngine
from tests.scheduler.world import START_MS, now_ms
from tests.storage.memory_log import MemoryLog

S = ScheduleStatus
MINUTE_S = 60


class Asked(PretendEngine):
    """Notes when it was asked for how many tasks; for all is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[float, int]] = []

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        await trio.lowlevel.checkpoint()
        self.reconciled.append(task_ids)
        self.asked.append((trio.current_time(), len(task_ids)))


class Bench:
    def __init__(self, tasks: dict[str, S], since_ms: int = START_MS - 3_600_000, flags: Flags | None = None) -> None:
        self.engine, self.stats = Asked(), Vars()
        tables = Tables()
        for task_id, status in tasks.items():
            task = ScheduledTask(AssignedTask(task_id), status, task_events=(TaskEvent(since_ms, status),))
            tables.load([Row(Table.TASKS, task_id, task)])
        self.tables = tables
        self.reconciliation = Reconciliation(
            storage=Storage(MemoryLog(), tables),
            engine=self.engine,
            flags=flags or Flags(),
            stats=self.stats,
            now_ms=now_ms,
        )

    def found(self) -> list[ScheduledTask]:
        return list(self.tables.rows(Table.TASKS).values())


async def test_explicit_and_implicit_rounds_have_their_times(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    it = Bench({"a": S.RUNNING})
    nursery.start_soon(it.reconciliation.run, it.found())
    await trio.sleep(4 * 60 * MINUTE_S)
    explicit = [time / MINUTE_S for time, count in it.engine.asked if count]
    implicit = [time / MINUTE_S for time, count in it.engine.asked if not count]
    assert explicit == pytest.approx([0, 1, 61, 121, 181], abs=0.1)  # at once about those of the scheduler before
    assert implicit == pytest.approx([31, 91, 151, 211], abs=0.1)
    assert it.stats.get("reconciliation_explicit_runs") == 5
    assert it.stats.get("reconciliation_implicit_runs") == 4


async def test_batches_follow_each_other_and_do_not_delay_the_next_round(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    it = Bench(
        {f"t{n}": S.RUNNING for n in range(25)},
        flags=Flags(
            reconciliation_explicit_batch_size=10,
            reconciliation_explicit_interval=600.0,
            reconciliation_implicit_interval=1e6,
        ),
    )
    nursery.start_soon(it.reconciliation.run, [])
    await trio.sleep(1300)
    expected = [(start + 5 * n, size) for start in (60, 660, 1260) for n, size in enumerate((10, 10, 5))]
    assert [asked for asked in it.engine.asked if asked[1]] == expected


@pytest.mark.parametrize("status", list(S))
async def test_it_asks_for_those_that_should_be_on_an_agent(status: S) -> None:
    it = Bench({"a": status})
    await it.reconciliation.explicit()
    on_agent = {"ASSIGNED", "DRAINING", "KILLING", "PREEMPTING", "RESTARTING", "RUNNING", "PARTITIONED", "STARTING"}
    assert it.engine.reconciled == ([("a",)] if status.name in on_agent else [])


async def test_who_was_just_assigned_is_left_out_of_regular_rounds(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    it = Bench({"a": S.ASSIGNED}, since_ms=START_MS)
    await it.reconciliation.explicit()
    assert it.engine.reconciled == []
    await trio.sleep(61)
    await it.reconciliation.explicit()
    assert it.engine.reconciled == [("a",)]
    just_now = Bench({"a": S.ASSIGNED}, since_ms=now_ms())
    nursery.start_soon(just_now.reconciliation.run, just_now.found())
    await trio.sleep(1)
    assert just_now.engine.reconciled == [("a",)]  # the scheduler before may not have come to launch it


async def test_a_round_on_demand_has_its_own_batch_size(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    it = Bench({f"t{n}": S.RUNNING for n in range(5)})
    nursery.start_soon(it.reconciliation.run, [])
    it.reconciliation.trigger_explicit(2)
    it.reconciliation.trigger_implicit()
    await trio.sleep(30)
    assert it.engine.asked == [(0, 2), (5, 2), (10, 1), (10, 0)]


async def test_when_the_engine_was_away_it_is_asked_once_about_every_task(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    it = Bench({"a": S.RUNNING, "b": S.RUNNING, "c": S.PENDING})
    nursery.start_soon(it.reconciliation.run, ())
    await trio.sleep(1)
    it.reconciliation.reconnected()
    it.reconciliation.reconnected()
    await trio.sleep(1)
    assert [set(ids) for ids in it.engine.reconciled] == [{"a", "b"}]
