"""The calls about hosts in maintenance (thrift-api sheet, section 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from aurorad.api.calls import AdminCall, DrainHosts, EndMaintenance, MaintenanceStatus, SlaDrainHosts, StartMaintenance
from aurorad.api.enums import MaintenanceMode, ResponseCode
from aurorad.api.results import Response
from aurorad.api.tasks import (
    CountSlaPolicy,
    HostAttributes,
    HostMaintenanceRequest,
    Hosts,
    PercentageSlaPolicy,
    SlaPolicy,
)
from aurorad.scheduler.rpc import maintenance
from aurorad.scheduler.rpc.dispatch import Api
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.rpc.conftest import message
from tests.scheduler.world import World

M = MaintenanceMode


class Cluster:
    def __init__(self, world: World) -> None:
        handlers = maintenance.handlers(maintenance=world.scheduler.maintenance, stats=world.stats)
        self.world = world
        self.api = Api(handlers, world.storage, world.flags, world.stats)

    async def call(self, call: AdminCall) -> Response:
        return await self.api.handle(call, "UNSECURE")

    async def statuses(self, call: AdminCall) -> dict[str, MaintenanceMode]:
        response = await self.call(call)
        assert response.response_code is ResponseCode.OK, response
        result = response.result
        assert result is not None
        part = (
            result.start_maintenance_result
            or result.drain_hosts_result
            or result.maintenance_status_result
            or result.end_maintenance_result
        )
        assert part is not None
        return {status.host: status.mode for status in part.statuses}


@pytest.fixture
async def cluster(autojump_clock: MockClock) -> AsyncIterator[Cluster]:
    async with World(PretendEngine(*(Agent(f"host-{number}") for number in range(1, 5)))).running() as world:
        await trio.sleep(1)
        yield Cluster(world)


def hosts(*names: str) -> Hosts:
    return Hosts(frozenset(names))


async def test_start_drain_status_end(autojump_clock: MockClock, cluster: Cluster) -> None:
    ask = cluster.statuses
    assert await ask(MaintenanceStatus(hosts("host-1", "nohost"))) == {"host-1": M.NONE}
    for _ in range(2):
        assert await ask(StartMaintenance(hosts("host-1", "nohost"))) == {"host-1": M.SCHEDULED}
    assert await ask(MaintenanceStatus(hosts("host-1"))) == {"host-1": M.SCHEDULED}
    idle = hosts("host-1", "host-2", "nohost")
    assert await ask(DrainHosts(idle)) == {"host-1": M.DRAINED, "host-2": M.DRAINED}
    for _ in range(2):
        assert await ask(EndMaintenance(hosts("host-1", "host-3", "nohost"))) == {"host-1": M.NONE, "host-3": M.NONE}
    assert await ask(MaintenanceStatus(hosts("host-1", "host-2"))) == {"host-1": M.NONE, "host-2": M.DRAINED}


async def test_a_patient_drain_of_an_idle_host_is_answered_before_it_is_looked_at(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    assert await cluster.statuses(SlaDrainHosts(hosts("host-4"), timeout_secs=10)) == {"host-4": M.DRAINING}
    counted = SlaPolicy(count_sla_policy=CountSlaPolicy(1, 1))
    assert await cluster.statuses(SlaDrainHosts(hosts("host-4"), counted, -1)) == {"host-4": M.DRAINING}
    request = cluster.world.tables.maintenance["host-4"]
    assert request == HostMaintenanceRequest("host-4", counted, -1, request.created_timestamp_ms)
    await trio.sleep(2)
    assert await cluster.statuses(MaintenanceStatus(hosts("host-4"))) == {"host-4": M.DRAINED}


CALLS = (StartMaintenance, DrainHosts, SlaDrainHosts, MaintenanceStatus, EndMaintenance)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method())
async def test_no_hosts_is_fine_and_unset_hosts_are_not(
    autojump_clock: MockClock, cluster: Cluster, call: type[AdminCall]
) -> None:
    assert await cluster.statuses(call(Hosts())) == {}
    response = await cluster.call(call())
    assert response.response_code is ResponseCode.ERROR
    assert message(response) == f"{call.method()} without hosts: a set of host names was expected"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method())
async def test_the_hosts_named_are_counted(autojump_clock: MockClock, cluster: Cluster, call: type[AdminCall]) -> None:
    counter = f"thrift_workload_{call.method()}"
    assert cluster.world.stats.snapshot()[counter] == 0
    await cluster.call(call(hosts("host-1", "nohost")))
    assert cluster.world.stats.get(counter) == 2


async def test_a_percentage_that_is_no_number_is_refused(autojump_clock: MockClock, cluster: Cluster) -> None:
    policy = SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(float("nan"), 1))
    response = await cluster.call(SlaDrainHosts(hosts("host-1"), policy, 10))
    assert response.response_code is ResponseCode.INVALID_REQUEST
    assert message(response) == "PercentageSlaPolicy: percentage=nan must be a number."
    assert not cluster.world.tables.maintenance


async def test_no_answer_shows_what_the_log_does_not_hold(autojump_clock: MockClock, cluster: Cluster) -> None:
    world = cluster.world
    world.log.full = True
    refused = await cluster.call(StartMaintenance(hosts("host-1")))
    assert refused.response_code is ResponseCode.ERROR_TRANSIENT
    world.log.full = False
    world.log.delay_s = 5
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await cluster.statuses(MaintenanceStatus(hosts("host-1"))))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cluster.call, StartMaintenance(hosts("host-1")))
        await trio.sleep(1)
        nursery.start_soon(ask)
        await trio.sleep(1)
        assert not answers
    assert answers == [{"host-1": M.SCHEDULED}]


async def test_very_many_hosts_are_changed_some_at_a_time(autojump_clock: MockClock, cluster: Cluster) -> None:
    known = [HostAttributes(f"h{number}", mode=M.NONE, slave_id=f"a{number}") for number in range(1000)]
    await cluster.world.storage.write(lambda tx: [tx.save_host_attributes(host) for host in known])
    names = [host.host for host in known]
    before = cluster.world.storage.transactions
    assert await cluster.statuses(DrainHosts(hosts(*names))) == dict.fromkeys(names, M.DRAINED)
    assert cluster.world.storage.transactions - before == 4
