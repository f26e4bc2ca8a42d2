from __future__ import annotations

import pytest

from aurorad.api import storage as s
from aurorad.api.enums import ScheduleStatus
from aurorad.api.updates import JobUpdateEvent, JobUpdateKey
from aurorad.storage import entries
from aurorad.storage.entries import Entry, SnapshotBegin, SnapshotEnd, UnreadableLog
from aurorad.storage.operations import RemoveTasks, SaveTasks
from aurorad.storage.replay import ReplacedMeanwhile, Replay
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Changes, Row, Table, Tables
from aurorad.vars import Vars
from tests.storage.samples import JOB, task

BEGIN = SnapshotBegin(1)


def saved(*ids: str) -> Entry:
    return entries.transaction([SaveTasks(list(map(task, ids)))])


def removed(*ids: str) -> Entry:
    return entries.transaction([RemoveTasks(list(ids))])


def part(*ids: str) -> Entry:
    return entries.part(Table.TASKS, [Row(Table.TASKS, task_id, task(task_id)) for task_id in ids])


def replayed(tables: Tables | None, *some: Entry) -> Replay:
    replay = Replay(tables, Vars(), Shared())
    for position, entry in enumerate(some):
        for record in entries.records(entry, 1 << 20):
            replay.feed(position, record)
    return replay


def ids(replay: Replay) -> set[str] | None:
    return None if replay.tables is None else set(replay.tables.rows(Table.TASKS))


def test_transactions_are_applied_to_what_was_before_and_their_changes_told() -> None:
    replay = Replay(Tables(), Vars(), Shared())
    (record,) = entries.records(saved("a"), 1000)
    changes = Changes()
    replay.feed(0, record, changes)
    assert (changes.before, changes.after) == ([None], [task("a")])
    assert replay.transactions == 1


def test_snapshots_say_nothing_new_to_who_knows_the_state() -> None:
    replay = replayed(Tables(), saved("a"), BEGIN, part("z"), saved("b"), SnapshotEnd(1), removed("a"))
    assert ids(replay) == {"b"}
    assert replay.transactions == 2


def test_without_the_state_it_begins_with_the_first_whole_snapshot() -> None:
    entries_before = (removed("x"), part("lost"), SnapshotEnd(4))
    unfinished = (BEGIN, part("stale"), saved("u"))
    whole = (BEGIN, part("a", "b"), removed("a"), part("c"), saved("d"), SnapshotEnd(2))
    replay = replayed(None, *entries_before, *unfinished, *whole, removed("b"), saved("e"))
    assert ids(replay) == {"c", "d", "e"}


def test_without_any_whole_snapshot_the_state_stays_unknown() -> None:
    assert ids(replayed(None, saved("a"), BEGIN, part("b"), saved("c"))) is None


def test_a_snapshot_that_lacks_parts_is_refused() -> None:
    with pytest.raises(UnreadableLog, match="entry at position 2 cannot be applied: the snapshot has 1 parts of 2"):
        replayed(None, BEGIN, part("a"), SnapshotEnd(2))


def test_an_entry_that_does_not_fit_the_state_is_refused() -> None:
    op = s.Op(save_job_update_event=s.SaveJobUpdateEvent(JobUpdateEvent(), JobUpdateKey(JOB, "none")))
    with pytest.raises(UnreadableLog, match="entry at position 0 cannot be applied: Update not found: "):
        replayed(Tables(), entries.transaction([op]))
    row = entries.TaskRow(3, task("a", ScheduleStatus.LOST))
    with pytest.raises(UnreadableLog, match="entry at position 0 cannot be applied: "):
        replayed(Tables(), entries.Transaction((entries.LoggedOp(None, (row,)),)))


REPLACES, REPLACED = SnapshotBegin(1, replaces=True), SnapshotEnd(1, replaces=True)


def test_a_snapshot_that_replaces_is_the_state_and_what_was_done_meanwhile_is_void() -> None:
    some = (saved("a", "b"), REPLACES, saved("c"), part("b", "z"), removed("b"), REPLACED, saved("later"))
    for tables in (Tables(), None):
        assert ids(replayed(tables, *some)) == {"b", "z", "later"}


def test_without_its_end_it_means_nothing() -> None:
    unfinished = (saved("a"), REPLACES, saved("b"), part("z"), removed("a"))
    assert ids(replayed(Tables(), *unfinished)) == {"b"}
    assert ids(replayed(Tables(), *unfinished, BEGIN, part("x"), SnapshotEnd(1), saved("c"))) == {"b", "c"}
    assert ids(replayed(Tables(), *unfinished, REPLACES, part("y"), REPLACED)) == {"y"}


def test_what_was_replaced_is_told_row_by_row_and_the_tables_stay_the_same_object() -> None:
    tables, changes = Tables(), Changes()
    replay = Replay(tables, Vars(), Shared())
    begun = [saved("gone", "same"), entries.transaction([s.Op(save_framework_id=s.SaveFrameworkId("f"))])]
    for entry in [*begun, REPLACES, part("same", "new"), REPLACED]:
        (record,) = entries.records(entry, 1 << 20)
        replay.feed(0, record, changes if entry is REPLACED else None)
    assert replay.tables is tables
    rows: dict[Table, dict[object, object]] = {table: {} for table in Table}
    changes.note_in(rows)
    assert rows[Table.TASKS].keys() >= {"gone", "new"}
    assert (rows[Table.TASKS]["gone"], rows[Table.TASKS]["new"]) == (None, task("new"))
    assert rows[Table.METADATA] == {"framework_id": None}
    assert set(tables.rows(Table.TASKS)) == {"same", "new"}
    assert len(tables.job_tasks(JOB)) == 2


def test_whoever_has_not_read_its_beginning_must_read_on_from_before() -> None:
    with pytest.raises(ReplacedMeanwhile):
        replayed(Tables(), part("z"), saved("a"), REPLACED)
    assert ids(replayed(None, part("z"), REPLACED, BEGIN, part("a"), SnapshotEnd(1))) == {"a"}
