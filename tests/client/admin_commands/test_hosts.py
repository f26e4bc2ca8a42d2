"""`aurora_admin` about hosts in maintenance (admin-commands sheet, section 6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.calls import EndMaintenance, MaintenanceStatus, SlaDrainHosts, StartMaintenance
from aurorad.api.enums import MaintenanceMode
from aurorad.api.results import (
    DrainHostsResult,
    EndMaintenanceResult,
    HostStatus,
    MaintenanceStatusResult,
    StartMaintenanceResult,
)
from aurorad.api.tasks import Hosts, PercentageSlaPolicy, SlaPolicy
from tests.client.conftest import Runner
from tests.client.fake_scheduler import FakeScheduler, ok, refused

M = MaintenanceMode


def statuses(**modes: MaintenanceMode) -> frozenset[HostStatus]:
    return frozenset(HostStatus(host, mode) for host, mode in modes.items())


def test_hosts_are_deactivated_and_unknown_ones_told(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    known = StartMaintenanceResult(statuses(h1=M.SCHEDULED))
    scheduler.on(StartMaintenance, ok(start_maintenance_result=known))
    ran = aurora_admin("host_deactivate", "--hosts=h1, h2", "west")
    assert ran.code == 0
    assert " INFO] Starting maintenance for: {'h1', 'h2'}\n" in ran.err
    assert " WARN] Skipping maintenance for unknown hosts: {'h2'}\n" in ran.err
    assert scheduler.of(StartMaintenance) == [StartMaintenance(Hosts(frozenset({"h1", "h2"})))]


def test_hosts_are_activated_and_what_is_left_told(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(EndMaintenance, ok(end_maintenance_result=EndMaintenanceResult()))
    after = MaintenanceStatusResult(statuses(h1=M.NONE, h2=M.DRAINED))
    scheduler.on(MaintenanceStatus, ok(maintenance_status_result=after))
    ran = aurora_admin("host_activate", "west", "--hosts=h1,h2")
    assert ran.code == 0
    assert ran.err.endswith(" WARN] h2 is DRAINING or in DRAINED\n")


def test_the_last_word_of_a_status_is_the_mode(aurora_admin: Runner, scheduler: FakeScheduler, tmp_path: Path) -> None:
    names = tmp_path / "hosts"
    names.write_text("h2\n\n h1 \n")
    modes = MaintenanceStatusResult(statuses(h2=M.DRAINING, h1=M.NONE))
    scheduler.on(MaintenanceStatus, ok(maintenance_status_result=modes))
    ran = aurora_admin("host_status", "west", f"--filename={names}")
    assert ran.err.splitlines()[-2:] == [" INFO] h1 is in state: NONE", " INFO] h2 is in state: DRAINING"]


@pytest.mark.parametrize(
    ("options", "percentage", "duration_s", "timeout_s"),
    [
        ((), 95, 1800, 604800),
        (("--default_percentage=50", "--default_duration=1h30m", "--force_drain_timeout=0s"), 50, 5400, 0),
    ],
)
def test_a_patient_drain_is_one_call(
    aurora_admin: Runner,
    scheduler: FakeScheduler,
    options: tuple[str, ...],
    percentage: float,
    duration_s: int,
    timeout_s: int,
) -> None:
    scheduler.on(SlaDrainHosts, ok(drain_hosts_result=DrainHostsResult(statuses(h1=M.DRAINING))))
    ran = aurora_admin("sla_host_drain", "--hosts=h1", "west", *options)
    assert ran.code == 0
    assert ran.err.endswith(" INFO] h1 is in state: DRAINING\n")
    policy = SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(percentage, duration_s))
    assert scheduler.of(SlaDrainHosts) == [SlaDrainHosts(Hosts(frozenset({"h1"})), policy, timeout_s)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Please specify either --filename or --hosts"),
        (("--hosts=h1", "--filename=x"), "Please specify either --filename or --hosts"),
        (("--hosts= , ",), "No valid hosts found."),
        (("--filename=/nosuch",), "--filename=/nosuch cannot be read"),
    ],
)
def test_hosts_must_be_named_one_way(aurora_admin: Runner, arguments: tuple[str, ...], complaint: str) -> None:
    ran = aurora_admin("host_status", "west", *arguments)
    assert ran.code == 1
    assert complaint in ran.err


@pytest.mark.parametrize("option", ["--default_percentage=101", "--default_percentage=x", "--default_duration=5"])
def test_wrong_options_are_told(aurora_admin: Runner, scheduler: FakeScheduler, option: str) -> None:
    ran = aurora_admin("sla_host_drain", "west", "--hosts=h1", option)
    assert ran.code == 2
    assert not scheduler.calls


def test_a_refusal_is_status_1(aurora_admin: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(MaintenanceStatus, refused("no"))
    assert aurora_admin("host_status", "west", "--hosts=h1").code == 1
