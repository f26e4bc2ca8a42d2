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
    for index, task in enumerate(candidates):
        if index % _LOOKED_AT_ONCE == 0:
            await pace.breathe()
        if rest is not None and not matches(task, rest):
            continue
        if skip:
            skip -= 1
            continue
        found.append(answer(task))
        if len(found) == query.limit:
            break
    return found
