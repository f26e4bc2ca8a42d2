"""The calls about hosts in maintenance (thrift-api sheet, section 4). Any may be made in any mode.

Hosts that are not known are left out of the answers.
"""

from __future__ import annotations

import math

from aurorad.api.calls import DrainHosts, EndMaintenance, MaintenanceStatus, SlaDrainHosts, StartMaintenance
from aurorad.api.enums import ResponseCode
from aurorad.api.results import (
    DrainHostsResult,
    EndMaintenanceResult,
    MaintenanceStatusResult,
    Response,
    Result,
    StartMaintenanceResult,
)
from aurorad.api.tasks import Hosts, SlaPolicy
from aurorad.scheduler.maintenance import Maintenance
from aurorad.scheduler.rpc.answers import Handlers, Refused, ok
from aurorad.vars import Vars


def handlers(*, maintenance: Maintenance, stats: Vars) -> Handlers:
    calls = _MaintenanceCalls(maintenance, stats)
    return {
        StartMaintenance: calls.start_maintenance,
        DrainHosts: calls.drain_hosts,
        SlaDrainHosts: calls.sla_drain_hosts,
        MaintenanceStatus: calls.maintenance_status,
        EndMaintenance: calls.end_maintenance,
    }


class _MaintenanceCalls:
    def __init__(self, maintenance: Maintenance, stats: Vars) -> None:
        self._maintenance = maintenance
        self._stats = stats
        calls = (StartMaintenance, DrainHosts, SlaDrainHosts, MaintenanceStatus, EndMaintenance)
        stats.declare(*(f"thrift_workload_{call.method()}" for call in calls))

    async def start_maintenance(self, call: StartMaintenance, user: str) -> Response:
        statuses = await self._maintenance.schedule(self._names(call.hosts, call))
        return ok(Result(start_maintenance_result=StartMaintenanceResult(statuses)))

    async def drain_hosts(self, call: DrainHosts, user: str) -> Response:
        statuses = await self._maintenance.drain(self._names(call.hosts, call))
        return ok(Result(drain_hosts_result=DrainHostsResult(statuses)))

    async def sla_drain_hosts(self, call: SlaDrainHosts, user: str) -> Response:
        names = self._names(call.hosts, call)
        _check(call.default_sla_policy)
        statuses = await self._maintenance.drain_patiently(names, call.default_sla_policy, call.timeout_secs)
        return ok(Result(drain_hosts_result=DrainHostsResult(statuses)))

    async def maintenance_status(self, call: MaintenanceStatus, user: str) -> Response:
        statuses = self._maintenance.statuses(self._names(call.hosts, call))
        return ok(Result(maintenance_status_result=MaintenanceStatusResult(statuses)))

    async def end_maintenance(self, call: EndMaintenance, user: str) -> Response:
        statuses = await self._maintenance.end(self._names(call.hosts, call))
        return ok(Result(end_maintenance_result=EndMaintenanceResult(statuses)))

    def _names(
        self,
        hosts: Hosts | None,
        call: StartMaintenance | DrainHosts | SlaDrainHosts | MaintenanceStatus | EndMaintenance,
    ) -> frozenset[str]:
        if hosts is None:
            raise Refused(f"{call.method()} without hosts: a set of host names was expected", ResponseCode.ERROR)
        self._stats.count(f"thrift_workload_{call.method()}", len(hosts.host_names))
        return hosts.host_names


def _check(policy: SlaPolicy | None) -> None:
    percentage = policy.percentage_sla_policy if policy is not None else None
    if percentage is not None and not math.isfinite(percentage.percentage):
        raise Refused(f"PercentageSlaPolicy: percentage={percentage.percentage} must be a number.")
