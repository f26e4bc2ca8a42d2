"""Agents are kept for those they were promised to (scheduling sheet, 6.4 and 7)."""

from __future__ import annotations

import dataclasses

import msgspec
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import Resource, TaskConfig
from aurorad.flags import Flags
from aurorad.scheduler.reservations import Promises
from aurorad.vars import Vars
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, value

S = ScheduleStatus
KEEPING = dataclasses.replace(Flags(), enable_update_affinity=True, max_schedule_penalty=1.0)


def racks(count: int) -> PretendEngine:
    return PretendEngine(*[Agent(f"host-{n}", cpus=8) for n in range(count)])


async def ended_by_update(it: World, task_id: str, new: TaskConfig) -> None:
    """What an update does to an instance, but for the new task."""
    task = it.task(task_id)
    await it.kill(task_id)
    it.scheduler.reservations.keep_place(task, new)
    await it.until_status(task_id, S.KILLED)


async def added(it: World, new: TaskConfig, instance_id: int) -> str:
    (task_id,) = await it.storage.write(lambda tx: it.scheduler.states.insert_pending(tx, new, [instance_id]))
    return task_id


async def test_an_instance_comes_back_to_its_agent(autojump_clock: MockClock) -> None:
    async with World(racks(5), KEEPING).running() as it:
        ids = await it.create(config(cpus=4), 5)
        await it.until_count(S.RUNNING, 5)
        where = {it.task(task_id).assigned_task.instance_id: it.task(task_id) for task_id in ids}
        new = msgspec.structs.replace(config(cpus=4), priority=1)
        for task_id in ids:
            await ended_by_update(it, task_id, new)
        for instance_id in (4, 2, 0, 1, 3):
            task_id = await added(it, new, instance_id)
            await it.until_status(task_id, S.RUNNING)
            assert it.task(task_id).assigned_task.slave_id == where[instance_id].assigned_task.slave_id
        assert not it.scheduler.reservations
        assert it.stats.get("update_affinity_cache_explicit_removals") == 5


async def test_all_that_come_back_at_once_find_their_own_agents(autojump_clock: MockClock) -> None:
    async with World(racks(12), KEEPING).running() as it:
        ids = await it.create(config(cpus=4), 12)
        await it.until_count(S.RUNNING, 12)
        where = {it.task(task_id).assigned_task.instance_id: it.task(task_id) for task_id in ids}
        new = msgspec.structs.replace(config(cpus=4), priority=1)
        for task_id in ids:
            await ended_by_update(it, task_id, new)
        await it.storage.write(lambda tx: it.scheduler.states.insert_pending(tx, new, range(12)))
        await it.until_count(S.RUNNING, 12)
        for task in it.tasks():
            if task.status is S.RUNNING:
                old = where[task.assigned_task.instance_id]
                assert task.assigned_task.slave_id == old.assigned_task.slave_id


async def test_the_place_is_kept_from_others_for_a_while(autojump_clock: MockClock) -> None:
    async with World(racks(1), KEEPING).running() as it:
        (old,) = await it.create(config(cpus=4))
        await it.until_status(old, S.RUNNING)
        await ended_by_update(it, old, config(cpus=4))
        (other,) = await it.create(config(cpus=4, name="other"))
        await trio.sleep(170)
        assert it.task(other).status is S.PENDING
        assert int(it.stats.get("TaskGroupBatchWorker_batches_processed")) < 1000, "it asked over and over"
        await it.until_status(other, S.RUNNING)
        assert it.stats.get("update_affinity_cache_expiration_removals") == 1


async def test_a_place_is_given_back_when_nobody_will_come(autojump_clock: MockClock) -> None:
    engine = racks(1)
    engine.kill_delay_s = 5
    async with World(engine, KEEPING).running() as it:
        (old,) = await it.create(config(cpus=4))
        await it.until_status(old, S.RUNNING)
        task = it.task(old)
        await it.kill(old)
        it.scheduler.reservations.keep_place(task, config(cpus=4))
        (other,) = await it.create(config(cpus=7, name="other"))
        await it.until_status(old, S.KILLED)
        new = await added(it, msgspec.structs.replace(config(cpus=3), constraints=frozenset({value("host", "x")})), 0)
        await trio.sleep(5)
        assert it.task(other).status is S.PENDING
        await it.kill(new)
        with trio.fail_after(1):
            await it.until_status(other, S.RUNNING)


async def test_who_cannot_come_back_goes_elsewhere_when_time_is_up(autojump_clock: MockClock) -> None:
    async with World(racks(2), KEEPING).running() as it:
        (old,) = await it.create(config(cpus=4))
        await it.until_status(old, S.RUNNING)
        there = it.task(old).assigned_task.slave_id
        it.engine.agents.pop(str(there))
        it.engine.tasks.clear()
        it.engine.offers.clear()
        await it.kill(old)
        it.scheduler.reservations.keep_place(it.task(old), config(cpus=4))
        await it.until_status(old, S.LOST)
        it.engine.disconnect()
        new = await added(it, config(cpus=4), 0)
        await trio.sleep(100)
        assert it.task(new).status is S.PENDING
        with trio.fail_after(90):
            await it.until_status(new, S.RUNNING)
        assert it.task(new).assigned_task.slave_id != there


async def test_nothing_is_kept_that_does_not_suit_or_is_not_wanted(autojump_clock: MockClock) -> None:
    async with World(racks(1), KEEPING).running() as it:
        (old,) = await it.create(config(cpus=4))
        reservations = it.scheduler.reservations
        reservations.keep_place(it.task(old), config(cpus=4))  # it has no agent yet
        await it.until_status(old, S.RUNNING)
        task = it.task(old)
        reservations.keep_place(task, config(cpus=4.5))
        reservations.keep_place(task, config(cpus=4, constraints=(value("host", "host-0"),)))
        reservations.keep_place(
            task,
            msgspec.structs.replace(config(cpus=4), resources=config(cpus=4).resources | {Resource(named_port="http")}),
        )
        assert not reservations
        reservations.keep_place(task, config(cpus=3))
        assert reservations
    async with World(racks(1)).running() as it:
        (old,) = await it.create(config(cpus=4))
        await it.until_status(old, S.RUNNING)
        it.scheduler.reservations.keep_place(it.task(old), config(cpus=4))
        assert not it.scheduler.reservations


async def test_a_promise_ends_by_being_kept_or_by_time(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    stats, ended = Vars(), list[tuple[str, str]]()
    promises: Promises[str, str] = Promises("reservation", stats, lambda key, given: ended.append((key, given)))
    nursery.start_soon(promises.run)
    promises.put("a", "x", 10)
    promises.put("b", "x", 20)
    promises.put("a", "y", 30)
    assert (promises.get("a"), list(promises.keys_of("x")), len(promises)) == ("y", ["b"], 2)
    promises.remove("b")
    promises.remove("b")
    await trio.sleep(29)
    assert promises.get("a") == "y"
    await trio.sleep(2)
    assert ended == [("b", "x"), ("a", "y")]
    assert {name: stats.get(f"reservation_cache_{name}") for name in ("size", "removals", "explicit_removals")} == {
        "size": 0,
        "removals": 2,
        "explicit_removals": 1,
    }
    assert stats.get("reservation_cache_expiration_removals") == 1
