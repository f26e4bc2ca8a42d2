from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from aurorad.storage.operations import Op
from aurorad.storage.tables import Changes, Table, Tables
from tests.storage import samples
from tests.storage.samples import task


def apply(tables: Tables, op: Op, changes: Changes | None = None) -> None:
    with contextlib.suppress(LookupError, ValueError):  # of what is not there, or of what is
        tables.apply(op, changes)


@given(
    st.lists(samples.ops, max_size=12),
    st.lists(st.tuples(st.lists(samples.ops, max_size=4), st.booleans()), min_size=1, max_size=12),
)
def test_whatever_is_done_meanwhile_tasks_are_read_as_they_were(
    before: list[Op], meanwhile: list[tuple[list[Op], bool]]
) -> None:
    tables = Tables()
    for op in before:
        apply(tables, op)
    expected = tables.copy()
    with tables.frozen() as (frozen, rows):
        read, jobs = [], frozen.jobs()
        for ops, is_undone in [*meanwhile, *[([], False)] * 8]:
            changes = Changes()
            for op in ops:
                apply(tables, op, changes)
            if is_undone:
                tables.revert(changes)
            read += next(jobs, [])
    assert {task.assigned_task.task_id: task for task in read} == expected.pop(Table.TASKS)
    assert len(read) == len({task.assigned_task.task_id for task in read})
    assert rows == expected


def test_nothing_is_kept_once_reading_is_over() -> None:
    tables = Tables()
    with tables.frozen():
        pass
    assert vars(tables)["_frozen"] == []
    tables.put_task(task("a"), Changes())
