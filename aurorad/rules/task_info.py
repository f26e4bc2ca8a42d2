"""What the engine is told of a task to launch (scheduling sheet, 10; executor sheet, 1)."""

from __future__ import annotations

from frozendict import frozendict

from aurorad.api import binary, keys
from aurorad.api.enums import AURORA_EXECUTOR_NAME
from aurorad.api.tasks import AssignedTask
from aurorad.engine.base import Resource, TaskInfo

_LABEL = "org.apache.aurora."
_TASK_PREFIXES = frozendict({AURORA_EXECUTOR_NAME: "thermos-"})


def task_info(
    assigned: AssignedTask, agent_id: str, task_resources: tuple[Resource, ...], overhead: tuple[Resource, ...]
) -> TaskInfo:
    """A task without an executor has an empty executor id, no overhead and no data."""
    config, job = assigned.task, assigned.task.job
    executor = config.executor_config
    tier = [(f"{_LABEL}tier", config.tier)] if config.tier is not None else []
    metadata = sorted((f"{_LABEL}metadata.{entry.key}", entry.value) for entry in config.metadata)
    return TaskInfo(
        task_id=assigned.task_id,
        name=keys.canonical(job),
        agent_id=agent_id,
        resources=task_resources,
        executor_id=f"{_TASK_PREFIXES.get(executor.name, '')}{assigned.task_id}" if executor is not None else "",
        executor_resources=overhead,
        source=f"{job.role}.{job.environment}.{job.name}.{assigned.instance_id}",
        labels=(*tier, *metadata),
        data=binary.encode(assigned) if executor is not None else b"",
    )
