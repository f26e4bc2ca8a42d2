"""`aurora_admin host_drain` (admin-commands sheet, section 6.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.calls import DrainHosts, MaintenanceStatus, StartMaintenance
from aurorad.api.enums import MaintenanceMode
from aurorad.api.results import (
    DrainHostsResult,
    HostStatus,
    MaintenanceStatusResult,
    Response,
    StartMaintenanceResult,
)
from aurorad.api.tasks import Hosts
from tests.client.admin_commands.test_sla import answer, live
from tests.client.conftest import Runner, World
from tests.client.fake_scheduler import FakeScheduler, ok


def modes(mode: MaintenanceMode, *hosts: str) -> frozenset[HostStatus]:
    return frozenset(HostStatus(host, mode) for host in hosts)


@pytest.fixture
def hosts(scheduler: FakeScheduler) -> FakeScheduler:
    """Hosts a and b are there, and drained at the second look."""
    looks: list[MaintenanceStatus] = []

    def status(call: MaintenanceStatus) -> Response:
        looks.append(call)
        mode = MaintenanceMode.DRAINED if len(looks) > 1 else MaintenanceMode.DRAINING
        assert call.hosts is not None
        return ok(maintenance_status_result=MaintenanceStatusResult(modes(mode, *call.hosts.host_names)))

    there = StartMaintenanceResult(modes(MaintenanceMode.SCHEDULED, "a", "b"))
    scheduler.on(StartMaintenance, ok(start_maintenance_result=there))
    scheduler.on(DrainHosts, ok(drain_hosts_result=DrainHostsResult()))
    scheduler.on(MaintenanceStatus, status)
    answer(scheduler)
    return scheduler


def test_hosts_are_drained_one_after_the_other_and_the_script_hears_of_each(
    aurora_admin: Runner, hosts: FakeScheduler, world: World, tmp_path: Path
) -> None:
    script = tmp_path / "drained"
    script.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/heard\nexit 1\n')
    script.chmod(0o755)
    ran = aurora_admin("host_drain", "--hosts=b,a,z", f"--post_drain_script={script}", "west")
    assert (ran.code, ran.out) == (0, "")
    assert [call.hosts for call in hosts.of(DrainHosts)] == [Hosts(frozenset("a")), Hosts(frozenset("b"))]
    assert (tmp_path / "heard").read_text() == "a\nb\n"
    assert world.slept == [5.0]
    for line in (
        " INFO] Starting maintenance for: {'a', 'b', 'z'}",
        " WARN] Skipping maintenance for unknown hosts: {'z'}",
        " INFO] Beginning SLA check for {'a'}",
        " INFO] All hosts passed SLA check.",
        " INFO] Waiting for hosts to be in DRAINED: {'a'}",
    ):
        assert line in ran.err.splitlines()


def test_what_jobs_would_miss_is_left(aurora_admin: Runner, hosts: FakeScheduler, tmp_path: Path) -> None:
    answer(hosts, *live("web", "aa" + "c" * 18))
    left = tmp_path / "left"
    ran = aurora_admin("host_drain", "--hosts=a,b", f"--unsafe_hosts_file={left}", "west")
    assert (ran.code, ran.out) == (0, "a\twest/www/prod/web\t90.00\tFalse\tn/a\na\n")
    assert [call.hosts for call in hosts.of(DrainHosts)] == [Hosts(frozenset("b"))]
    assert left.read_text() == "a\n"
    assert "will not be drained! Skipping hosts: {'a'}" in ran.err
    assert f" INFO] Written unsafe host names into: {left}\n" in ran.err


def test_promises_may_be_overridden_for_a_reason(aurora_admin: Runner, hosts: FakeScheduler) -> None:
    answer(hosts, *live("web", "aa" + "c" * 18))
    override = ("--override_percentage=90", "--override_duration=10m", "--override_reason=fire")
    ran = aurora_admin("host_drain", "--hosts=a", *override, "west")
    assert [call.hosts for call in hosts.of(DrainHosts)] == [Hosts(frozenset("a"))]
    assert "overrides what jobs are promised, by 90 % for 10m: fire\n" in ran.err
    ran = aurora_admin("host_drain", "--hosts=a", override[0], "west")
    assert (ran.code, ran.err.startswith("All --override_* options are required")) == (1, True)


def test_hosts_that_take_too_long_are_left(aurora_admin: Runner, hosts: FakeScheduler, world: World) -> None:
    draining = modes(MaintenanceMode.DRAINING, "a")
    hosts.on(MaintenanceStatus, ok(maintenance_status_result=MaintenanceStatusResult(draining)))
    ran = aurora_admin("host_drain", "--hosts=a", "--grouping=none", "west")
    assert world.now == 300
    assert " WARN] Failed to move all hosts into DRAINED within 5 mins:\n\tHost:a\tStatus:DRAINING\n" in ran.err
    assert ran.out == "a\n"


def test_a_script_that_is_not_there_is_told_at_once(aurora_admin: Runner, hosts: FakeScheduler) -> None:
    ran = aurora_admin("host_drain", "--hosts=a", "--post_drain_script=/no/script", "west")
    assert (ran.code, ran.err, hosts.calls) == (1, "No such file: /no/script\n", [])
