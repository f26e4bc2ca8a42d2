from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import JobUpdateStatus, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import HostAttributes, HostMaintenanceRequest, JobConfiguration, ResourceAggregate
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdateEvent, JobUpdateKey
from aurorad.storage.events import HostChanged, KillRequested, TaskChanged
from aurorad.storage.operations import Assignment, AssignTasks, MoveTasks, RemoveTasks, SaveTasks
from aurorad.storage.tables import Table, Tables
from aurorad.storage.transaction import Transaction
from tests.storage import samples
from tests.storage.samples import CONFIG, JOB, task

HOST = HostAttributes("h1", mode=MaintenanceMode.NONE, slave_id="agent")
KEY = JobUpdateKey(JOB, "u1")


def test_what_a_transaction_did_it_can_read() -> None:
    tx = Transaction(Tables())
    tx.save_tasks(task("a"))
    assert tx.tables.task("a") == task("a")


def test_each_operation_is_kept_for_the_log_in_order() -> None:
    tx = Transaction(Tables())
    tx.save_tasks(task("a"))
    tx.remove_tasks(["a"])
    tx.save_framework_id("f")
    tx.save_cron_job(JobConfiguration(JOB, task_config=CONFIG))
    tx.remove_cron_job(JOB)
    tx.save_quota("www", ResourceAggregate())
    tx.remove_quota("www")
    tx.save_host_attributes(HOST)
    tx.save_job_update(samples.update(KEY))
    tx.save_job_update_event(KEY, JobUpdateEvent(JobUpdateStatus.ROLLING_FORWARD, 1))
    tx.save_job_instance_update_event(KEY, JobInstanceUpdateEvent(0, 1))
    tx.remove_job_updates([KEY])
    tx.save_host_maintenance_request(HostMaintenanceRequest("h1"))
    tx.remove_host_maintenance_request("h1")
    assert tx.ops[:2] == [SaveTasks([task("a")]), RemoveTasks(["a"])]
    names = [name for op in tx.ops[2:] for name in op.__struct_fields__ if getattr(op, name) is not None]
    assert names == [
        "save_framework_id",
        "save_cron_job",
        "remove_job",
        "save_quota",
        "remove_quota",
        "save_host_attributes",
        "save_job_update",
        "save_job_update_event",
        "save_job_instance_update_event",
        "remove_job_update",
        "save_host_maintenance_request",
        "remove_host_maintenance_request",
    ]


def test_nothing_to_do_is_not_logged() -> None:
    tables = Tables()
    first = Transaction(tables)
    assert first.save_host_attributes(HOST)
    tx = Transaction(tables)
    assert not tx.save_host_attributes(HOST)
    tx.save_tasks()
    tx.remove_tasks([])
    tx.remove_job_updates([])
    assert tx.is_empty
    assert (tx.ops, tx.changes.rows, tx.changes.after, tx.events()) == ([], [], [], [])


def test_two_tasks_of_one_id_are_refused() -> None:
    tx = Transaction(Tables())
    with pytest.raises(ValueError, match=r"^Proposed new tasks would create task ID collision\.$"):
        tx.save_tasks(task("a"), task("a", ScheduleStatus.RUNNING))
    assert tx.is_empty
    assert tx.tables.task("a") is None


def test_events_tell_of_tasks_in_order_then_of_kills() -> None:
    tx = Transaction(Tables())
    tx.kill("z")
    tx.save_tasks(task("a"))
    tx.save_quota("www", ResourceAggregate())
    tx.save_tasks(task("a", ScheduleStatus.KILLING))
    tx.remove_tasks(["a"])
    killing = task("a", ScheduleStatus.KILLING)
    assert tx.events() == [
        TaskChanged(None, task("a")),
        TaskChanged(task("a"), killing),
        TaskChanged(killing, None),
        KillRequested("z"),
    ]


def test_events_tell_of_hosts_that_changed() -> None:
    tables = Tables()
    Transaction(tables).save_host_attributes(HOST)
    tx = Transaction(tables)
    drained = msgspec.structs.replace(HOST, mode=MaintenanceMode.DRAINED)
    other = HostAttributes("new", mode=MaintenanceMode.DRAINING, slave_id="agent-2")
    tx.save_host_attributes(HOST)
    tx.save_host_attributes(drained)
    tx.save_host_attributes(other)
    assert tx.events() == [HostChanged(HOST, drained), HostChanged(None, other)]


def test_reverting_puts_the_tables_back() -> None:
    tables = Tables()
    Transaction(tables).save_tasks(task("a"))
    tx = Transaction(tables)
    tx.save_tasks(task("a", ScheduleStatus.RUNNING, "h1"), task("b"))
    tx.remove_tasks(["a"])
    tx.revert()
    assert tables.task("a") == task("a")
    assert tables.task("b") is None
    assert tables.indexed_hosts == 0


@given(st.lists(samples.instance_events, max_size=6), st.lists(samples.instance_events, max_size=6))
def test_many_instance_events_at_once_are_as_one_after_the_other(
    before: list[JobInstanceUpdateEvent], events: list[JobInstanceUpdateEvent]
) -> None:
    together, apart = Transaction(Tables()), Transaction(Tables())
    for tx in (together, apart):
        tx.save_job_update(samples.update(KEY))
        tx.save_job_instance_update_events(KEY, before)
    together.save_job_instance_update_events(KEY, events)
    for event in events:
        apart.save_job_instance_update_event(KEY, event)
    assert together.tables.updates == apart.tables.updates
    assert together.ops == apart.ops
    together.revert()
    assert together.tables.updates == {}


def test_what_is_done_to_one_task_after_the_other_is_one_operation() -> None:
    tables = Tables()
    tx = Transaction(tables)
    tx.save_tasks(task("a"), task("b"))
    event = tx.event(5, ScheduleStatus.ASSIGNED, None, "me")
    assert tx.event(5, ScheduleStatus.ASSIGNED, None, "me") is event
    places = [Assignment(task_id, f"h-{task_id}", f"agent-{task_id}", {}, event) for task_id in ("a", "b")]
    for place in places:
        tx.assign_task(tables.rows(Table.TASKS)[place.task_id], place)
    running = tx.event(6, ScheduleStatus.RUNNING, "now", "me")
    after = [tx.move_task(tables.rows(Table.TASKS)[task_id], running) for task_id in ("b", "a")]
    assert tx.ops == [
        SaveTasks([task("a"), task("b")]),
        AssignTasks(places),
        MoveTasks([("b", running), ("a", running)]),
    ]
    assert [task.assigned_task.slave_host for task in after] == ["h-b", "h-a"]
    assert [task.task_events[1:] for task in after] == [(event, running)] * 2
    again = Tables()
    for op in tx.ops:
        again.apply(op)
    assert again.copy() == tables.copy()
