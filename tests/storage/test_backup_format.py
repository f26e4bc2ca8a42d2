from __future__ import annotations

import contextlib
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api import binary
from aurorad.api import storage as s
from aurorad.api.enums import JobUpdateStatus
from aurorad.api.tasks import HostAttributes, JobKey, ScheduledTask, TaskConfig
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobInstanceUpdateEvent,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateState,
    JobUpdateStrategy,
)
from aurorad.rules.tiers import BUILT_IN
from aurorad.storage import backup_format
from aurorad.storage.backup_format import UnreadableBackup
from aurorad.storage.operations import Op
from aurorad.storage.tables import Table, Tables
from tests.storage import samples
from tests.storage.samples import CONFIG, JOB, task

replace = msgspec.structs.replace


def encoded(tables: Tables) -> bytes:
    with tables.frozen() as (tasks, rows):
        return b"".join(backup_format.encoded(7, len(tables.rows(Table.TASKS)), tasks.jobs(), rows))


def decoded(data: bytes) -> Tables:
    """The same, whether or not what was read is recalled."""
    tables, again = Tables(), Tables()
    again.load(backup_format.decoded(recalling(data), BUILT_IN))
    tables.load(backup_format.decoded(data, BUILT_IN))
    assert again.copy() == tables.copy()
    return tables


def recalling(data: bytes) -> binary.Recalling:
    memory = binary.Recalling(len(data))
    memory[:] = data
    return memory


def of(**fields: Any) -> bytes:
    return binary.encode(s.Snapshot(**fields))


def in_tier(config: TaskConfig) -> TaskConfig:
    return replace(config, tier="preferred", production=True)


@given(st.lists(samples.ops, max_size=30))
def test_whatever_was_written_is_read_again(ops: list[Op]) -> None:
    tables = Tables()
    for op in ops:
        try:
            tables.apply(op)
        except (LookupError, ValueError):
            continue
    once = decoded(encoded(tables))
    assert decoded(encoded(once)).copy() == once.copy()
    for table in Table:
        assert once.rows(table).keys() == tables.rows(table).keys()
    for table in (Table.QUOTAS, Table.HOSTS, Table.MAINTENANCE, Table.METADATA):
        assert dict(once.rows(table)) == dict(tables.rows(table))


def test_it_is_one_struct_of_the_originals() -> None:
    tables = Tables()
    some = [task(f"t{number}", config=in_tier(CONFIG)) for number in range(120)]
    tables.load(backup_format.decoded(of(tasks=frozenset(some)), BUILT_IN))
    snapshot = binary.decode(s.Snapshot, encoded(tables))
    assert (snapshot.timestamp, snapshot.tasks) == (7, frozenset(some))


def test_equal_configurations_are_one_object() -> None:
    tables = decoded(of(tasks=frozenset({task("a"), task("b")})))
    assert len({id(found.assigned_task.task) for found in tables.job_tasks(JOB)}) == 1


def test_a_host_without_an_agent_is_left_out() -> None:
    hosts = frozenset({HostAttributes("h1", slave_id="agent"), HostAttributes("h2")})
    assert set(decoded(of(host_attributes=hosts)).hosts) == {"h1"}


@pytest.mark.parametrize(
    ("tier", "production", "expected"),
    [
        ("preferred", False, ("preferred", True)),
        ("preemptible", True, ("preemptible", False)),
        ("of another cluster", True, ("of another cluster", True)),
        (None, True, ("preferred", True)),
        (None, False, ("preemptible", False)),
    ],
)
def test_tier_and_production_agree(tier: str | None, production: bool, expected: tuple[str, bool]) -> None:
    config = replace(CONFIG, tier=tier, production=production)
    (found,) = decoded(of(tasks=frozenset({task("a", config=config)}))).job_tasks(JOB)
    assert (found.assigned_task.task.tier, found.assigned_task.task.production) == expected


def test_an_updates_strategy_is_filled_in_and_its_state_follows_its_events() -> None:
    key = JobUpdateKey(JOB, "u")
    update = samples.update(key)
    settings = JobUpdateSettings(update_group_size=3, wait_for_batch_completion=True)
    update = replace(update, instructions=replace(update.instructions, settings=settings))
    events = (JobUpdateEvent(JobUpdateStatus.ABORTED, 9), JobUpdateEvent(JobUpdateStatus.ROLLING_FORWARD, 5))
    details = JobUpdateDetails(update, events, (JobInstanceUpdateEvent(0, 7),))
    found = decoded(of(job_update_details=frozenset({s.StoredJobUpdateDetails(details)}))).updates[key]
    strategy = JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(3))
    assert found.update.instructions.settings.update_strategy == strategy
    assert found.update.summary.state == JobUpdateState(JobUpdateStatus.ABORTED, 5, 9)


def test_what_nobody_knows_is_passed_over() -> None:
    class LaterSnapshot(s.Snapshot, frozen=True, cache_hash=True):
        later: Annotated[frozenset[ScheduledTask], s.Id(99)] = frozenset()

    assert set(
        decoded(binary.encode(LaterSnapshot(tasks=frozenset({task("a")}), later=frozenset({task("b")})))).rows(
            Table.TASKS
        )
    ) == {"a"}


def test_bytes_that_end_early_or_are_none_are_refused() -> None:
    whole = of(tasks=frozenset({task("a")}), timestamp=1)
    for size in range(1, len(whole)):
        for data in (whole[:size], recalling(whole[:size])):
            with pytest.raises(UnreadableBackup):
                list(backup_format.decoded(data, BUILT_IN))
    with pytest.raises(UnreadableBackup):
        decoded(b"rubbish, and more of it")


def test_a_task_without_resources_is_older_than_what_can_be_read() -> None:
    bare = TaskConfig(job=JobKey("www", "prod", "old"))
    with pytest.raises(UnreadableBackup, match="a task of www/prod/old asks for no resources"):
        decoded(of(tasks=frozenset({task("a", config=bare)})))
    with pytest.raises(UnreadableBackup, match="a task has no id"):
        decoded(of(tasks=frozenset({task("")})))


SOME = of(
    tasks=frozenset({task("a"), task("b", host="h1")}),
    host_attributes=frozenset({HostAttributes("h1", slave_id="agent")}),
    job_update_details=frozenset(
        {s.StoredJobUpdateDetails(JobUpdateDetails(samples.update(JobUpdateKey(JOB, "u")), (JobUpdateEvent(),)))}
    ),
)


@given(st.lists(st.tuples(st.integers(0, len(SOME) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_are_refused_or_read_as_something_else(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(SOME)
    for position, byte in changes:
        damaged[position] = byte
    with contextlib.suppress(UnreadableBackup):
        Tables().load(backup_format.decoded(recalling(bytes(damaged)), BUILT_IN))
