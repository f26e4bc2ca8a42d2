"""Real Mesos clusters that tests may break."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, cluster
from tests.e2e.conftest import folder as folder
from tests.mesos.notes import Notes
from tests.mesos.rig import Rig
from tests.mesos.workers import MesosWorkers, mesos_workers

QUICK = (
    "-thermos_executor_cpu=0.01",
    "-reconciliation_initial_delay=1secs",
    "-reconciliation_schedule_spread=1secs",
    "-initial_flapping_task_delay=1ms",
    "-max_flapping_task_delay=1ms",
)


class Site:
    """A scheduler, `it`, over masters and agents that may be broken, `rig`, and what tasks note."""

    def __init__(self, it: Cluster, workers: MesosWorkers, notes: Notes) -> None:
        self.it = it
        self.workers = workers
        self.notes = notes

    @property
    def rig(self) -> Rig:
        return self.workers.rig

    def variable(self, name: str) -> float:
        """One of the scheduler's statistics."""
        return float(json.loads(self.it.get("/vars.json"))[name])


NewSite = Callable[..., AbstractContextManager[Site]]


@pytest.fixture
def new_site(folder: Path) -> NewSite:
    """Called with the scheduler's flags, and `rig`, options of ``mesos-rig start`` besides."""

    @contextmanager
    def site(*flags: str, rig: tuple[str, ...] = ()) -> Iterator[Site]:
        with (
            mesos_workers(*rig, observed=False) as workers,
            cluster(folder, *QUICK, *flags, workers=workers) as it,
        ):
            yield Site(it, workers, Notes(folder))

    return site


@pytest.fixture
def site(new_site: NewSite) -> Iterator[Site]:
    """One master, two agents, one scheduler."""
    with new_site() as started:
        yield started
