"""The tasks that a call's query means (thrift-api sheet, "TaskQuery semantics"), found in small bites."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aurorad.api.enums import ResponseCode
from aurorad.api.tasks import ScheduledTask, TaskQuery
from aurorad.pace import Pace
from aurorad.scheduler.rpc.answers import Refused, given
from aurorad.storage.queries import matches
from aurorad.storage.tables import Tables

T = TypeVar("T")

_LOOKED_AT_ONCE = 100  # to look whether others shall run takes as long as to look at a task


def given_query(query: TaskQuery | None) -> TaskQuery:
    """The query of a call. Raises `Refused` if it is unset."""
    return given(query, "A task query")


async def find(tables: Tables, query: TaskQuery, answer: Callable[[ScheduledTask], T]) -> list[T]:
    """`answer` of each match from the query's offset on, at most its limit; each as it was at one moment.

    Raises `Refused` for a job key that is none.
    """
    try:
        candidates, rest = tables.candidates(query)
    except ValueError as error:
        raise Refused(str(error), ResponseCode.ERROR) from None
    pace = Pace()
    found: list[T] = []
    skip = max(query.offset, 0)
    for start in range(0, len(candidates), _LOOKED_AT_ONCE):
        await pace.breathe()
        those = candidates[start : start + _LOOKED_AT_ONCE]
        if rest is not None:
            those = [task for task in those if matches(task, rest)]
        end = skip + query.limit - len(found) if query.limit > 0 else None
        found.extend(map(answer, those[skip:end]))
        if end is not None and len(those) >= end:
            break
        skip = max(skip - len(those), 0)
    return found
