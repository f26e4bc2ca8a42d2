from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api import storage as s
from aurorad.api.tasks import JobConfiguration
from aurorad.api.updates import JobUpdateKey
from aurorad.storage import entries
from aurorad.storage.entries import FrameChunk, FrameHeader, Joiner, UnreadableLog
from aurorad.storage.operations import Op, SaveTasks
from aurorad.storage.shared import Shared, encode
from aurorad.storage.tables import Row, Tables
from aurorad.vars import Vars
from tests.storage import samples
from tests.storage.samples import CONFIG, JOB, config, task

MAX = 1 << 20


def joined(*records: bytes, stats: Vars | None = None) -> list[entries.Entry]:
    joiner = Joiner(stats or Vars())
    return [entry for at, record in enumerate(records) if (entry := joiner.feed(at, record)) is not None]


def save_tasks(*tasks: s.ScheduledTask) -> SaveTasks:
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
    assert joined(encode(["end", 3, "added later"])) == [entries.SnapshotEnd(3)]
    assert joined(encode(["transaction", []])) == [entries.Transaction(())]
    assert encode(entries.Transaction(())) == msgspec.msgpack.encode(["transaction", [], [], [], []])
