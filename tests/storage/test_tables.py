from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api import storage as s
from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, MaintenanceMode, ScheduleStatus
from aurorad.api.storage import Op as OtherOp
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    ScheduledTask,
    TaskQuery,
)
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdateEvent, JobUpdateKey, JobUpdateState
from aurorad.storage.operations import Op, RemoveTasks, SaveTasks
from aurorad.storage.tables import Change, Changes, Row, Table, Tables
from aurorad.vars import Vars
from tests.storage import samples
from tests.storage.samples import CONFIG, JOB, config, task

OTHER = JobKey("ads", "devel", "bye")
KEY = JobUpdateKey(JOB, "u1")


def save_tasks(*tasks: ScheduledTask) -> Op:
    return SaveTasks(list(tasks))


def applied(*ops: Op) -> Tables:
    tables = Tables()
    for op in ops:
        tables.apply(op)
    return tables


def content(tables: Tables) -> dict[str, object]:
    """Rows and indices."""
    return {name: value for name, value in vars(tables).items() if name != "_stats"}


def rebuilt(tables: Tables) -> Tables:
    fresh = Tables()
    fresh.load(Row(table, key, value) for table, rows in tables.copy().items() for key, value in rows.items())
    return fresh


def test_saved_tasks_are_found_by_id_and_overwritten_by_id() -> None:
    tables = applied(save_tasks(task("a"), task("b")), save_tasks(task("a", ScheduleStatus.RUNNING, "h1")))
    assert tables.task("a") == task("a", ScheduleStatus.RUNNING, "h1")
    assert tables.task("b") == task("b")
    assert tables.task("c") is None


def test_removed_tasks_are_gone_from_every_index() -> None:
    tables = applied(
        save_tasks(task("a", ScheduleStatus.RUNNING, "h1")),
        RemoveTasks(["a", "unknown"]),
    )
    assert content(tables) == content(Tables())


def test_changes_tell_what_was_and_what_is() -> None:
    tables = applied(save_tasks(task("a")))
    running = task("a", ScheduleStatus.RUNNING)
    changes = tables.apply(save_tasks(running))
    tables.apply(RemoveTasks(["a"]), changes)
    assert (changes.before, changes.after) == ([task("a"), running], [running, None])
    tables.apply(OtherOp(save_framework_id=s.SaveFrameworkId("f")), changes)
    assert changes.rows == [Change(Table.METADATA, "framework_id", None, "f")]
    dirty: dict[Table, dict[object, object]] = {table: {} for table in Table}
    changes.note_in(dirty)
    assert (dirty[Table.TASKS], dirty[Table.METADATA]) == ({"a": None}, {"framework_id": "f"})


def test_cron_jobs_quotas_framework_id_and_maintenance_are_saved_and_removed() -> None:
    job = JobConfiguration(JOB, cron_schedule="0 * * * *", task_config=CONFIG)
    quota = ResourceAggregate(frozenset({Resource(num_cpus=1.0)}))
    request = HostMaintenanceRequest("h1", timeout_secs=9)
    tables = applied(
        OtherOp(save_cron_job=s.SaveCronJob(job)),
        OtherOp(save_quota=s.SaveQuota("www", quota)),
        OtherOp(save_framework_id=s.SaveFrameworkId("f")),
        OtherOp(save_host_maintenance_request=s.SaveHostMaintenanceRequest(request)),
    )
    assert tables.cron_jobs == {JOB: job}
    assert tables.quotas == {"www": quota}
    assert tables.framework_id == "f"
    assert tables.maintenance == {"h1": request}
    tables.apply(OtherOp(remove_job=s.RemoveJob(JOB)))
    tables.apply(OtherOp(remove_quota=s.RemoveQuota("www")))
    tables.apply(OtherOp(remove_host_maintenance_request=s.RemoveHostMaintenanceRequest("h1")))
    assert (tables.cron_jobs, tables.quotas, tables.maintenance) == ({}, {}, {})


def test_host_attributes_without_an_agent_are_dropped() -> None:
    host = HostAttributes("h1", mode=MaintenanceMode.NONE)
    known = HostAttributes("h2", mode=MaintenanceMode.DRAINED, slave_id="agent")
    tables = applied(*(OtherOp(save_host_attributes=s.SaveHostAttributes(some)) for some in (host, known, None)))
    assert tables.hosts == {"h2": known}


def test_legacy_operations_mean_nothing() -> None:
    tables = applied(
        OtherOp(save_lock=s.SaveLock()),
        OtherOp(remove_lock=s.RemoveLock()),
        OtherOp(prune_job_update_history=s.PruneJobUpdateHistory()),
    )
    assert content(tables) == content(Tables())


def test_an_update_has_the_state_that_its_events_say() -> None:
    def at(status: JobUpdateStatus, time_ms: int) -> OtherOp:
        return OtherOp(save_job_update_event=s.SaveJobUpdateEvent(JobUpdateEvent(status, time_ms), KEY))

    tables = applied(OtherOp(save_job_update=s.SaveJobUpdate(samples.update(KEY))))
    assert tables.updates[KEY].update.summary.state is None
    tables.apply(at(JobUpdateStatus.ROLLING_FORWARD, 10))
    assert tables.updates[KEY].update.summary.state == JobUpdateState(JobUpdateStatus.ROLLING_FORWARD, 10, 10)
    event = JobInstanceUpdateEvent(0, 25, JobUpdateAction.INSTANCE_UPDATED)
    tables.apply(OtherOp(save_job_instance_update_event=s.SaveJobInstanceUpdateEvent(event, KEY)))
    assert tables.updates[KEY].update.summary.state == JobUpdateState(JobUpdateStatus.ROLLING_FORWARD, 10, 25)
    tables.apply(at(JobUpdateStatus.ROLLED_FORWARD, 30))
    tables.apply(at(JobUpdateStatus.ROLL_FORWARD_PAUSED, 20))
    details = tables.updates[KEY]
    assert [event.timestamp_ms for event in details.update_events] == [10, 20, 30]
    assert details.update.summary.state == JobUpdateState(JobUpdateStatus.ROLLED_FORWARD, 10, 30)
    assert tables.job_updates(JOB) == [details]


def test_saving_an_update_again_resets_its_events() -> None:
    save = OtherOp(save_job_update=s.SaveJobUpdate(samples.update(KEY)))
    tables = applied(save, OtherOp(save_job_update_event=s.SaveJobUpdateEvent(JobUpdateEvent(), KEY)), save)
    assert tables.updates[KEY].update_events == ()


def test_removed_updates_are_gone_from_the_index() -> None:
    tables = applied(
        OtherOp(save_job_update=s.SaveJobUpdate(samples.update(KEY))),
        OtherOp(remove_job_update=s.RemoveJobUpdates(frozenset({KEY, JobUpdateKey(OTHER, "none")}))),
    )
    assert content(tables) == content(Tables())


@pytest.mark.parametrize(
    "op",
    [
        OtherOp(save_job_update_event=s.SaveJobUpdateEvent(JobUpdateEvent(), KEY)),
        OtherOp(save_job_instance_update_event=s.SaveJobInstanceUpdateEvent(JobInstanceUpdateEvent(), KEY)),
    ],
)
def test_an_event_of_an_unknown_update_is_an_error_and_changes_nothing(op: OtherOp) -> None:
    tables = Tables()
    with pytest.raises(LookupError, match="Update not found: "):
        tables.apply(op)
    assert content(tables) == content(Tables())


ALL = [
    task("a", ScheduleStatus.PENDING, instance=0),
    task("b", ScheduleStatus.RUNNING, "h1", instance=1),
    task("c", ScheduleStatus.FAILED, "h2", instance=0),
    task("d", ScheduleStatus.RUNNING, "h1", config=config(OTHER), instance=0),
    task("e", ScheduleStatus.PENDING, config=config(JobKey("www", "devel", "hello")), instance=2),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (TaskQuery(), "abcde"),
        (TaskQuery(role="www"), "abce"),
        (TaskQuery(role=" "), "abcde"),
        (TaskQuery(role=""), "abcde"),
        (TaskQuery(environment="prod"), "abc"),
        (TaskQuery(environment=""), ""),
        (TaskQuery(job_name="hello"), "abce"),
        (TaskQuery(job_name=""), ""),
        (TaskQuery(role="www", environment="prod", job_name="hello"), "abc"),
        (TaskQuery(role=" ", environment="prod"), "abc"),
        (TaskQuery(role="www", environment="prod", job_name="none"), ""),
        (TaskQuery(job_keys=frozenset({JOB, OTHER})), "abcd"),
        (TaskQuery(job_keys=frozenset({JOB}), role="ads"), ""),
        (TaskQuery(role="www", environment="prod", job_name="hello", job_keys=frozenset({OTHER})), ""),
        (TaskQuery(task_ids=frozenset({"a", "d", "none"})), "ad"),
        (TaskQuery(task_ids=frozenset({"a", "d"}), role="ads"), "d"),
        (TaskQuery(task_ids=frozenset({"a"}), job_keys=frozenset({JobKey("", "", "")})), ""),
        (TaskQuery(statuses=frozenset({ScheduleStatus.RUNNING})), "bd"),
        (TaskQuery(statuses=frozenset({ScheduleStatus.RUNNING, ScheduleStatus.FAILED}), role="www"), "bc"),
        (TaskQuery(slave_hosts=frozenset({"h1", "h3"})), "bd"),
        (TaskQuery(slave_hosts=frozenset({"h1", "h2"}), statuses=frozenset({ScheduleStatus.FAILED})), "c"),
        (TaskQuery(instance_ids=frozenset({0})), "acd"),
        (TaskQuery(instance_ids=frozenset({1, 2}), role="www"), "be"),
        (TaskQuery(offset=2, limit=1), "abcde"),
    ],
)
def test_queries_find_what_the_sheet_says(query: TaskQuery, found: str) -> None:
    tables = applied(save_tasks(*ALL))
    assert sorted(task.assigned_task.task_id for task in tables.tasks(query)) == list(found)


def test_job_keys_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^Invalid job key format: IJobKey\{role=w w, environment=prod, name=x\}$"):
        Tables().tasks(TaskQuery(job_keys=frozenset({JobKey("w w", "prod", "x")})))
    for role in ("w w", " ", ""):
        with pytest.raises(ValueError, match=r"^$"):
            Tables().tasks(TaskQuery(role=role, environment="prod", job_name="x"))


def test_the_index_of_a_query_is_counted() -> None:
    stats = Vars()
    tables = Tables(stats)
    tables.tasks(TaskQuery(task_ids=frozenset({"a"}), role="www"))
    tables.tasks(TaskQuery(job_keys=frozenset({JOB}), slave_hosts=frozenset({"h"})))
    tables.tasks(TaskQuery(slave_hosts=frozenset({"h"}), statuses=frozenset({ScheduleStatus.LOST})))
    tables.tasks(TaskQuery(statuses=frozenset({ScheduleStatus.LOST})))
    tables.tasks(TaskQuery(environment="prod"))
    assert stats.snapshot() == dict.fromkeys(
        [f"task_queries_{index}" for index in ("all", "by_host", "by_id", "by_job", "by_status")], 1
    )


def test_jobs_hosts_and_statuses_are_counted() -> None:
    tables = applied(save_tasks(*ALL))
    assert sorted(job.role for job in tables.job_keys()) == ["ads", "www", "www"]
    assert (tables.indexed_jobs, tables.indexed_hosts) == (3, 2)
    assert tables.count(ScheduleStatus.RUNNING) == 2
    assert tables.count(ScheduleStatus.LOST) == 0
    running = tables.job_tasks(JOB, frozenset({ScheduleStatus.RUNNING}))
    assert [task.assigned_task.task_id for task in running] == ["b"]
    assert len(tables.job_tasks(JOB)) == 3
    assert tables.job_tasks(JobKey("no", "such", "job")) == []


def apply_known(tables: Tables, op: Op, changes: Changes | None = None) -> None:
    with contextlib.suppress(LookupError, ValueError):  # of what is not there, or of what is
        tables.apply(op, changes)


@given(st.lists(samples.ops, max_size=12), st.lists(samples.ops, max_size=12))
def test_reverting_restores_exactly_what_was(before: list[Op], after: list[Op]) -> None:
    tables, untouched = Tables(), Tables()
    for op in before:
        apply_known(tables, op)
        apply_known(untouched, op)
    changes = Changes()
    for op in after:
        apply_known(tables, op, changes)
    tables.revert(changes)
    assert content(tables) == content(untouched)


@given(st.lists(samples.ops, max_size=20))
def test_indices_are_those_of_the_rows(ops: list[Op]) -> None:
    tables = Tables()
    for op in ops:
        apply_known(tables, op)
    assert content(tables) == content(rebuilt(tables))


def test_a_copy_does_not_change_with_the_tables() -> None:
    tables = applied(save_tasks(task("a")))
    copy = tables.copy()
    tables.apply(save_tasks(task("b")))
    assert copy[Table.TASKS] == {"a": task("a")}
