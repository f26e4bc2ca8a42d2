"""The hosts that have ever offered something (http-endpoints sheet, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from aurorad.api import keys
from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import HostAttributes, ScheduledTask
from aurorad.storage.tables import Tables
from aurorad.web.pages import urls

MOST_LEFT = 20
"""Tasks shown of a host being drained."""


class LeftRow(msgspec.Struct, frozen=True):
    """A task that is left on a host being drained, and why it is still there."""

    name: str
    url: str
    why: str


class AgentRow(msgspec.Struct, frozen=True):
    host: str
    url: str | None
    """Of its observer."""
    agent_id: str
    mode: str
    attributes: str
    left: tuple[LeftRow, ...] = ()
    left_out: int = 0
    forced_ms: int | None = None
    """When whatever is left will be taken down."""


def agent_row(host: HostAttributes, observer_url: Callable[[str], str | None]) -> AgentRow:
    attributes = sorted(host.attributes, key=lambda attribute: attribute.name)
    return AgentRow(
        host.host,
        observer_url(host.host),
        host.slave_id or "",
        (host.mode or MaintenanceMode.NONE).name,
        ", ".join(f"{attribute.name}=[{','.join(sorted(attribute.values))}]" for attribute in attributes),
    )


def draining_row(row: AgentRow, waits: Mapping[str, str], tables: Tables) -> AgentRow:
    """The row of a host being drained; `waits` says of each task left, by its id, why it is still there."""
    tasks = [(task, why) for task_id, why in waits.items() if (task := tables.task(task_id)) is not None]
    left = sorted((_left_row(task, why) for task, why in tasks), key=lambda row: row.name)
    request = tables.maintenance.get(row.host)
    return msgspec.structs.replace(
        row,
        left=tuple(left[:MOST_LEFT]),
        left_out=max(0, len(left) - MOST_LEFT),
        forced_ms=request.created_timestamp_ms + request.timeout_secs * 1000 if request is not None else None,
    )


def _left_row(task: ScheduledTask, why: str) -> LeftRow:
    job, instance_id = task.assigned_task.task.job, task.assigned_task.instance_id
    return LeftRow(f"{keys.canonical(job)}/{instance_id}", urls.instance(job, instance_id), why)


def by_name(hosts: Mapping[str, HostAttributes]) -> list[HostAttributes]:
    return sorted(hosts.values(), key=lambda host: host.host)
