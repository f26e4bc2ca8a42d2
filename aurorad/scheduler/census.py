"""Where the tasks of a job are, kept up to date change by change: what limit constraints go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aurorad.api.enums import SLAVE_ASSIGNED_STATES
from aurorad.api.tasks import JobKey
from aurorad.rules import matching
from aurorad.rules.matching import Values
from aurorad.storage.tables import Tables

Place = tuple[str, str]
"""An attribute and one of its values."""


class LiveCensus:
    """Tasks of one job by the values that the attributes `names` have on their hosts.

    Tasks are counted as soon as they are placed. One that ends is counted until the log has its end; so there may be
    room that is not seen for a moment, but never room that is not there.
    """

    def __init__(self, tables: Tables, job: JobKey, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._counts: dict[Place, int] = {}
        self._places: dict[str, tuple[Place, ...]] = {}
        for task in tables.job_tasks(job, SLAVE_ASSIGNED_STATES):
            host = tables.hosts.get(task.assigned_task.slave_host or "")
            if host is not None:
                self.came(task.assigned_task.task_id, matching.values_of(host.attributes))

    @property
    def counts(self) -> Mapping[Place, int]:
        return self._counts

    def came(self, task_id: str, values: Values) -> None:
        """A task was placed on a host with these attributes."""
        if task_id not in self._places:
            places = tuple((name, value) for name in self._names for value in values.get(name, ()))
            self._places[task_id] = places
            for place in places:
                self._counts[place] = self._counts.get(place, 0) + 1

    def left(self, task_id: str) -> tuple[Place, ...]:
        """A task ended; where there are fewer now."""
        places = self._places.pop(task_id, ())
        for place in places:
            self._counts[place] -= 1
            if not self._counts[place]:
                del self._counts[place]
        return places
