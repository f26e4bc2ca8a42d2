"""What pretended agents are like: made by the number, or read from a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aurorad.api.tasks import Attribute
from aurorad.engine.base import Resource


class Agent(msgspec.Struct, frozen=True):
    """An agent, and all it has to offer."""

    id: str
    hostname: str
    resources: tuple[Resource, ...]
    attributes: frozenset[Attribute]


class BadAgents(ValueError):
    """A file of agents that cannot be used; the text names file, line and what was expected."""


def agent(
    id: str,  # as everywhere in this engine
    hostname: str,
    *,
    cpus: float = 16,
    mem_mb: float = 65536,
    disk_mb: float = 500000,
    ports: tuple[int, int] = (31000, 32000),
    attributes: tuple[tuple[str, str], ...] = (),
) -> Agent:
    """An agent with the usual resources; the attribute ``host`` comes by itself."""
    values: dict[str, set[str]] = {"host": {hostname}}
    for name, value in attributes:
        values.setdefault(name, set()).add(value)
    return Agent(
        id,
        hostname,
        (
            Resource("cpus", float(cpus)),
            Resource("mem", float(mem_mb)),
            Resource("disk", float(disk_mb)),
            Resource("ports", ranges=(ports,)),
        ),
        frozenset(Attribute(name, frozenset(members)) for name, members in values.items()),
    )


def make_agents(
    count: int, *, cpus: float, mem_mb: float, disk_mb: float, ports: tuple[int, int], racks: int
) -> Iterator[Agent]:
    """``agent-1`` on ``host-1`` in ``rack-1`` and so on, one after the other into `racks` racks."""
    for number in range(1, count + 1):
        rack = (("rack", f"rack-{(number - 1) % racks + 1}"),)
        yield agent(
            f"agent-{number}",
            f"host-{number}",
            cpus=cpus,
            mem_mb=mem_mb,
            disk_mb=disk_mb,
            ports=ports,
            attributes=rack,
        )


def read_agents(path: Path) -> tuple[Agent, ...]:
    """One agent a line: id, host name, cpus, RAM MB, disk MB, port range, ``attribute=value,...``. Raises `BadAgents`.

    Empty lines and those that begin with ``#`` are skipped; the attributes may be left out.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadAgents(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    agents: dict[str, Agent] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        one = _parse(line)
        if one is None:
            raise BadAgents(f"{path}, line {number}: {_EXPECTED} was expected, not {line.strip()!r}")
        if one.id in agents:
            raise BadAgents(f"{path}, line {number}: agent {one.id} is there already")
        agents[one.id] = one
    if not agents:
        raise BadAgents(f"{path}: no agents: {_EXPECTED} was expected on each line")
    return tuple(agents.values())


_EXPECTED = (
    "'id host cpus ram disk ports attribute=value,...' such as 'agent-1 host-1 16 65536 500000 31000-32000 rack=r1'"
)
_NUMBER = r"(\d{1,12}(?:\.\d{1,3})?)"
_LINE = re.compile(
    rf"(\S+)\s+(\S+)\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+(\d{{1,5}})-(\d{{1,5}})(?:\s+(\S+))?\s*", re.ASCII
)


def _parse(line: str) -> Agent | None:
    match = _LINE.fullmatch(line.lstrip())
    if match is None:
        return None
    id_, hostname, cpus, mem, disk, first, last, text = match.groups()
    if not int(first) <= int(last) <= 65535:
        return None
    attributes: list[tuple[str, str]] = []
    for part in (text or "").split(","):
        name, _, value = part.partition("=")
        if part and not (name and value):
            return None
        if part:
            attributes.append((name, value))
    return agent(
        id_,
        hostname,
        cpus=float(cpus),
        mem_mb=float(mem),
        disk_mb=float(disk),
        ports=(int(first), int(last)),
        attributes=tuple(attributes),
    )
