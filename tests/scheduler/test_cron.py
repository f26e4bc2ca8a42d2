"""Cron jobs over a pretended engine, by a clock that tests set (cron sheet, sections 5 to 7)."""

from __future__ import annotations

import msgspec
import trio
from trio.testing import MockClock

from aurorad.api.enums import CronCollisionPolicy, ScheduleStatus
from aurorad.api.tasks import JobConfiguration, JobKey, ScheduledTask
from aurorad.flags import Flags
from aurorad.scheduler.cron import KILLED_BY_CRON
from aurorad.storage.transaction import Transaction
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import JOB, START_MS, World, config, story

S = ScheduleStatus
MINUTE_S = 60
HOUR_S = 3600
TO_MIDNIGHT_S = 6400  # from START_MS, 22:13:20


def cron_job(
    schedule: str = "0 0 * * *",
    instances: int = 1,
    policy: CronCollisionPolicy | None = None,
    name: str = "web",
) -> JobConfiguration:
    task = config(0.01, 1, 1, name=name, service=False)
    return JobConfiguration(
        key=task.job,
        cron_schedule=schedule,
        cron_collision_policy=policy,
        task_config=task,
        instance_count=instances,
    )


def a_world(flags: Flags | None = None) -> World:
    return World(PretendEngine(Agent("host-1")), flags)


async def schedule(world: World, *jobs: JobConfiguration) -> None:
    def work(tx: Transaction) -> None:
        for job in jobs:
            tx.save_cron_job(job)

    await world.storage.write(work)


async def deschedule(world: World, job: JobKey = JOB) -> None:
    await world.storage.write(lambda tx: tx.remove_cron_job(job))


async def trigger(world: World, job: JobKey = JOB) -> None:
    await world.storage.write(lambda tx: world.scheduler.cron.trigger(tx, job))


async def until_ms(world: World, shown_ms: int) -> None:
    """Until shortly after the clock, as it goes now, shows that."""
    await trio.sleep((shown_ms - START_MS - world.clock_shift_ms) / 1000 - trio.current_time() + 1)


def created_s(tasks: list[ScheduledTask]) -> list[int]:
    """When the tasks were created, in whole seconds since the start."""
    return sorted({(task.task_events[0].timestamp - START_MS) // 1000 for task in tasks})


class TestSchedules:
    async def test_a_job_runs_at_its_time(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job(instances=3))
            await trio.sleep(TO_MIDNIGHT_S - 1)
            assert world.tasks() == []
            await trio.sleep(2)
            assert [task.assigned_task.instance_id for task in world.tasks()] == [0, 1, 2]
            assert created_s(world.tasks()) == [TO_MIDNIGHT_S]
            assert {event for task in world.tasks() for event in story(task)[:1]} == {(S.PENDING, None)}
            assert world.stats.get("cron_job_triggers") == 1

    async def test_its_time_zone_is_the_flags(self, autojump_clock: MockClock) -> None:
        async with a_world(Flags(cron_timezone="Europe/Berlin")).running() as world:
            await schedule(world, cron_job())
            await trio.sleep(TO_MIDNIGHT_S - HOUR_S + 1)
            assert created_s(world.tasks()) == [TO_MIDNIGHT_S - HOUR_S]

    async def test_what_was_there_at_the_start_runs_too(self, autojump_clock: MockClock) -> None:
        async with a_world().serving() as world:
            await schedule(world, cron_job())
            await world.start()
            await trio.sleep(TO_MIDNIGHT_S + 1)
            assert len(world.tasks()) == 1

    async def test_a_replaced_schedule_counts_at_once(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await schedule(world, cron_job("15 22 * * *"))
            await trio.sleep(200)
            assert created_s(world.tasks()) == [100]

    async def test_a_descheduled_job_does_not_run(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await deschedule(world)
            await trio.sleep(TO_MIDNIGHT_S + MINUTE_S)
            assert world.tasks() == []

    async def test_descheduling_leaves_the_run_alone(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            await deschedule(world)
            await trio.sleep(HOUR_S)
            assert world.tables.count(S.RUNNING) == 1

    async def test_what_was_missed_while_nobody_led_does_not_run_late(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await world.stop()
            await trio.sleep(TO_MIDNIGHT_S + HOUR_S)
            await world.restart()
            await trio.sleep(HOUR_S)
            assert world.tasks() == []

    async def test_jobs_of_one_time_share_writes(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, *(cron_job(name=f"job-{number}") for number in range(25)))
            await trio.sleep(TO_MIDNIGHT_S + 1)
            assert len(world.tasks()) == 25
            assert world.stats.get("CronBatchWorker_items_processed") == 25
            assert world.stats.get("CronBatchWorker_batches_processed") == 3

    async def test_large_jobs_do_not_share_one(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, *(cron_job(name=f"job-{number}", instances=600) for number in range(3)))
            await trio.sleep(TO_MIDNIGHT_S + 1)
            assert len(world.tasks()) == 1800
            assert world.stats.get("CronBatchWorker_batches_processed") == 3

    async def test_a_full_log_delays_a_run(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            world.log.full = True
            await trio.sleep(TO_MIDNIGHT_S + MINUTE_S)
            assert world.tasks() == []
            world.log.full = False
            await trio.sleep(2)
            assert len(world.tasks()) == 1

    async def test_operators_see_that_jobs_are_loaded(self, autojump_clock: MockClock) -> None:
        async with a_world().serving() as world:
            assert world.stats.get("quartz_scheduler_running") == world.stats.get("cron_jobs_loaded") == 0
            await world.start()
            await trio.sleep(1)
            assert world.stats.get("quartz_scheduler_running") == world.stats.get("cron_jobs_loaded") == 1


class TestTheClock:
    async def test_set_forward_over_a_time_it_fires_once(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job("0 * * * *"))
            await trio.sleep(1)
            world.clock_shift_ms = 5 * HOUR_S * 1000
            await trio.sleep(11)
            assert world.stats.get("cron_job_triggers") == 1
            await trio.sleep(TO_MIDNIGHT_S % HOUR_S)
            assert world.stats.get("cron_job_triggers") == 2

    async def test_set_back_a_little_it_fires_nothing_twice(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job("* * * * *"))
            await until_ms(world, START_MS + 40_000)
            assert world.stats.get("cron_job_triggers") == 1
            world.clock_shift_ms = -5_000
            await trio.sleep(30)
            assert world.stats.get("cron_job_triggers") == 1
            await trio.sleep(MINUTE_S)
            assert world.stats.get("cron_job_triggers") == 2

    async def test_set_back_an_hour_a_daily_job_is_not_repeated(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trio.sleep(TO_MIDNIGHT_S + 60)
            world.clock_shift_ms = -HOUR_S * 1000
            await trio.sleep(2 * HOUR_S)
            assert world.stats.get("cron_job_triggers") == 1
            await trio.sleep(23 * HOUR_S)
            assert world.stats.get("cron_job_triggers") == 2

    async def test_set_back_an_hour_a_frequent_job_goes_on(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job("*/10 * * * *"))
            await trio.sleep(HOUR_S)
            world.clock_shift_ms = -HOUR_S * 1000
            before = int(world.stats.get("cron_job_triggers"))
            await trio.sleep(HOUR_S)
            assert world.stats.get("cron_job_triggers") == before + 6

    async def test_set_back_from_a_far_future_every_job_follows(self, autojump_clock: MockClock) -> None:
        async with a_world().serving() as world:
            world.clock_shift_ms = 3650 * 24 * HOUR_S * 1000
            await schedule(world, cron_job())
            await world.start()
            await trio.sleep(10)
            world.clock_shift_ms = 0
            await trio.sleep(TO_MIDNIGHT_S)
            assert world.stats.get("cron_job_triggers") == 1


class TestCollisions:
    async def test_an_ended_run_is_no_collision(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            await world.change(world.tasks()[0].assigned_task.task_id, S.FINISHED)
            await trigger(world)
            assert len(world.tasks()) == 2
            assert world.stats.get("cron_job_collisions") == 0

    async def test_a_run_that_is_going_on_is_killed_and_the_next_begins_when_it_is_gone(
        self, autojump_clock: MockClock
    ) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job(instances=2))
            await trigger(world)
            await world.until_count(S.RUNNING, 2)
            world.engine.kill_delay_s = 100
            await trigger(world)
            await trio.sleep(90)
            assert [task.status for task in world.tasks()] == [S.KILLING, S.KILLING]
            await trio.sleep(15)
            assert sorted(task.status.name for task in world.tasks()) == ["KILLED", "KILLED", "RUNNING", "RUNNING"]
            killed = next(task for task in world.tasks() if task.status is S.KILLED)
            assert (S.KILLING, KILLED_BY_CRON) in story(killed)
            assert world.stats.get("cron_job_collisions") == 1
            assert world.stats.get("cron_job_triggers") == 2

    async def test_tasks_that_wait_make_room_at_once(self, autojump_clock: MockClock) -> None:
        async with World(PretendEngine()).running() as world:
            await schedule(world, cron_job(instances=2))
            await trigger(world)
            first = {task.assigned_task.task_id for task in world.tasks()}
            await trigger(world)
            second = {task.assigned_task.task_id for task in world.tasks()}
            assert len(second) == 2
            assert first.isdisjoint(second)

    async def test_triggers_while_a_run_waits_to_begin_are_dropped(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            world.engine.kill_delay_s = 100
            for _ in range(3):
                await trigger(world)
            await trio.sleep(200)
            assert len(world.tasks()) == 2
            assert world.stats.get("cron_job_concurrent_runs") == 2
            await trigger(world)
            assert world.stats.get("cron_job_concurrent_runs") == 2

    async def test_one_that_somebody_else_is_killing_is_waited_for(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            world.engine.kill_delay_s = 10
            await world.kill(world.tasks()[0].assigned_task.task_id)
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            assert sorted(task.status.name for task in world.tasks()) == ["KILLED", "RUNNING"]

    async def test_a_restart_while_a_run_waits_to_begin_does_not_lose_it(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            world.engine.kill_delay_s = 10
            await trigger(world)
            await world.restart()
            await trigger(world)
            assert world.stats.get("cron_job_concurrent_runs") == 1
            await world.until_count(S.RUNNING, 1)
            assert len(world.tasks()) == 2

    async def test_a_scheduler_that_ends_between_kill_and_begin_does_not_lose_it(
        self, autojump_clock: MockClock
    ) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            world.engine.kill_delay_s = 10
            await trigger(world)
            await world.stop()
            await trio.sleep(20)
            task_id = world.tasks()[0].assigned_task.task_id
            await world.change(task_id, S.KILLED)
            await world.restart()
            await trio.sleep(1)
            assert len(world.tasks()) == 2
            await world.restart()
            await trio.sleep(1)
            assert len(world.tasks()) == 2

    async def test_one_that_was_cut_off_long_ago_is_not_begun(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            await trigger(world)
            await world.stop()
            await world.change(world.tasks()[0].assigned_task.task_id, S.KILLED)
            await trio.sleep(HOUR_S + 1)
            await world.restart()
            await trio.sleep(1)
            assert [task.status for task in world.tasks()] == [S.KILLED]

    async def test_a_job_that_is_descheduled_meanwhile_does_not_begin(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            await trigger(world)
            await deschedule(world)
            await trio.sleep(10)
            assert [task.status for task in world.tasks()] == [S.KILLED]

    async def test_one_that_is_replaced_meanwhile_begins_as_it_is_now(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            await trigger(world)
            await schedule(world, cron_job(instances=3))
            await world.until_count(S.RUNNING, 3)

    async def test_the_new_run_may_be_the_one_that_gives_way(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job(policy=CronCollisionPolicy.CANCEL_NEW))
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            await trigger(world)
            await trio.sleep(60)
            assert [task.status for task in world.tasks()] == [S.RUNNING]
            assert world.stats.get("cron_job_collisions") == 1

    async def test_tasks_of_one_run_that_failed_are_not_replaced_before_their_time(
        self, autojump_clock: MockClock
    ) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job())
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            await world.change(world.tasks()[0].assigned_task.task_id, S.FAILED)
            await trio.sleep(60)
            assert [task.status for task in world.tasks()] == [S.FAILED]


class TestOldStorage:
    """What another version has written, and this one would refuse."""

    async def test_overlapping_runs_are_not_begun(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await schedule(world, cron_job(policy=CronCollisionPolicy.RUN_OVERLAP))
            await trigger(world)
            await trigger(world)
            assert len(world.tasks()) == 1

    async def test_a_schedule_that_cannot_be_read_is_counted_and_harms_nobody(self, autojump_clock: MockClock) -> None:
        async with a_world().serving() as world:
            await schedule(world, cron_job("whenever", name="bad"), cron_job())
            await world.start()
            await trio.sleep(TO_MIDNIGHT_S + 1)
            assert len(world.tasks()) == 1
            assert world.stats.get("cron_job_launch_failures") == 1
            await trigger(world, JobKey("www-data", "prod", "bad"))
            assert world.stats.get("cron_job_parse_failures") == 1
            assert len(world.tasks()) == 1

    async def test_tasks_run_under_the_key_of_their_job(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            other = msgspec.structs.replace(cron_job(name="other"), key=JOB)
            await schedule(world, other)
            await trigger(world)
            await trigger(world)
            await world.until_count(S.RUNNING, 1)
            assert {task.assigned_task.task.job for task in world.tasks()} == {JOB}

    async def test_one_that_is_gone_when_its_time_comes_is_counted(self, autojump_clock: MockClock) -> None:
        async with a_world().running() as world:
            await trigger(world)
            assert world.stats.get("cron_job_misfires") == 1


async def test_ten_thousand_jobs_need_one_task_and_little_time(autojump_clock: MockClock) -> None:
    async with World(PretendEngine()).serving() as world, trio.open_nursery() as nursery:
        await schedule(world, *(cron_job(f"{number % 60} 3 * * *", name=f"job-{number}") for number in range(10_000)))
        nursery.start_soon(world.scheduler.cron.run)  # nobody else, who would be busy with the tasks
        await trio.sleep(1)
        assert len(nursery.child_tasks) == 1
        assert world.stats.get("cron_jobs_loaded") == 1
        await trio.sleep(TO_MIDNIGHT_S + 4 * HOUR_S)
        assert world.stats.get("cron_job_triggers") == len(world.tasks()) == 10_000
        nursery.cancel_scope.cancel()
