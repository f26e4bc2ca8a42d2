"""Ended tasks that an update counts are kept as long as it counts them (task-state-machine sheet, section 10)."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.api.updates import (
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateSummary,
)
from aurorad.flags import Flags
from aurorad.storage.transaction import Transaction
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import START_MS, World, config

T = ScheduleStatus
HOUR_S = 3600


async def test_failures_of_a_paused_update_outlive_what_else_is_forgotten(autojump_clock: MockClock) -> None:
    job = config().job
    key = JobUpdateKey(job, "update")
    flags = Flags(history_max_per_job_threshold=0)
    async with World(PretendEngine(Agent("host-1")), flags).running() as world:

        def paused(tx: Transaction) -> None:
            tx.save_job_update(JobUpdate(JobUpdateSummary(key)))
            tx.save_job_update_event(key, JobUpdateEvent(JobUpdateStatus.ROLL_FORWARD_PAUSED, START_MS, "alice"))
            event = JobInstanceUpdateEvent(0, START_MS, JobUpdateAction.INSTANCE_UPDATING)
            tx.save_job_instance_update_event(key, event)

        await world.storage.write(paused)
        counted, other = await world.create(config(), 2)
        for task_id in (counted, other):
            await world.until_status(task_id, T.RUNNING)
            await world.change(task_id, T.FAILED)
        await trio.sleep(3 * HOUR_S)
        assert world.tables.task(counted) is not None
        assert world.tables.task(other) is None
        aborted = JobUpdateEvent(JobUpdateStatus.ABORTED, START_MS + 3 * HOUR_S * 1000, "alice")
        await world.storage.write(lambda tx: tx.save_job_update_event(key, aborted))
        await trio.sleep(100)
        assert world.tables.task(counted) is None


async def test_what_has_ended_is_forgotten_though_the_clock_was_behind_at_the_start(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(service=False))
        await world.until_status(task_id, T.RUNNING)
        await world.change(task_id, T.FAILED)
        world.clock_shift_ms = -365 * 24 * HOUR_S * 1000
        await world.restart()
        await trio.sleep(1)
        world.clock_shift_ms = 0
        await trio.sleep(50 * HOUR_S)
        assert world.tables.task(task_id) is None
