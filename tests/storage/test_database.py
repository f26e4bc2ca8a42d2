from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurorad.api.enums import JobUpdateStatus, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import HostAttributes, JobConfiguration
from aurorad.api.updates import JobUpdateDetails, JobUpdateEvent, JobUpdateKey
from aurorad.storage.database import Database, DatabaseUnusable, discard
from aurorad.storage.operations import Op
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Changes, Table, Tables
from aurorad.storage.update_rows import with_derived_state
from tests.storage import samples
from tests.storage.samples import CONFIG, JOB, config, task


def loaded(path: Path) -> tuple[Tables, int | None]:
    database = Database(path)
    tables = Tables()
    for some in database.load(Shared()):
        tables.load(some)
    position = database.position()
    database.close()
    return tables, position


def test_a_new_database_stands_for_no_position(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    assert database.position() is None
    assert list(database.load(Shared())) == []
    database.close()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(samples.ops, max_size=8), max_size=4))
def test_what_was_applied_is_loaded(tmp_path: Path, batches: list[list[Op]]) -> None:
    path = tmp_path / "state.db"
    discard(path)
    database, tables = Database(path), Tables()
    for position, ops in enumerate(batches):
        changes = Changes()
        dirty: dict[Table, dict[Any, Any]] = {table: {} for table in Table}
        for op in ops:
            with contextlib.suppress(LookupError, ValueError):
                tables.apply(op, changes)
        changes.note_in(dirty)
        database.apply([dirty], position)
    database.close()
    again, last = loaded(path)
    assert again.copy() == tables.copy()
    assert last == (len(batches) - 1 if batches else None)


def test_operators_can_query_it(tmp_path: Path) -> None:
    key = JobUpdateKey(JOB, "u1")
    event = JobUpdateEvent(JobUpdateStatus.ROLLING_FORWARD, 5)
    database = Database(tmp_path / "state.db")
    database.apply(
        [
            {
                Table.TASKS: {"a": task("a", ScheduleStatus.RUNNING, "h1", instance=3)},
                Table.HOSTS: {"h1": HostAttributes("h1", mode=MaintenanceMode.DRAINING, slave_id="agent-1")},
                Table.CRON_JOBS: {JOB: JobConfiguration(JOB, cron_schedule="0 4 * * *")},
                Table.UPDATES: {key: with_derived_state(JobUpdateDetails(samples.update(key), (event,)))},
                Table.METADATA: {"framework_id": "f-1"},
            }
        ],
        9,
    )
    with sqlite3.connect(f"file:{tmp_path}/state.db?mode=ro", uri=True) as reader:
        tasks = reader.execute("SELECT id, role, environment, job, instance, status, host, changed_ms FROM tasks")
        assert tasks.fetchall() == [("a", "www", "prod", "hello", 3, "RUNNING", "h1", 1)]
        assert reader.execute("SELECT host, mode, agent_id FROM hosts").fetchall() == [("h1", "DRAINING", "agent-1")]
        assert reader.execute("SELECT job, schedule FROM cron_jobs").fetchall() == [("www/prod/hello", "0 4 * * *")]
        updates = reader.execute("SELECT job, id, status, user, modified_ms FROM updates")
        assert updates.fetchall() == [("www/prod/hello", "u1", "ROLLING_FORWARD", "bob", 5)]
        assert reader.execute("SELECT * FROM metadata").fetchall() == [("framework_id", "f-1")]
        assert reader.execute("SELECT * FROM applied").fetchall() == [(9,)]
    reader.close()
    database.close()


def test_configurations_lie_there_once_and_are_swept_when_unused(tmp_path: Path) -> None:
    def count() -> int:
        with sqlite3.connect(tmp_path / "state.db") as reader:
            (number,) = reader.execute("SELECT count(*) FROM configs").fetchone()
        reader.close()
        return int(number)

    other = config(data="other")
    database = Database(tmp_path / "state.db")
    database.apply([{Table.TASKS: {f"t{number}": task(f"t{number}") for number in range(10)}}], 1)
    assert count() == 1
    database.apply([{Table.TASKS: {"u": task("u", config=other)}}], 2)
    database.apply([{Table.TASKS: {"u": None}}], 3)
    assert count() == 2
    database.sweep()
    assert count() == 1
    database.apply([{Table.TASKS: {"u": task("u", config=other)}}], 4)
    assert count() == 2
    database.close()
    tables, _ = loaded(tmp_path / "state.db")
    assert tables.task("u") == task("u", config=other)


def test_loaded_tasks_share_their_configuration(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    database.apply([{Table.TASKS: {f"t{number}": task(f"t{number}") for number in range(3)}}], 1)
    database.close()
    tables, _ = loaded(tmp_path / "state.db")
    assert len({id(found.assigned_task.task) for found in tables.job_tasks(JOB)}) == 1


def test_a_batch_applies_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    database.apply([{Table.TASKS: {"a": task("a")}}], 1)
    broken = task("c").__class__()  # the table of tasks takes it, that of updates does not
    with pytest.raises(AttributeError):
        database.apply([{Table.TASKS: {"b": task("b", config=config(data="n"))}, Table.UPDATES: {"no key": broken}}], 2)
    database.apply([{Table.TASKS: {"d": task("d", config=config(data="n"))}}], 3)
    database.close()
    tables, position = loaded(tmp_path / "state.db")
    assert set(tables.rows(Table.TASKS)) == {"a", "d"}
    assert position == 3


def test_files_that_are_none_of_ours_are_told(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database at all, but long enough to be one, if only it were" * 40)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        Database(path)
    discard(path)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 7")
    other.close()
    with pytest.raises(DatabaseUnusable, match="has layout 7, 2 was expected"):
        Database(path)


def test_rows_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    database.apply([{Table.TASKS: {"a": task("a")}}], 1)
    database.close()
    for damage in ("UPDATE tasks SET data = x'c1'", "DELETE FROM configs"):
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute(damage)
        other.close()
        with pytest.raises(DatabaseUnusable, match="a row cannot be read"):
            loaded(tmp_path / "state.db")


def test_discarding_removes_everything(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    database.apply([{Table.TASKS: {"a": task("a", config=CONFIG)}}], 1)
    discard(tmp_path / "state.db")
    assert list(tmp_path.iterdir()) == []
    discard(tmp_path / "state.db")
    database.close()
