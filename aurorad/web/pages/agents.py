"""The hosts that have ever offered something (http-endpoints sheet, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import HostAttributes


class AgentRow(msgspec.Struct, frozen=True):
    host: str
    url: str
    agent_id: str
    mode: str
    attributes: str


def agent_row(host: HostAttributes, observer_url: Callable[[str], str]) -> AgentRow:
    attributes = sorted(host.attributes, key=lambda attribute: attribute.name)
    return AgentRow(
        host.host,
        observer_url(host.host),
        host.slave_id or "",
        (host.mode or MaintenanceMode.NONE).name,
        ", ".join(f"{attribute.name}=[{','.join(sorted(attribute.values))}]" for attribute in attributes),
    )


def by_name(hosts: Mapping[str, HostAttributes]) -> list[HostAttributes]:
    return sorted(hosts.values(), key=lambda host: host.host)
