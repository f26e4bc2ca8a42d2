"""Hosts that are drained (scheduling sheet, section 8)."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.api.results import HostStatus
from aurorad.api.tasks import (
    CountSlaPolicy,
    HostMaintenanceRequest,
    PartitionPolicy,
    PercentageSlaPolicy,
    SlaPolicy,
    TaskConfig,
)
from aurorad.engine.base import TaskState
from aurorad.flags import Flags
from aurorad.storage.storage import LogFull
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, now_ms, story, value

M, S = MaintenanceMode, ScheduleStatus
DAY_S = 86_400


def percentage(share: float, duration_s: int = 0) -> SlaPolicy:
    return SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(share, duration_s))


def count(number: int, duration_s: int = 0) -> SlaPolicy:
    return SlaPolicy(count_sla_policy=CountSlaPolicy(number, duration_s))


def production(policy: SlaPolicy | None = None, *, name: str = "web", host: str | None = None) -> TaskConfig:
    constraints = () if host is None else (value("host", host),)
    return msgspec.structs.replace(config(name=name, constraints=constraints), production=True, sla_policy=policy)


def world_of(*agents: Agent, flags: Flags | None = None) -> World:
    return World(PretendEngine(*agents), dataclasses.replace(flags or Flags(), min_required_instances_for_sla_check=1))


def mode(world: World, host: str) -> MaintenanceMode | None:
    return world.tables.hosts[host].mode


async def until_mode(world: World, host: str, wanted: MaintenanceMode) -> None:
    await world.until(lambda: mode(world, host) is wanted)


async def until_known(world: World, *hosts: str) -> None:
    await trio.sleep(0.5)  # which is more than they need to offer something
    assert all(host in world.tables.hosts for host in hosts)


def statuses(*pairs: tuple[str, MaintenanceMode]) -> frozenset[HostStatus]:
    return frozenset(HostStatus(host, mode) for host, mode in pairs)


def hosts_of(world: World, status: ScheduleStatus = S.RUNNING) -> list[str]:
    return sorted(str(task.assigned_task.slave_host) for task in world.tasks() if task.status is status)


async def test_modes_are_set_for_known_hosts_and_survive_a_restart(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1"), Agent("h2")).running() as world:
        await until_known(world, "h1", "h2")
        maintenance = world.scheduler.maintenance
        assert await maintenance.schedule(["h1", "nohost"]) == statuses(("h1", M.SCHEDULED))
        assert await maintenance.drain(["h2"]) == statuses(("h2", M.DRAINED))
        await world.restart()
        everything = ["h1", "h2", "nohost"]
        assert world.scheduler.maintenance.statuses(everything) == statuses(("h1", M.SCHEDULED), ("h2", M.DRAINED))
        assert await world.scheduler.maintenance.end(everything) == statuses(("h1", M.NONE), ("h2", M.NONE))
        assert not world.tables.maintenance


async def test_a_drain_takes_everything_down_at_once_whatever_was_promised(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1"), Agent("h2", cpus=1)).running() as world:
        ids = await world.create(production(count(3), host="h1"), 3)
        await world.until_count(S.RUNNING, 3)
        assert await world.scheduler.maintenance.drain(["h1"]) == statuses(("h1", M.DRAINING))
        assert {world.task(task_id).status for task_id in ids} == {S.DRAINING}
        request = world.tables.maintenance["h1"]
        assert request == HostMaintenanceRequest("h1", percentage(0), 0, request.created_timestamp_ms)
        assert now_ms() - request.created_timestamp_ms < 10
        await until_mode(world, "h1", M.DRAINED)
        assert not world.tables.maintenance
        for task_id in ids:
            assert story(world.task(task_id))[-2:] == [
                (S.DRAINING, "Draining machine for maintenance."),
                (S.KILLED, "Instructed to kill task."),
            ]
            successor = await world.until_successor(task_id)
            assert story(successor) == [(S.PENDING, "Rescheduled")]
        await trio.sleep(600)
        assert world.tables.count(S.PENDING) == 3
        await world.scheduler.maintenance.end(["h1"])
        await world.until_count(S.RUNNING, 3)


async def test_tasks_move_to_hosts_that_are_not_drained_and_last_to_announced_ones(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1"), Agent("h2", cpus=2), Agent("h3")).running() as world:
        await until_known(world, "h1", "h2", "h3")
        await world.scheduler.maintenance.schedule(["h3"])
        await world.scheduler.maintenance.drain(["h2"])
        for number in (1, 2):
            await world.create(config(cpus=1, name=f"web{number}"))
            await world.until_count(S.RUNNING, number)
        assert hosts_of(world) == ["h1", "h1"]
        await world.scheduler.maintenance.end(["h2"])
        await world.scheduler.maintenance.drain(["h1"])
        await until_mode(world, "h1", M.DRAINED)
        await world.until_count(S.RUNNING, 2)
        assert hosts_of(world) == ["h2", "h3"]


async def test_announced_hosts_are_used_when_the_others_are_full_and_evenly(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1", cpus=4), Agent("h2"), Agent("h3")).running() as world:
        await until_known(world, "h1", "h2", "h3")
        await world.scheduler.maintenance.schedule(["h2", "h3"])
        await world.create(config(cpus=0.75), 10)  # and 0.25 for each executor
        await world.until_count(S.RUNNING, 10)
        assert hosts_of(world) == ["h1"] * 4 + ["h2"] * 3 + ["h3"] * 3


async def test_a_patient_drain_goes_on_as_replacements_come_to_run(autojump_clock: MockClock) -> None:
    """Never are more instances unhealthy than promised, and the drain ends by itself."""
    async with world_of(Agent("h1"), Agent("h2")).running() as world:
        await until_known(world, "h1", "h2")
        await world.scheduler.maintenance.drain(["h2"])
        await world.create(production(percentage(75, 60)), 8)
        await world.until_count(S.RUNNING, 8)
        await world.scheduler.maintenance.end(["h2"])
        await trio.sleep(120)
        drained = await world.scheduler.maintenance.drain_patiently(["h1"], percentage(0), DAY_S)
        assert drained == statuses(("h1", M.DRAINING))
        lowest = 8
        with world.storage.subscribe() as changes:
            while mode(world, "h1") is not M.DRAINED:
                await changes.receive()
                lowest = min(lowest, world.tables.count(S.RUNNING))
        assert lowest == 6
        await world.until_count(S.RUNNING, 8)
        assert hosts_of(world) == ["h2"] * 8
        assert now_ms() < world.task(world.tasks()[0].assigned_task.task_id).task_events[0].timestamp + 1800_000


async def test_the_default_policy_holds_for_tasks_without_one(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1"), flags=Flags(host_maintenance_polling_interval=10.0)).running() as world:
        ids = await world.create(production(), 4)
        await world.until_count(S.RUNNING, 4)
        await trio.sleep(60)
        await world.scheduler.maintenance.drain_patiently(["h1"], count(3), 600)
        await trio.sleep(300)
        left = [task_id for task_id in ids if world.task(task_id).status is S.RUNNING]
        assert len(left) == 3
        waits = world.scheduler.maintenance.waits_for("h1")
        assert waits == dict.fromkeys(left, "3 of 4 instances must have run for 0 s without it; 2 have")
        countdowns = [name for name in world.stats.snapshot() if name.startswith("maintenance_countdown_ms_www-data/")]
        assert len(countdowns) == 3


@pytest.mark.parametrize("policy", [None, percentage(0)])
async def test_who_promised_nothing_goes_at_once(autojump_clock: MockClock, policy: SlaPolicy | None) -> None:
    async with world_of(Agent("h1")).running() as world:
        await world.create(production(), 4)
        await world.until_count(S.RUNNING, 4)
        await world.scheduler.maintenance.drain_patiently(["h1"], policy, DAY_S)
        with trio.fail_after(5):
            await until_mode(world, "h1", M.DRAINED)


async def test_small_jobs_and_those_that_are_not_production_go_at_once(autojump_clock: MockClock) -> None:
    world = World(PretendEngine(Agent("h1")), Flags())
    async with world.running():
        await world.create(production(count(18), name="small"), 19)
        await world.create(config(name="test"), 20)
        await world.create(production(count(19), name="big"), 20)
        await world.until_count(S.RUNNING, 59)
        await world.scheduler.maintenance.drain_patiently(["h1"], count(19), DAY_S)
        await trio.sleep(30)
        assert {task.assigned_task.task.job.name for task in world.tasks() if task.status is S.RUNNING} == {"big"}
        assert world.tables.count(S.RUNNING) == 19


async def test_when_patience_ends_the_rest_is_forced_on_the_moment(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        await world.create(production(count(4)), 4)
        await world.until_count(S.RUNNING, 4)
        asked_at = trio.current_time()
        await world.scheduler.maintenance.drain_patiently(["h1"], None, 100)
        await trio.sleep(99)
        assert world.tables.count(S.RUNNING) == 3
        await until_mode(world, "h1", M.DRAINED)
        assert trio.current_time() - asked_at == pytest.approx(100.2, abs=0.2)


async def test_a_time_in_the_past_forces_too(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        await world.create(production(count(4)), 4)
        await world.until_count(S.RUNNING, 4)
        await world.scheduler.maintenance.drain_patiently(["h1"], count(1, 1), -1)
        with trio.fail_after(5):
            await until_mode(world, "h1", M.DRAINED)


async def test_a_drain_goes_on_after_a_restart_from_the_tables_alone(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1"), Agent("h2", cpus=0.1)).running() as world:
        await world.create(production(count(4)), 4)
        await world.until_count(S.RUNNING, 4)
        await world.scheduler.maintenance.drain_patiently(["h1"], None, 3600)
        await trio.sleep(600)
        assert mode(world, "h1") is M.DRAINING
        await world.restart()
        await trio.sleep(60)
        assert world.scheduler.maintenance.waits_for("h1")
        await until_mode(world, "h1", M.DRAINED)
        assert now_ms() - world.tasks()[0].task_events[0].timestamp == pytest.approx(3_601_000, abs=2000)


async def test_a_drain_that_was_cut_off_is_finished_by_the_next_scheduler(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        ids = await world.create(production(count(4)), 4)
        await world.until_count(S.RUNNING, 4)
        world.log.delay_s = 1
        with trio.move_on_after(0.5):  # the first write is under way, the second was never begun
            await world.scheduler.maintenance.drain(["h1"])
        await trio.sleep(0.6)
        assert {world.task(task_id).status for task_id in ids} == {S.RUNNING}
        await world.restart()
        await until_mode(world, "h1", M.DRAINED)


async def test_a_drain_that_is_called_off_leaves_the_rest_in_peace(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        await world.create(production(count(4)), 4)
        await world.until_count(S.RUNNING, 4)
        await world.scheduler.maintenance.drain_patiently(["h1"], None, 100)
        await trio.sleep(50)
        await world.scheduler.maintenance.schedule(["h1"])
        assert not world.tables.maintenance
        await world.until_count(S.RUNNING, 4)
        await trio.sleep(3600)
        assert world.tables.count(S.RUNNING) == 4
        assert mode(world, "h1") is M.SCHEDULED


async def test_a_host_is_drained_only_when_its_last_task_has_gone(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        world.engine.kill_delay_s = 200
        await world.scheduler.maintenance.drain(["h1"])
        await trio.sleep(190)
        assert mode(world, "h1") is M.DRAINING
        assert world.scheduler.maintenance.waits_for("h1") == {task_id: "is DRAINING"}
        await world.until_status(task_id, S.KILLED)
        await until_mode(world, "h1", M.DRAINED)


async def test_a_task_that_will_not_end_is_given_up_in_time(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        world.engine.deaf = True
        await world.scheduler.maintenance.drain(["h1"])
        await until_mode(world, "h1", M.DRAINED)
        assert world.task(task_id).status is S.LOST


async def test_tasks_whose_agent_cannot_be_reached_are_drained_too(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        stays = msgspec.structs.replace(config(), partition_policy=PartitionPolicy(reschedule=False))
        (task_id,) = await world.create(stays)
        await world.until_status(task_id, S.RUNNING)
        world.engine.status(task_id, TaskState.TASK_UNREACHABLE)
        await world.until_status(task_id, S.PARTITIONED)
        await world.scheduler.maintenance.drain(["h1"])
        await until_mode(world, "h1", M.DRAINED)
        assert world.task(task_id).status is S.LOST


async def test_tasks_that_end_anyhow_are_left_to_it(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        world.engine.kill_delay_s = 10
        await world.kill(task_id)
        await world.scheduler.maintenance.drain(["h1"])
        await until_mode(world, "h1", M.DRAINED)
        assert [status for status, _ in story(world.task(task_id))][-2:] == [S.KILLING, S.KILLED]
        assert world.stats.get("scheduler_illegal_task_state_transitions") == 0


async def test_a_draining_host_without_a_request_waits_and_says_so(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        draining = msgspec.structs.replace(world.tables.hosts["h1"], mode=M.DRAINING)
        await world.storage.write(lambda tx: tx.save_host_attributes(draining))
        await trio.sleep(90)
        assert world.stats.get("missing_maintenance_request") == 2
        assert world.scheduler.maintenance.waits_for("h1") == {task_id: "nobody's request to drain it is known"}
        assert world.task(task_id).status is S.RUNNING
        await world.kill(task_id)
        await until_mode(world, "h1", M.DRAINED)


async def test_a_host_being_drained_stays_so_when_its_agent_comes_back(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        await world.create(production(count(4)), 4)
        await world.until_count(S.RUNNING, 4)
        await world.scheduler.maintenance.drain_patiently(["h1"], None, 1000)
        world.engine.disconnect()
        await trio.sleep(100)
        assert mode(world, "h1") is M.DRAINING


async def test_a_full_log_changes_nothing_and_offers_are_judged_anew(autojump_clock: MockClock) -> None:
    async with world_of(Agent("h1")).running() as world:
        await until_known(world, "h1")
        before = world.scheduler.offers.latest_number
        world.log.full = True
        with pytest.raises(LogFull):
            await world.scheduler.maintenance.drain(["h1"])
        assert mode(world, "h1") is M.NONE
        assert world.scheduler.offers.latest_number > before


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.001, 0.0015, 1.0, 1.0005, 1.002, 1.151])
async def test_it_may_be_cancelled_anywhere(autojump_clock: MockClock, seconds: float) -> None:
    async with world_of(Agent("h1"), Agent("h2")).running() as world:
        await world.create(production(percentage(50, 10)), 4)
        await world.until_count(S.RUNNING, 4)
        await trio.sleep(20)
        await world.scheduler.maintenance.drain_patiently(["h1"], None, DAY_S)
        await trio.sleep(seconds)
        await world.restart()
        await until_mode(world, "h1", M.DRAINED)
        await world.until_count(S.RUNNING, 4)


async def test_two_hosts_drained_together_do_not_break_a_promise_together(autojump_clock: MockClock) -> None:
    async with world_of(*(Agent(f"h{number}", cpus=1) for number in range(4)), Agent("spare")).running() as world:
        await until_known(world, "spare")
        await world.scheduler.maintenance.schedule(["spare"])
        await world.create(production(count(3, 60)), 4)
        await world.until_count(S.RUNNING, 4)
        await trio.sleep(100)
        hosts = [f"h{number}" for number in range(4)]
        await world.scheduler.maintenance.drain_patiently(hosts, None, DAY_S)
        lowest = 4
        with world.storage.subscribe() as changes:
            while not all(mode(world, host) is M.DRAINED for host in hosts):
                await changes.receive()
                lowest = min(lowest, world.tables.count(S.RUNNING))
        assert lowest == 3
