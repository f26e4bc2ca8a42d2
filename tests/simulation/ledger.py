"""What the log holds, row by row, as the scheduler has told of it: the judge's own copy of the truth.

It is compared with the tables whenever nothing is on its way to the log, and with what a start finds on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import JobKey, ResourceAggregate, ScheduledTask
from aurorad.api.updates import JobUpdateDetails
from aurorad.storage.replay import Replay
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Change, Changes, Row, Table, Tables
from aurorad.vars import Vars
from tests.simulation.history import History
from tests.simulation.trace import Trace

Rows = dict[Table, dict[Any, Any]]


def changes_of(changes: Changes) -> list[Change]:
    """All that a transaction changed, tasks first."""
    tasks = [
        Change(Table.TASKS, _id_of(before, after), before, after)
        for before, after in zip(changes.before, changes.after, strict=True)
    ]
    return tasks + changes.rows


def _id_of(before: ScheduledTask | None, after: ScheduledTask | None) -> str:
    task = after or before
    assert task is not None, "a task changed from nothing to nothing"
    return task.assigned_task.task_id


class Ledger:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.rows: Rows = {table: {} for table in Table}
        self.versions: dict[str, list[ScheduledTask]] = {}
        """All that each task ever was."""
        self.modes: dict[str, list[MaintenanceMode | None]] = {}
        """All modes that each host ever had, one after the other."""
        self.runs_to_come: dict[JobKey, None] = {}
        """Cron jobs whose tasks were killed for a run that has not begun."""
        self.born: dict[JobKey, int] = {}
        """How many tasks each job ever had."""
        self.quotas: dict[str, list[ResourceAggregate]] = {}
        """All quotas that each role ever had."""
        self.cron_changes = 0
        self.history: History[dict[str, ScheduledTask]] = History({})
        """The tasks of each job, by transactions."""
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
        self.history.now += 1
        jobs: dict[JobKey, None] = {}
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
                jobs[(change.after or change.before).assigned_task.task.job] = None
            elif change.table is Table.HOSTS:
                self.modes.setdefault(change.key, []).append(change.after.mode)
            elif change.table is Table.QUOTAS:
                self.quotas.setdefault(change.key, []).append(change.after)
            elif change.table is Table.CRON_JOBS:
                self.cron_changes += 1
                if change.after is None:
                    self.runs_to_come.pop(change.key, None)
        for job in jobs:
            self.history.tell(job, {task.assigned_task.task_id: task for task in self.job(job)})

    def _task_changed(self, change: Change) -> None:
        if change.after is not None:
            self.versions.setdefault(change.key, []).append(change.after)
            job = change.after.assigned_task.task.job
            self._of_job.setdefault(job, {})[change.key] = None
            if change.before is None:
                self.runs_to_come.pop(job, None)
            elif change.after.task_events[-1].message == "Killed by cronScheduler":
                self.runs_to_come[job] = None
            self.born[job] = self.born.get(job, 0) + (change.before is None)
        elif change.before is not None:
            self._of_job[change.before.assigned_task.task.job].pop(change.key, None)

    def compare(self, tables: Tables, when: str) -> None:
        """The tables must be what the log holds."""
        for table, rows in self.rows.items():
            found = tables.rows(table)
            if found != rows:
                self._trace.violated("one truth", f"{when}: {_difference(table, rows, found)}")

    def recovered(self, tables: Tables, in_flight: Sequence[Sequence[bytes]]) -> list[Change]:
        """What a start may find beyond what was told: of each append all or nothing, and none without those before."""
        expected = Tables(Vars())
        expected.load(Row(table, key, row) for table, rows in self.rows.items() for key, row in rows.items())
        replay, changes = Replay(expected, Vars(), Shared()), Changes()
        differences = [_first_difference(expected, tables)]
        for entries in in_flight:
            if differences[-1] is None:
                break
            for number, record in enumerate(entries):
                replay.feed(number, record, changes)
            differences.append(_first_difference(expected, tables))
        if differences[-1] is not None:
            self._trace.violated("what was told survives a crash", differences[-1])
            return []
        return changes_of(changes)


def _first_difference(expected: Tables, found: Tables) -> str | None:
    for table in Table:
        if found.rows(table) != expected.rows(table):
            return _difference(table, expected.rows(table), found.rows(table))
    return None


def _difference(table: Table, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> str:
    missing = [str(key) for key in expected if key not in found]
    strange = [str(key) for key in found if key not in expected]
    other = [str(key) for key, row in expected.items() if key in found and found[key] != row]
    return f"{table}: missing {missing}, unexpected {strange}, different {other}"
