from __future__ import annotations

import contextlib
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api import storage as s
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import JobConfiguration, ResourceAggregate, ScheduledTask, TaskConfig, TaskEvent
from aurorad.api.updates import JobUpdateKey
from aurorad.storage import entries
from aurorad.storage.entries import FrameChunk, FrameHeader, Joiner, UnreadableLog
from aurorad.storage.operations import Op, RemoveTasks, SaveTasks, insertion
from aurorad.storage.shared import Shared, encode
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars
from tests.storage import samples
from tests.storage.samples import CONFIG, JOB, config, task

MAX = 1 << 20


def joined(*records: bytes, stats: Vars | None = None) -> list[entries.Entry]:
    joiner = Joiner(stats or Vars())
    return [entry for at, record in enumerate(records) if (entry := joiner.feed(at, record)) is not None]


def save_tasks(*tasks: ScheduledTask) -> SaveTasks:
    return SaveTasks(list(tasks))


@given(st.lists(samples.ops, max_size=6), st.integers(80, 400))
def test_operations_come_back_as_they_were_however_small_an_entry_may_be(ops: list[Op], max_bytes: int) -> None:
    records = entries.records(entries.transaction(ops), max_bytes)
    assert len(records) == 1 or max(map(len, records)) <= max_bytes
    (entry,) = joined(*records)
    assert isinstance(entry, entries.Transaction)
    assert list(entries.ops_of(entry, Shared())) == ops


@given(st.lists(samples.ops, max_size=20))
def test_all_rows_come_back_from_the_parts_of_a_snapshot(ops: list[Op]) -> None:
    tables, again = Tables(), Tables()
    for op in ops:
        with contextlib.suppress(LookupError, ValueError):
            tables.apply(op)
    for table, values in tables.copy().items():
        part = entries.part(table, [Row(table, key, value) for key, value in values.items()])
        (entry,) = joined(*entries.records(part, MAX))
        assert isinstance(entry, entries.SnapshotPart)
        again.load(entries.rows_of(entry, Shared()))
    assert again.copy() == tables.copy()


def test_a_configuration_is_written_once_however_many_tasks_have_it() -> None:
    large = config(data="x" * 1000)
    ops = [
        save_tasks(*(task(f"t{number}", config=large) for number in range(100))),
        save_tasks(task("u", config=large)),
    ]
    (record,) = entries.records(entries.transaction(ops), MAX)
    assert record.count(b"x" * 1000) == 1


def test_equal_configurations_are_one_object_once_read() -> None:
    ops: list[Op] = [
        save_tasks(task("a"), task("b")),
        s.Op(save_cron_job=s.SaveCronJob(JobConfiguration(JOB, task_config=CONFIG))),
        s.Op(save_job_update=s.SaveJobUpdate(samples.update(JobUpdateKey(JOB, "u")))),
    ]
    configs, found = Shared(), []
    for _ in range(2):
        (entry,) = joined(*entries.records(entries.transaction(ops), MAX))
        assert isinstance(entry, entries.Transaction)
        saved, cron, update = entries.ops_of(entry, configs)
        assert isinstance(saved, SaveTasks)
        assert isinstance(cron, s.Op)
        assert cron.save_cron_job is not None
        assert isinstance(update, s.Op)
        assert update.save_job_update is not None
        found += [some.assigned_task.task for some in saved.tasks]
        found.append(cron.save_cron_job.job_config.task_config)
        instructions = update.save_job_update.job_update.instructions
        assert instructions.desired_state is not None
        found += [instructions.desired_state.task, *(some.task for some in instructions.initial_state)]
    assert found == [CONFIG] * 10
    assert len({id(config) for config in found}) == 1


def test_a_frame_that_another_entry_interrupts_is_skipped_and_counted() -> None:
    large = entries.records(entries.transaction([save_tasks(task("a" * 900))]), 300)
    (small,) = entries.records(entries.SnapshotEnd(3), 300)
    stats = Vars()
    assert joined(*large[:-1], small, *large, stats=stats)[0] == entries.SnapshotEnd(3)
    assert stats.get("scheduler_log_bad_frames_read") == 1
    assert len(joined(*large[:2], *large)) == 1
    assert joined(*large[:-1]) == []


def test_chunks_without_a_header_are_skipped() -> None:
    large = entries.records(entries.transaction([save_tasks(task("a" * 900))]), 300)
    assert len(joined(*large[1:], *large)) == 1


def test_a_frame_with_a_wrong_checksum_is_refused() -> None:
    chunk = FrameChunk(b"abc")
    with pytest.raises(UnreadableLog, match="ends at position 1 fails its checksum"):
        joined(encode(FrameHeader(1, b"?")), encode(chunk))


@pytest.mark.parametrize("record", [b"", b"\xff", encode(["unknown"]), encode(["end", "three"])])
def test_what_is_no_entry_is_refused(record: bytes) -> None:
    with pytest.raises(UnreadableLog, match="The log entry at position 0 cannot be read: "):
        joined(record)


def test_what_a_later_version_added_is_passed_over_and_what_it_lacks_is_the_default() -> None:
    assert joined(encode(["end", 3, False, "added later"])) == [entries.SnapshotEnd(3)]
    assert joined(encode(["transaction", []])) == [entries.Transaction(())]
    assert encode(entries.Transaction(())) == msgspec.msgpack.encode(["transaction", [], [], [], []])


def test_entries_of_older_versions_are_read() -> None:
    """They hold tasks as maps by field names, beside the numbers of their configurations."""
    known = task("a", ScheduleStatus.RUNNING, "h1")
    slim = msgspec.structs.replace(known, assigned_task=msgspec.structs.replace(known.assigned_task, task=TaskConfig()))
    remove = s.Op(remove_tasks=s.RemoveTasks(frozenset({"b", "c"})))
    transaction = encode(["transaction", [[None, [[0, slim]]], [remove, []]], [CONFIG]])
    (entry,) = joined(transaction)
    assert isinstance(entry, entries.Transaction)
    assert list(entries.ops_of(entry, Shared())) == [SaveTasks([known]), RemoveTasks(["b", "c"])]
    (part,) = joined(encode(["part", [[0, slim]], [CONFIG], [], [["www", ResourceAggregate()]]]))
    assert isinstance(part, entries.SnapshotPart)
    assert list(entries.rows_of(part, Shared())) == [
        Row(Table.TASKS, "a", known),
        Row(Table.QUOTAS, "www", ResourceAggregate()),
    ]


def test_what_many_tasks_share_is_one_object_once_read() -> None:
    tables, again, shared = Tables(), Tables(), Shared()
    tables.apply(insertion(CONFIG, range(5), UUID(int=1), TaskEvent(1, ScheduleStatus.PENDING, None, "me")))
    some = list(tables.rows(Table.TASKS).values())
    for few in (some[:2], some[2:]):
        (part,) = joined(*entries.records(entries.tasks_part(few), MAX))
        assert isinstance(part, entries.SnapshotPart)
        again.load(entries.rows_of(part, shared))
    assert again.copy() == tables.copy()
    found = again.rows(Table.TASKS).values()
    assert len({id(task.task_events[0]) for task in found}) == 1
    assert len({id(task.assigned_task.task) for task in found}) == 1


def test_the_entry_of_an_insertion_is_small_however_many_tasks_it_makes() -> None:
    event = TaskEvent(1, ScheduleStatus.PENDING, None, "me")
    few, many = (insertion(CONFIG, range(count), UUID(int=1), event) for count in (1, 50_000))
    sizes = [len(entries.records(entries.transaction([op]), MAX)[0]) for op in (few, many)]
    assert sizes[1] < sizes[0] + 10
