"""The jobs that clients ask for, and what their tasks do on a host."""

from __future__ import annotations

import math
import random

from aurorad.api.enums import AURORA_EXECUTOR_NAME
from aurorad.api.tasks import (
    Constraint,
    CountSlaPolicy,
    ExecutorConfig,
    Identity,
    JobKey,
    LimitConstraint,
    Metadata,
    PartitionPolicy,
    Resource,
    SlaPolicy,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from aurorad.engine.base import TaskInfo, TaskState
from tests.simulation.hosts import Fate

DOOMED = Metadata("behaviour", "doomed")
"""Tasks with it fail after a moment, whatever is done."""
_DOOMED_LABEL = ("org.apache.aurora.metadata.behaviour", "doomed")
ENVIRONMENT = "prod"


def is_doomed(config: TaskConfig) -> bool:
    return DOOMED in config.metadata


def draw_config(rng: random.Random, job: JobKey, *, service: bool, count: int, doomed: bool = False) -> TaskConfig:
    """A configuration of a job of `count` instances; another draw of the same job is, most likely, another one."""
    resources = {
        Resource(num_cpus=rng.choice((0.25, 0.5, 1.0))),
        Resource(ram_mb=rng.choice((64, 128, 256))),
        Resource(disk_mb=rng.randrange(1, 100)),
    }
    if rng.random() < 0.3:
        resources.add(Resource(named_port="http"))
    constraints: set[Constraint] = set()
    kind = rng.random()
    if kind < 0.25:
        constraints.add(Constraint("rack", TaskConstraint(limit=LimitConstraint(rng.choice((1, 2))))))
    elif kind < 0.4:
        constraints.add(Constraint("host", TaskConstraint(limit=LimitConstraint(1))))
    elif kind < 0.5:
        wanted = ValueConstraint(rng.random() < 0.5, frozenset({"rack-0"}))
        constraints.add(Constraint("rack", TaskConstraint(value=wanted)))
    policy = PartitionPolicy(True, rng.choice((0, 5, 30))) if rng.random() < 0.3 else None
    sla = (
        SlaPolicy(count_sla_policy=CountSlaPolicy(1, rng.choice((0, 3)))) if rng.random() < 0.3 and count > 1 else None
    )
    return TaskConfig(
        job=job,
        owner=Identity("somebody"),
        is_service=service,
        priority=rng.randrange(3),
        max_task_failures=1 if service else rng.choice((1, 2, -1)),
        tier=rng.choice(("preferred", "preemptible", "preemptible")),
        resources=frozenset(resources),
        constraints=frozenset(constraints),
        executor_config=ExecutorConfig(AURORA_EXECUTOR_NAME, "{}"),
        metadata=frozenset({DOOMED}) if doomed else frozenset(),
        partition_policy=policy,
        sla_policy=sla,
    )


class Fates:
    """What becomes of tasks. Without storm, those that are not doomed go on for ever, or until they have finished."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.is_storm = True

    def draw(self, info: TaskInfo) -> Fate:
        rng = self._rng
        starts_s, runs_s = rng.random() * 0.5, rng.random() * 2
        dies_s = rng.choice((0.1, 1.0, 3.0, 20.0)) * rng.random()
        if self.is_storm and rng.random() < 0.03:
            dies_s = 60.0
        if _DOOMED_LABEL in info.labels:
            return Fate(starts_s, runs_s, rng.random() * 3, TaskState.TASK_FAILED, dies_s)
        if ".batch" in info.source:
            end = TaskState.TASK_FAILED if self.is_storm and rng.random() < 0.2 else TaskState.TASK_FINISHED
            return Fate(starts_s, runs_s, rng.random() * 15, end, dies_s)
        if self.is_storm and rng.random() < 0.15:
            end = rng.choice((TaskState.TASK_FAILED, TaskState.TASK_FINISHED, TaskState.TASK_KILLED))
            return Fate(starts_s, runs_s, rng.random() * 30, end, dies_s)
        return Fate(starts_s, runs_s, math.inf, TaskState.TASK_FINISHED, dies_s)
