"""Tasks that waited too long take the place of others (scheduling sheet, section 6)."""

from __future__ import annotations

import dataclasses

import msgspec
import trio
from trio.testing import MockClock

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig
from aurorad.flags import Flags
from aurorad.storage.tables import Row, Table
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, limit, story, value

S = ScheduleStatus
QUICK = dataclasses.replace(
    Flags(),
    preemption_delay=1.0,
    preemption_slot_search_initial_delay=1.0,
    preemption_slot_search_interval=1.0,
    max_schedule_penalty=1.0,
)


def task(name: str, cpus: float, tier: str = "preemptible", priority: int = 0, role: str = "www-data") -> TaskConfig:
    return msgspec.structs.replace(
        config(cpus, name=name), tier=tier, priority=priority, job=JobKey(role, "prod", name)
    )


def vip(cpus: float, name: str = "vip") -> TaskConfig:
    return task(name, cpus, "preferred")


def world(*agents: Agent, flags: Flags = QUICK) -> World:
    return World(PretendEngine(*(agents or (Agent("host-1", cpus=8),))), flags)


async def test_a_preferred_task_takes_the_place_of_a_preemptible_one(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        (high,) = await it.create(vip(6))
        await it.until_status(high, S.RUNNING)
        ended = it.task(low)
        assert story(ended)[-2:] == [
            (S.PREEMPTING, f"Preempting in favor of {high}"),
            (S.KILLED, "Instructed to kill task."),
        ]
        successor = await it.until_successor(low)
        await trio.sleep(5)
        assert it.task(successor.assigned_task.task_id).status is S.PENDING
        assert it.scheduler.pending_reason(successor) == "Insufficient: CPU"
        assert it.stats.get("preemptor_tasks_preempted_non_prod") == 1
        assert it.stats.get("preemptor_slot_search_successful_for_prod") == 1
        assert it.stats.get("reservation_cache_size") == 0


async def test_nobody_is_preempted_before_the_delay_is_over(autojump_clock: MockClock) -> None:
    flags = dataclasses.replace(QUICK, preemption_delay=60.0)
    async with world(flags=flags).running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        await it.create(vip(6))
        await trio.sleep(58)
        assert it.task(low).status is S.RUNNING
        await it.until_status(low, S.KILLED)


async def test_nobody_is_preempted_where_it_is_switched_off(autojump_clock: MockClock) -> None:
    async with world(flags=dataclasses.replace(QUICK, enable_preemptor=False)).running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        await it.create(vip(6))
        await trio.sleep(600)
        assert it.task(low).status is S.RUNNING


async def test_nobody_is_preempted_who_matters_as_much(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        ids = await it.create(task("a", 3, "preferred", role="other"))
        ids += await it.create(task("b", 4.25, "preferred"))
        await it.until_count(S.RUNNING, 2)
        await it.create(vip(6))
        await trio.sleep(60)
        assert {it.task(task_id).status for task_id in ids} == {S.RUNNING}
        assert it.stats.get("preemptor_slot_search_successful_for_prod") == 0


async def test_priority_counts_within_a_role(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        await it.create(task("foreign", 7.5, priority=5, role="other"))
        await trio.sleep(10)
        assert it.task(low).status is S.RUNNING
        (high,) = await it.create(task("high", 7.5, priority=1))
        await it.until_status(high, S.RUNNING)
        assert it.task(low).status is S.KILLED


async def test_as_many_go_as_are_needed_and_the_rest_stays(autojump_clock: MockClock) -> None:
    agents = [Agent(f"host-{n}", cpus=8) for n in range(4)]
    async with world(*agents).running() as it:
        low = await it.create(task("low", 3.5), 8)
        await it.until_count(S.RUNNING, 8)
        high = await it.create(vip(3), 3)
        for task_id in high:
            await it.until_status(task_id, S.RUNNING)
        await trio.sleep(60)
        assert [it.task(task_id).status for task_id in low].count(S.RUNNING) == 5
        assert it.stats.get("preemptor_tasks_preempted_non_prod") == 3
        in_favor = {story(it.task(t))[-2][1] for t in low if it.task(t).status is S.KILLED}
        assert in_favor == {f"Preempting in favor of {task_id}" for task_id in high}


async def test_constraints_say_whose_place_is_taken(autojump_clock: MockClock) -> None:
    agents = [Agent(f"host-{n}", cpus=8, attributes=(("rack", f"r{n}"),)) for n in range(3)]
    async with world(*agents).running() as it:
        low = await it.create(task("low", 7.5), 3)
        await it.until_count(S.RUNNING, 3)
        there = msgspec.structs.replace(vip(6), constraints=frozenset({value("rack", "r1")}))
        (high,) = await it.create(there)
        await it.until_status(high, S.RUNNING)
        assert it.task(high).assigned_task.slave_host == "host-1"
        nowhere = msgspec.structs.replace(vip(6, "nowhere"), constraints=frozenset({value("rack", "r9")}))
        await it.create(nowhere)
        await trio.sleep(30)
        assert [it.task(task_id).status for task_id in low].count(S.RUNNING) == 2
        assert int(it.stats.get("preemptor_slot_search_failed_for_www-data/prod/nowhere")) > 0


async def test_a_limit_is_met_by_those_who_are_let_in_together(autojump_clock: MockClock) -> None:
    agents = [Agent(f"host-{n}", cpus=8, attributes=(("rack", f"r{n % 2}"),)) for n in range(4)]
    async with world(*agents).running() as it:
        low = await it.create(task("low", 7.5), 4)
        await it.until_count(S.RUNNING, 4)
        await it.create(msgspec.structs.replace(vip(6), constraints=frozenset({limit("rack", 1)})), 4)
        await trio.sleep(60)
        assert [it.task(task_id).status for task_id in low].count(S.RUNNING) == 2
        racks = [t.assigned_task.slave_host for t in it.tasks() if t.assigned_task.task.job.name == "vip"]
        assert len([host for host in racks if host]) == 2


async def test_the_place_is_kept_for_whom_it_was_made(autojump_clock: MockClock) -> None:
    engine = PretendEngine(Agent("host-1", cpus=8))
    engine.kill_delay_s = 20
    async with World(engine, QUICK).running() as it:
        ids = await it.create(task("low", 3.75), 2)
        await it.until_count(S.RUNNING, 2)
        (high,) = await it.create(vip(7))
        for task_id in ids:
            await it.until_status(task_id, S.PREEMPTING)
        await it.create(task("quick", 1), 5)
        await it.until_status(high, S.RUNNING)
        await trio.sleep(10)
        assert it.tables.count(S.RUNNING) == 1


async def test_a_place_is_kept_while_its_victims_are_ending(autojump_clock: MockClock) -> None:
    """Longer than an offer is waited for: ending takes a task as long as it takes."""
    engine = PretendEngine(Agent("host-1", cpus=8))
    engine.kill_delay_s = 250
    async with World(engine, QUICK).running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        (high,) = await it.create(vip(7))
        await it.until_status(high, S.RUNNING)
        assert it.task(low).status is S.KILLED


async def test_a_place_is_given_back_if_nobody_wants_it_any_more(autojump_clock: MockClock) -> None:
    engine = PretendEngine(Agent("host-1", cpus=8))
    engine.kill_delay_s = 5
    async with World(engine, QUICK).running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        (high,) = await it.create(vip(7))
        await it.until_status(low, S.PREEMPTING)
        await it.kill(high)
        successor = await it.until_successor(low)
        await it.until_status(successor.assigned_task.task_id, S.RUNNING)
        assert it.stats.get("reservation_cache_explicit_removals") == 1


async def test_what_is_ending_anyway_makes_room_and_nobody_else_must_go(autojump_clock: MockClock) -> None:
    engine = PretendEngine(Agent("host-1", cpus=8))
    engine.kill_delay_s = 30
    async with World(engine, QUICK).running() as it:
        low = await it.create(task("low", 3.75), 2)
        await it.until_count(S.RUNNING, 2)
        await it.kill(low[0])
        (high,) = await it.create(vip(3.5))
        await it.until_status(high, S.RUNNING)
        assert it.task(low[1]).status is S.RUNNING
        assert it.stats.get("preemptor_tasks_preempted_non_prod") == 0


async def test_nobody_is_preempted_on_a_host_in_maintenance(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        host = msgspec.structs.replace(it.tables.hosts["host-1"], mode=MaintenanceMode.DRAINING)
        await it.storage.write(lambda tx: tx.save_host_attributes(host))
        await it.create(vip(6))
        await trio.sleep(60)
        assert it.task(low).status is S.RUNNING


async def test_a_slot_is_looked_at_again_before_it_is_used(autojump_clock: MockClock) -> None:
    never = dataclasses.replace(QUICK, preemption_slot_search_initial_delay=1e6)

    async def drain(it: World, _: str) -> None:
        host = msgspec.structs.replace(it.tables.hosts["host-1"], mode=MaintenanceMode.DRAINING)
        await it.storage.write(lambda tx: tx.save_host_attributes(host))

    async def withdraw(it: World, high: str) -> None:
        await it.kill(high)

    async def add(it: World, _: str) -> None:
        small = ScheduledTask(AssignedTask("small", "agent-of-host-1", "host-1", task("small", 0.1)), S.ASSIGNED)
        it.storage.tables.load([Row(Table.TASKS, "small", small)])  # and nobody has been told of it

    for meanwhile in (drain, withdraw, add):
        async with world(flags=never).running() as it:
            (low,) = await it.create(task("low", 7.5))
            await it.until_status(low, S.RUNNING)
            (high,) = await it.create(vip(6))
            await trio.sleep(2)
            preemptor = it.scheduler._preemptor
            slots = await preemptor.search()
            assert len(slots) == 1
            await meanwhile(it, high)
            await preemptor.use(slots)
            assert it.task(low).status is S.RUNNING
            assert it.stats.get("preemptor_slot_validation_failed") == 1
            assert not it.scheduler.reservations


async def test_a_full_log_preempts_nobody_and_the_next_run_does(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        (high,) = await it.create(vip(6))
        it.log.full = True
        await trio.sleep(30)
        assert it.task(low).status is S.RUNNING
        assert not it.scheduler.reservations
        it.log.full = False
        await it.until_status(high, S.RUNNING)


async def test_a_new_scheduler_preempts_for_those_it_finds_waiting(autojump_clock: MockClock) -> None:
    async with world().running() as it:
        (low,) = await it.create(task("low", 7.5))
        await it.until_status(low, S.RUNNING)
        (high,) = await it.create(vip(6))
        await it.restart()
        await it.until_status(high, S.RUNNING)
        assert it.task(low).status is S.KILLED
