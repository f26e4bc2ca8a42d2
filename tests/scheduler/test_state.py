from __future__ import annotations

import itertools
from uuid import UUID

import msgspec
import pytest
from frozendict import frozendict
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.flags import Flags
from aurorad.rules.task_states import StateChangeResult
from aurorad.scheduler.state import InstanceIdCollision, StateManager
from aurorad.storage import entries
from aurorad.storage.events import KillRequested
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

S = ScheduleStatus
CONFIG = TaskConfig(job=JobKey("www-data", "prod", "hello.world"), max_task_failures=1)
SERVICE = msgspec.structs.replace(CONFIG, is_service=True)


class Desk:
    """A state manager at work on one open transaction."""

    def __init__(self) -> None:
        self.stats = Vars()
        self.now_ms = 1_000
        numbers = itertools.count(1)
        self.states = StateManager(
            now_ms=lambda: self.now_ms,
            new_uuid=lambda: UUID(int=next(numbers)),
            hostname="here",
            flags=Flags(),
            stats=self.stats,
        )
        self.tx = Transaction(Tables())

    def create(self, config: TaskConfig = CONFIG, *path: ScheduleStatus) -> str:
        """A task that went through these states."""
        (task_id,) = self.states.insert_pending(self.tx, config, [len(list(self.tx.tables.job_tasks(config.job)))])
        for status in path:
            assert self.change(task_id, status) is StateChangeResult.SUCCESS
        return task_id

    def change(self, task_id: str, status: ScheduleStatus, message: str | None = None) -> StateChangeResult:
        if status is S.ASSIGNED and self.task(task_id).status is S.PENDING:
            self.states.assign(self.tx, task_id, "host-1", "agent-1", {"http": 31000})
            return StateChangeResult.SUCCESS
        return self.states.change_state(self.tx, task_id, status, message)

    def task(self, task_id: str) -> ScheduledTask:
        task = self.tx.tables.task(task_id)
        assert task is not None
        return task

    def successor(self, task_id: str) -> ScheduledTask | None:
        tasks = self.tx.tables.job_tasks(CONFIG.job)
        return next((task for task in tasks if task.ancestor_id == task_id), None)

    def history(self, task_id: str) -> list[ScheduleStatus]:
        return [event.status for event in self.task(task_id).task_events]

    def kills(self) -> list[str]:
        return [event.task_id for event in self.tx.events() if isinstance(event, KillRequested)]


TO_RUNNING = (S.ASSIGNED, S.STARTING, S.RUNNING)


def test_new_tasks_are_pending_with_one_event_and_no_message() -> None:
    desk = Desk()
    ids = desk.states.insert_pending(desk.tx, CONFIG, {2, 0, 1})
    assert [desk.task(task_id).assigned_task.instance_id for task_id in ids] == [0, 1, 2]
    assert ids[0] == "www-data-prod-hello-world-0-00000000-0000-0000-0000-000000000001"
    task = desk.task(ids[1])
    assert task.status is S.PENDING
    (event,) = task.task_events
    assert (event.timestamp, event.status, event.message, event.scheduler) == (1_000, S.PENDING, None, "here")


def test_an_active_instance_cannot_be_created_again() -> None:
    desk = Desk()
    desk.states.insert_pending(desk.tx, CONFIG, [0, 1])
    with pytest.raises(InstanceIdCollision, match=r"^Instance ID collision detected\.$"):
        desk.states.insert_pending(desk.tx, CONFIG, [1, 2])
    assert len(desk.tx.tables.job_tasks(CONFIG.job)) == 2


def test_an_ended_instance_can_be_created_again() -> None:
    desk = Desk()
    task_id = desk.create(CONFIG, *TO_RUNNING, S.FINISHED)
    desk.states.insert_pending(desk.tx, CONFIG, [desk.task(task_id).assigned_task.instance_id])


def test_creating_nothing_is_a_mistake() -> None:
    desk = Desk()
    with pytest.raises(ValueError, match="at least one"):
        desk.states.insert_pending(desk.tx, CONFIG, [])


def test_assigning_stores_the_place() -> None:
    desk = Desk()
    task = desk.task(desk.create(CONFIG, S.ASSIGNED))
    assigned = task.assigned_task
    assert (assigned.slave_host, assigned.slave_id) == ("host-1", "agent-1")
    assert assigned.assigned_ports == frozendict(http=31000)
    assert task.status is S.ASSIGNED


def test_only_a_pending_task_can_be_assigned() -> None:
    desk = Desk()
    task_id = desk.create(CONFIG, *TO_RUNNING)
    with pytest.raises(RuntimeError, match=f"Attempt to assign task {task_id} to host-2 failed"):
        desk.states.assign(desk.tx, task_id, "host-2", "agent-2", {})


def test_killing_a_pending_task_deletes_it_without_a_trace() -> None:
    desk = Desk()
    task_id = desk.create()
    assert desk.change(task_id, S.KILLING, "Killed by me") is StateChangeResult.SUCCESS
    assert desk.tx.tables.task(task_id) is None
    assert desk.kills() == []


def test_an_illegal_change_is_counted_and_changes_nothing() -> None:
    desk = Desk()
    task_id = desk.create()
    before = desk.task(task_id)
    assert desk.change(task_id, S.RUNNING) is StateChangeResult.ILLEGAL
    assert desk.task(task_id) is before
    assert desk.stats.get("scheduler_illegal_task_state_transitions") == 1


def test_an_unknown_task_that_runs_is_killed() -> None:
    desk = Desk()
    assert desk.change("unknown", S.RUNNING) is StateChangeResult.ILLEGAL_WITH_SIDE_EFFECTS
    assert desk.change("unknown", S.FINISHED) is StateChangeResult.ILLEGAL
    assert desk.kills() == ["unknown"]


def test_another_expected_state_refuses_the_change() -> None:
    desk = Desk()
    task_id = desk.create()
    result = desk.states.change_state(desk.tx, task_id, S.KILLING, expected=S.RUNNING)
    assert result is StateChangeResult.INVALID_CAS_STATE
    assert desk.task(task_id).status is S.PENDING


def test_a_failure_is_counted_and_handed_on() -> None:
    desk = Desk()
    task_id = desk.create(SERVICE, *TO_RUNNING)
    desk.change(task_id, S.FAILED, "exit 1")
    assert desk.task(task_id).failure_count == 1
    successor = desk.successor(task_id)
    assert successor is not None
    assert successor.failure_count == 1
    assert successor.assigned_task.slave_host is None
    assert successor.assigned_task.assigned_ports == {}
    assert successor.task_events[0].message == "Rescheduled"


# Sequences through PARTITIONED: task-state-machine sheet, section 3.1.


def test_partitioned_while_killing_ends_it_for_good() -> None:
    desk = Desk()
    task_id = desk.create(SERVICE, *TO_RUNNING, S.KILLING)
    desk.change(task_id, S.PARTITIONED)
    assert desk.history(task_id)[-3:] == [S.KILLING, S.PARTITIONED, S.LOST]
    assert desk.task(task_id).task_events[-1].message == "Action performed on partitioned task, marking as LOST."
    assert desk.kills() == [task_id, task_id]
    assert desk.successor(task_id) is None


@pytest.mark.parametrize("status", [S.PREEMPTING, S.RESTARTING, S.DRAINING])
def test_partitioned_while_being_moved_is_killed_and_replaced(status: ScheduleStatus) -> None:
    desk = Desk()
    task_id = desk.create(CONFIG, *TO_RUNNING, status)
    desk.change(task_id, S.PARTITIONED)
    assert desk.history(task_id)[-3:] == [status, S.PARTITIONED, S.LOST]
    assert desk.kills() == [task_id, task_id]
    assert desk.successor(task_id) is not None


def test_killing_a_partitioned_task_loses_it_without_a_kill() -> None:
    desk = Desk()
    task_id = desk.create(SERVICE, *TO_RUNNING, S.PARTITIONED)
    desk.change(task_id, S.KILLING, "Killed by me")
    assert desk.history(task_id)[-2:] == [S.KILLING, S.LOST]
    assert desk.kills() == []
    assert desk.successor(task_id) is None


@pytest.mark.parametrize("status", [S.PREEMPTING, S.RESTARTING, S.DRAINING])
def test_moving_a_partitioned_task_kills_and_replaces_it(status: ScheduleStatus) -> None:
    desk = Desk()
    task_id = desk.create(CONFIG, *TO_RUNNING, S.PARTITIONED)
    desk.change(task_id, status)
    assert desk.history(task_id)[-2:] == [status, S.LOST]
    assert desk.kills() == [task_id]
    assert desk.successor(task_id) is not None


@pytest.mark.parametrize("source", [S.STARTING, S.RUNNING])
def test_a_partitioned_task_waits_for_its_policy(source: ScheduleStatus) -> None:
    desk = Desk()
    task_id = desk.create(SERVICE, S.ASSIGNED, source, S.PARTITIONED)
    assert desk.task(task_id).status is S.PARTITIONED
    assert desk.task(task_id).times_partitioned == 1
    assert desk.kills() == []


def test_the_second_quick_end_in_a_row_is_throttled() -> None:
    desk = Desk()
    task_id = desk.create(SERVICE, *TO_RUNNING, S.FAILED)
    for penalty_ms in (30_000, 60_000, 120_000, 240_000, 300_000, 300_000):
        successor = desk.successor(task_id)
        assert successor is not None
        task_id = successor.assigned_task.task_id
        if successor.status is S.THROTTLED:
            desk.change(task_id, S.PENDING)
        for status in (*TO_RUNNING, S.FAILED):
            desk.change(task_id, status)
        throttled = desk.successor(task_id)
        assert throttled is not None
        assert throttled.task_events[0].message == f"Rescheduled, penalized for {penalty_ms} ms for flapping"
        assert desk.states.remaining_penalty_ms(desk.tx.tables, throttled) == penalty_ms
        desk.now_ms += 10_000
        assert desk.states.remaining_penalty_ms(desk.tx.tables, throttled) == penalty_ms - 10_000


async def test_tasks_made_beforehand_are_those_that_the_write_would_have_made() -> None:
    at_once, before = Desk(), Desk()
    made = at_once.states.insert_pending(at_once.tx, CONFIG, range(5000))
    new = await before.states.prepare_pending(CONFIG, range(5000))
    assert before.states.insert_prepared(before.tx, new) == made
    assert before.tx.tables.copy() == at_once.tx.tables.copy()
    assert before.tx.ops == at_once.tx.ops
    with pytest.raises(InstanceIdCollision):
        before.states.insert_prepared(before.tx, await before.states.prepare_pending(CONFIG, [4999, 5000]))


_SOME_STATES = st.sampled_from([*TO_RUNNING, S.FAILED, S.KILLING, S.KILLED, S.PARTITIONED, S.LOST, S.RESTARTING])


@given(st.lists(st.tuples(st.integers(0, 3), _SOME_STATES), max_size=40))
def test_what_is_logged_of_changes_gives_the_same_tables_again(moves: list[tuple[int, ScheduleStatus]]) -> None:
    desk = Desk()
    ids = desk.states.insert_pending(desk.tx, SERVICE, range(4))
    for number, status in moves:
        desk.now_ms += 1
        if desk.tx.tables.task(ids[number]) is not None:
            desk.change(ids[number], status)
    entry = entries.transaction(desk.tx.ops)
    again = Tables()
    for op in entries.ops_of(entry, Shared()):
        again.apply(op)
    assert again.copy() == desk.tx.tables.copy()
    desk.tx.revert()
    assert not any(desk.tx.tables.copy().values())
