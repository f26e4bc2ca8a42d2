"""Configurations that are let in, for tests to change one thing of."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from aurorad.api.tasks import (
    Constraint,
    ExecutorConfig,
    Identity,
    JobConfiguration,
    JobKey,
    Resource,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)

S = TypeVar("S", bound=msgspec.Struct)

KEY = JobKey("web", "prod", "site")
RESOURCES = frozenset({Resource(num_cpus=0.5), Resource(ram_mb=64), Resource(disk_mb=64)})
TASK = TaskConfig(
    job=KEY,
    owner=Identity("alice"),
    is_service=True,
    max_task_failures=1,
    tier="preemptible",
    resources=RESOURCES,
    executor_config=ExecutorConfig("AuroraExecutor", "{}"),
)
JOB = JobConfiguration(key=KEY, owner=Identity("alice"), task_config=TASK, instance_count=1)
DEDICATED = Constraint("dedicated", TaskConstraint(value=ValueConstraint(values=frozenset({"web/x"}))))


def but(value: S, **changes: object) -> S:
    """`value` with some fields changed."""
    return msgspec.structs.replace(value, **changes)


def task(**changes: object) -> TaskConfig:
    return but(TASK, **changes)


def job(instances: int = 1, **task_changes: object) -> JobConfiguration:
    return but(JOB, instance_count=instances, task_config=task(**task_changes))
