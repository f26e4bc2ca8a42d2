"""How the agents page shows hosts in maintenance."""

from __future__ import annotations

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import AssignedTask, HostAttributes, HostMaintenanceRequest, ScheduledTask
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.web.pages.agents import MOST_LEFT, LeftRow, agent_row, draining_row
from tests.web.pages.cluster import NOW_MS, TIES, config

HOST = HostAttributes("host-1", mode=MaintenanceMode.DRAINING, slave_id="agent-1")


def tables_of(count: int) -> Tables:
    tables = Tables()
    tx = Transaction(tables)
    tx.save_host_attributes(HOST)
    for number in range(count):
        assigned = AssignedTask(f"t{number}", "agent-1", "host-1", config(), instance_id=number)
        tx.save_tasks(ScheduledTask(assigned, ScheduleStatus.RUNNING))
    return tables


def test_a_host_being_drained_shows_what_it_waits_for() -> None:
    tables = tables_of(2)
    Transaction(tables).save_host_maintenance_request(
        HostMaintenanceRequest("host-1", timeout_secs=60, created_timestamp_ms=NOW_MS)
    )
    waits = {"t1": "its SLA coordinator says no", "t0": "is DRAINING", "gone": "is gone"}
    row = draining_row(agent_row(HOST, TIES.observer_url), waits, tables)
    assert row.left == (
        LeftRow("www-data/devel/hello_world/0", "/scheduler/www-data/devel/hello_world/0", "is DRAINING"),
        LeftRow(
            "www-data/devel/hello_world/1", "/scheduler/www-data/devel/hello_world/1", "its SLA coordinator says no"
        ),
    )
    assert (row.left_out, row.forced_ms) == (0, NOW_MS + 60_000)


def test_not_all_of_very_many_tasks_are_shown() -> None:
    waits = {f"t{number}": "is DRAINING" for number in range(MOST_LEFT + 5)}
    row = draining_row(agent_row(HOST, TIES.observer_url), waits, tables_of(MOST_LEFT + 5))
    assert (len(row.left), row.left_out, row.forced_ms) == (MOST_LEFT, 5, None)
