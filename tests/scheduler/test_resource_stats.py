"""Statistics of what is used and what is free (vars sheet, section 9)."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import JobKey, Resource, ResourceAggregate, TaskConfig
from aurorad.rules.resources import Bag, ResourceType
from aurorad.rules.slots import empty_slots
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, value

S = ScheduleStatus


@pytest.mark.parametrize(
    ("cpus", "ram_mb", "disk_mb", "slots"),
    [
        (0, 0, 0, (0, 0, 0, 0)),
        (1, 1024, 4096, (1, 0, 0, 0)),
        (4, 8192, 16384, (4, 1, 0, 0)),
        (8, 16384, 32768, (8, 2, 1, 0)),
        (16, 32768, 65536, (16, 4, 2, 1)),
        (64, 8192, 65536, (8, 1, 0, 0)),
        (3.9999999, 8192, 65536, (4, 1, 0, 0)),
    ],
)
def test_a_slot_takes_all_three_kinds(cpus: float, ram_mb: float, disk_mb: float, slots: tuple[int, ...]) -> None:
    bag: Bag = {ResourceType.CPUS: cpus, ResourceType.RAM_MB: ram_mb, ResourceType.DISK_MB: disk_mb}
    assert tuple(empty_slots(bag).values()) == slots


def of(role: str, cpus: float, production: bool = False, dedicated: bool = False) -> TaskConfig:
    constraints = (value("dedicated", f"{role}/x"),) if dedicated else ()
    plain = config(cpus, ram_mb=100, disk_mb=10, name=f"job-{cpus:g}-{production}-{dedicated}", constraints=constraints)
    return msgspec.structs.replace(plain, job=JobKey(role, "prod", plain.job.name), production=production)


async def test_what_is_asked_for_beyond_all_numbers_ends_nothing(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as it:
        await it.create(of("web", 1e308), 2)
        await trio.sleep(3601)
        assert it.stats.snapshot()["resources_total_consumed_cpu_cores"] == 2**63 - 1


async def test_what_is_used_is_told_by_pool_and_role(autojump_clock: MockClock) -> None:
    agents = (Agent("host-1", cpus=20, mem=40960, disk=100_000), Agent("d", attributes=(("dedicated", "Ads/x"),)))
    async with World(PretendEngine(*agents)).running() as it:
        await it.create(of("Ads", 2, production=True), 2)
        await it.create(of("Ads", 1, dedicated=True))
        await it.create(of("web", 1.5), 2)
        await it.create(of("web", 1000))  # pending tasks count, too
        await it.until_count(S.RUNNING, 5)
        quota = ResourceAggregate(frozenset({Resource(num_cpus=7), Resource(ram_mb=8), Resource(disk_mb=9)}))
        await it.storage.write(lambda tx: tx.save_quota("Ads", quota))
        await trio.sleep(3601)
        values = it.stats.snapshot()
        expected = {
            "resources_total_consumed_cpu_cores": 1008,
            "resources_total_consumed_ram_mb": 600,
            "resources_dedicated_consumed_cpu_cores": 1,
            "resources_quota_consumed_cpu_cores": 4,
            "resources_free_pool_consumed_cpu_cores": 1003,
            "resources_per_role_total_consumed_ads_cpu_cores": 5,
            "resources_per_role_quota_consumed_ads_disk_mb": 20,
            "resources_per_role_free_pool_consumed_web_ram_mb": 300,
            "resources_allocated_quota_cpu_cores": 7,
            "quota_per_role_ads_disk_mb": 9,
            "empty_slots_small": 12,
            "empty_slots_xlarge": 0,
            "empty_slots_revocable_small": 0,
            "empty_slots_dedicated_small": 62,
            "empty_slots_dedicated_revocable_small": 0,
            "task_stat_calculator_run_events": 2,
        }
        assert {name: values[name] for name in expected} == expected
        assert "resources_per_role_quota_consumed_web_cpu_cores" not in values


async def test_amounts_beyond_all_counting_are_told_as_the_largest_count(autojump_clock: MockClock) -> None:
    quota = ResourceAggregate(frozenset({Resource(num_cpus=1e308), Resource(ram_mb=2**63 - 1), Resource(disk_mb=9)}))
    async with World(PretendEngine()).running() as it:
        await it.storage.write(lambda tx: tx.save_quota("Ads", quota))
        await it.storage.write(lambda tx: tx.save_quota("web", quota))
        await trio.sleep(3601)
        values = it.stats.snapshot()
        assert values["resources_allocated_quota_cpu_cores"] == values["resources_allocated_quota_ram_mb"] == 2**63 - 1
        assert values["resources_allocated_quota_disk_mb"] == 18
