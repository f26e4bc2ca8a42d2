"""Who is advertised: members of a ServerSet, of which there is the leader alone (storage sheet, B1)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from aurorad.leader.face import Leader
from aurorad.leader.zookeeper import ZooKeeper

_log = logging.getLogger(__name__)

PREFIX = "member_"


class _Endpoint(msgspec.Struct, frozen=True):
    host: str
    port: int = 0


class _Member(msgspec.Struct, frozen=True, rename="camel"):
    service_endpoint: _Endpoint
    additional_endpoints: Mapping[str, _Endpoint] = {}
    status: str = "ALIVE"


def encode(member: Leader) -> bytes:
    endpoints = {name: _Endpoint(host, port) for name, (host, port) in member.endpoints.items()}
    return msgspec.json.encode(_Member(_Endpoint(member.host, member.port), endpoints))


def decode(data: bytes) -> Leader | None:
    """What a node holds; None if that is no member. What we do not know of it does not matter."""
    try:
        member = msgspec.json.decode(data, type=_Member, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    endpoints = {name: (endpoint.host, endpoint.port) for name, endpoint in member.additional_endpoints.items()}
    return Leader(member.service_endpoint.host, member.service_endpoint.port, endpoints)


async def members(zookeeper: ZooKeeper, path: str, names: list[str]) -> tuple[Leader, ...]:
    """Those among the nodes of `path` with these names."""
    found = []
    for name in sorted(names):
        if not name.startswith(PREFIX):
            continue
        data = await zookeeper.get(f"{path}/{name}")
        member = decode(data) if data is not None else None
        if member is not None:
            found.append(member)
        elif data is not None:
            _log.warning("%s/%s in ZooKeeper is not readable as a member: %.200r", path, name, data)
    return tuple(found)
