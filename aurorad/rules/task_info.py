"""What the engine is told of a task to launch (scheduling sheet, 10; executor sheet, 1)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from aurorad.api import binary, keys
from aurorad.api.tasks import AssignedTask, Container, MesosFetcherURI, TaskConfig
from aurorad.api.wire import Tag
from aurorad.engine.base import Resource, TaskInfo
from aurorad.rules.executors import ExecutorSettings

_LABEL = "org.apache.aurora."


class Template(NamedTuple):
    """What is the same for all tasks of one configuration."""

    name: str
    source: str
    labels: tuple[tuple[str, str], ...]
    executor_name: str | None
    executor_prefix: str | None
    """None for a task without an executor."""
    container: Container
    uris: tuple[MesosFetcherURI, ...]
    config: bytes
    """The configuration in TBinary, by far the largest part of what executors are told."""


def template_of(config: TaskConfig, executors: ExecutorSettings) -> Template:
    job, executor = config.job, config.executor_config
    tier = [(f"{_LABEL}tier", config.tier)] if config.tier is not None else []
    metadata = sorted((f"{_LABEL}metadata.{entry.key}", entry.value or "") for entry in config.metadata)
    return Template(
        name=keys.canonical(job),
        source=f"{job.role}.{job.environment}.{job.name}.",
        labels=(*tier, *metadata),
        executor_name=executor.name if executor is not None else None,
        executor_prefix=executors.prefix(config),
        container=config.container,
        uris=tuple(sorted(config.mesos_fetcher_uris, key=_place)),
        config=binary.encode(config) if executor is not None else b"",
    )


def _place(uri: MesosFetcherURI) -> tuple[str, str]:
    return uri.value or "", uri.output_file or ""


def task_info(
    template: Template,
    assigned: AssignedTask,
    agent_id: str,
    task_resources: tuple[Resource, ...],
    overhead: tuple[Resource, ...],
) -> TaskInfo:
    """A task without an executor has an empty executor id, no overhead and no data."""
    prefix = template.executor_prefix
    return TaskInfo(
        task_id=assigned.task_id,
        name=template.name,
        agent_id=agent_id,
        resources=task_resources,
        executor_id=f"{prefix}{assigned.task_id}" if prefix is not None else "",
        executor_resources=overhead,
        source=f"{template.source}{assigned.instance_id}",
        labels=template.labels,
        data=_encoded(assigned, template.config) if prefix is not None else b"",
        executor_name=template.executor_name,
        container=template.container,
        uris=template.uris,
        ports=assigned.assigned_ports,
    )


_FIELD = struct.Struct(">bh")
_INT = struct.Struct(">i")
_TASK_ID, _AGENT_ID, _HOST = (_FIELD.pack(Tag.STRING, number) for number in (1, 2, 3))
_CONFIG = _FIELD.pack(Tag.STRUCT, 4)
_PORTS = _FIELD.pack(Tag.MAP, 5) + bytes([Tag.STRING, Tag.I32])
_INSTANCE = _FIELD.pack(Tag.I32, 6)
_STOP = bytes([Tag.STOP])


def _encoded(assigned: AssignedTask, config: bytes) -> bytes:
    """`binary.encode` of a task that has a place, written out: every launch needs it, and it is five times as quick."""
    task_id = assigned.task_id.encode()
    agent_id = (assigned.slave_id or "").encode()
    host = (assigned.slave_host or "").encode()
    number = _INT.pack
    parts = [_TASK_ID, number(len(task_id)), task_id, _AGENT_ID, number(len(agent_id)), agent_id]
    parts += _HOST, number(len(host)), host, _CONFIG, config, _PORTS, number(len(assigned.assigned_ports))
    for name, port in assigned.assigned_ports.items():
        encoded = name.encode()
        parts += number(len(encoded)), encoded, number(port)
    parts += _INSTANCE, number(assigned.instance_id), _STOP
    return b"".join(parts)
