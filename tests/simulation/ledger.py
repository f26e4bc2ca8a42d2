"""What the log holds, row by row, as the scheduler has told of it: the judge's own copy of the truth.

It is compared with the tables whenever nothing is on its way to the log, and with what a start finds on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aurorad.api.tasks import JobKey, ScheduledTask
from aurorad.api.updates import JobUpdateDetails
from aurorad.storage.replay import Replay
from aurorad.storage.rows import Configs
from aurorad.storage.tables import Change, Row, Table, Tables
from aurorad.vars import Vars
from tests.simulation.trace import Trace

Rows = dict[Table, dict[Any, Any]]


class Ledger:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.rows: Rows = {table: {} for table in Table}
        self.versions: dict[str, list[ScheduledTask]] = {}
        """All that each task ever was."""
        self._of_job: dict[JobKey, dict[str, None]] = {}

    @property
    def tasks(self) -> Mapping[str, ScheduledTask]:
        return self.rows[Table.TASKS]

    @property
    def updates(self) -> Mapping[Any, JobUpdateDetails]:
        return self.rows[Table.UPDATES]

    def job(self, job: JobKey) -> list[ScheduledTask]:
        return [self.tasks[task_id] for task_id in self._of_job.get(job, ())]

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            rows = self.rows[change.table]
            if rows.get(change.key) != change.before:
                self._trace.violated("one truth", f"{change.table} {change.key} was not what its change says")
            if change.after is None:
                rows.pop(change.key, None)
            else:
                rows[change.key] = change.after
            if change.table is Table.TASKS:
                self._task_changed(change)

    def _task_changed(self, change: Change) -> None:
        if change.after is not None:
            self.versions.setdefault(change.key, []).append(change.after)
            self._of_job.setdefault(change.after.assigned_task.task.job, {})[change.key] = None
        elif change.before is not None:
            self._of_job[change.before.assigned_task.task.job].pop(change.key, None)

    def compare(self, tables: Tables, when: str) -> None:
        """The tables must be what the log holds."""
        for table, rows in self.rows.items():
            found = tables.rows(table)
            if found != rows:
                self._trace.violated("one truth", f"{when}: {_difference(table, rows, found)}")

    def recovered(self, tables: Tables, in_flight: Sequence[bytes]) -> list[Change]:
        """What a start may find beyond what was told: all that was on its way to the disk, or nothing of it."""
        if all(tables.rows(table) == rows for table, rows in self.rows.items()):
            return []
        expected = Tables(Vars())
        expected.load(Row(table, key, row) for table, rows in self.rows.items() for key, row in rows.items())
        replay = Replay(expected, Vars(), Configs())
        changes = [change for number, record in enumerate(in_flight) for change in replay.feed(number, record)]
        for table, rows in self.rows.items():
            if tables.rows(table) != expected.rows(table):
                what = _difference(table, expected.rows(table) if in_flight else rows, tables.rows(table))
                self._trace.violated("what was told survives a crash", what)
                return []
        return changes


def _difference(table: Table, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> str:
    missing = [str(key) for key in expected if key not in found]
    strange = [str(key) for key in found if key not in expected]
    other = [str(key) for key, row in expected.items() if key in found and found[key] != row]
    return f"{table}: missing {missing}, unexpected {strange}, different {other}"
