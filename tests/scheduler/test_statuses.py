"""What is counted of status updates, and when they are acknowledged (task-state-machine sheet, section 7)."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.engine.base import StatusUpdate, TaskState
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import START_MS, World, config

S = ScheduleStatus


def update(task_id: str, state: TaskState, **more: object) -> StatusUpdate:
    return msgspec.structs.replace(StatusUpdate(task_id, state, uuid=b"1"), **more)


@pytest.mark.parametrize(
    ("state", "reason", "result"),
    [
        (TaskState.TASK_FAILED, "REASON_COMMAND_EXECUTOR_FAILED", "SUCCESS"),
        (TaskState.TASK_RUNNING, "REASON_RECONCILIATION", "NOOP"),
        (TaskState.TASK_STARTING, "REASON_RECONCILIATION", "ILLEGAL"),
        (TaskState.TASK_LOST, "REASON_AGENT_REMOVED", "SUCCESS"),
    ],
)
async def test_reasons_are_counted_by_what_came_of_them(
    state: TaskState, reason: str, result: str, autojump_clock: MockClock
) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as it:
        (task_id,) = await it.create(config())
        await it.until_status(task_id, S.RUNNING)
        it.engine.tell(update(task_id, state, reason=reason))
        await trio.sleep(1)
        assert it.stats.get(f"status_update_{reason}_{result}") == 1
        assert it.stats.get(f"task_exit_{reason}") == 1


@pytest.mark.parametrize(
    ("state", "killed", "result"),
    [
        (TaskState.TASK_STARTING, True, "ILLEGAL_WITH_SIDE_EFFECTS"),
        (TaskState.TASK_RUNNING, True, "ILLEGAL_WITH_SIDE_EFFECTS"),
        (TaskState.TASK_FINISHED, False, "ILLEGAL"),
        (TaskState.TASK_LOST, False, "ILLEGAL"),
        (TaskState.TASK_UNREACHABLE, False, "ILLEGAL"),
    ],
)
async def test_a_task_that_nobody_knows_is_killed_if_it_runs_and_its_update_acknowledged(
    state: TaskState, killed: bool, result: str, autojump_clock: MockClock
) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as it:
        told = update("who", state, reason="REASON_RECONCILIATION")
        it.engine.unacknowledged[b"1"] = told
        it.engine.tell(told)
        await trio.sleep(1)
        assert (it.engine.killed == ["who"]) is killed
        assert int(it.stats.get(f"status_update_REASON_RECONCILIATION_{result}")) >= 1
        assert b"1" not in it.engine.unacknowledged


async def test_losses_are_counted_by_source_and_delays_by_who_told(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as it:
        (task_id,) = await it.create(config())
        await it.until_status(task_id, S.RUNNING)
        sent_s = START_MS / 1000 + trio.current_time()
        await trio.sleep(2)
        it.engine.tell(update(task_id, TaskState.TASK_LOST, source="SOURCE_MASTER", timestamp_s=sent_s))
        it.engine.tell(update(task_id, TaskState.TASK_FAILED, source="SOURCE_EXECUTOR", timestamp_s=sent_s + 1000))
        await trio.sleep(1)
        assert it.stats.get("task_lost_SOURCE_MASTER") == 1
        assert it.stats.get("task_lost_SOURCE_EXECUTOR") == 0
        assert it.stats.get("task_delivery_delay_SOURCE_MASTER_requests_events") == 1
        assert it.stats.get("task_delivery_delay_SOURCE_MASTER_requests_micros_total") == pytest.approx(2e6, rel=0.01)
        assert it.stats.get("task_delivery_delay_SOURCE_EXECUTOR_requests_events") == 0  # its clock goes ahead
