"""What a machine has, as an agent offers it, and arithmetic on such amounts (scheduling sheet, section 2)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import psutil
from frozendict import frozendict

from aurorad.api.ranges import spans
from aurorad.engine.base import Resource

PORTS = (31000, 32000)  # Mesos' default range, both ends included
# Mesos' own defaults: what an agent leaves to the system, or half of it where there is less than twice as much.
SYSTEM_MEM_MB = 1024
SYSTEM_DISK_MB = 5120
_DIGITS = 6  # sums of decimal fractions must compare equal
_TCP_LISTEN = "0A"


class Amounts(msgspec.Struct, frozen=True):
    """Scalars by name (``cpus``, ``mem`` and ``disk`` in MB), never 0, and single ports."""

    scalars: frozendict[str, float] = frozendict()
    ports: frozenset[int] = frozenset()

    def plus(self, other: Amounts) -> Amounts:
        names = self.scalars.keys() | other.scalars.keys()
        return amounts({n: self.scalars.get(n, 0) + other.scalars.get(n, 0) for n in names}, self.ports | other.ports)

    def minus(self, other: Amounts) -> Amounts:
        """What is left; a scalar that does not suffice is left out."""
        left = {name: value - other.scalars.get(name, 0) for name, value in self.scalars.items()}
        return amounts(left, self.ports - other.ports)

    def missing_for(self, wanted: Amounts) -> list[str]:
        """The names of what is too little for `wanted`."""
        short = {name for name, value in wanted.scalars.items() if value > self.scalars.get(name, 0) + 10**-_DIGITS}
        return sorted(short | ({"ports"} if wanted.ports - self.ports else set()))


def amounts(scalars: Mapping[str, float], ports: Iterable[int] = ()) -> Amounts:
    rounded = {name: round(value, _DIGITS) for name, value in sorted(scalars.items())}
    return Amounts(frozendict({name: value for name, value in rounded.items() if value > 0}), frozenset(ports))


def from_resources(resources: Iterable[Resource]) -> Amounts:
    scalars: dict[str, float] = {}
    ports: set[int] = set()
    for resource in resources:
        if resource.scalar is not None:
            scalars[resource.name] = scalars.get(resource.name, 0) + resource.scalar
        for first, last in resource.ranges:
            ports.update(range(first, last + 1))
    return amounts(scalars, ports)


def to_resources(have: Amounts) -> tuple[Resource, ...]:
    scalars = tuple(Resource(name, scalar=value) for name, value in have.scalars.items())
    return (*scalars, Resource("ports", ranges=tuple(spans(have.ports)))) if have.ports else scalars


def measure(work_dir: Path, executor_cpus: float, executor_mem_mb: float) -> Amounts:
    """What this machine offers: its own, less what is left to the system, plus room for executors.

    The room is one executor's share (`executor_cpus`, `executor_mem_mb`) per CPU. Without it no task could have all of
    a small machine, for the executor's share is taken from the same offer; and the true cost of an executor that only
    waits is far below its share.
    """
    cpus = len(os.sched_getaffinity(0))
    mem_mb = psutil.virtual_memory().total / (1 << 20)
    disk_mb = shutil.disk_usage(work_dir).total / (1 << 20)
    scalars = {
        "cpus": cpus * (1 + executor_cpus),
        "mem": int(max(mem_mb - SYSTEM_MEM_MB, mem_mb / 2) + cpus * executor_mem_mb),
        "disk": int(max(disk_mb - SYSTEM_DISK_MB, disk_mb / 2)),
    }
    return amounts(scalars, range(PORTS[0], PORTS[1] + 1))


def ports_in_use(proc: Path = Path("/proc/net")) -> frozenset[int]:
    """Ports that somebody listens on (TCP) or has bound (UDP) on this machine. Reads files: call it in a thread."""
    found: set[int] = set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = proc / name
        if table.exists():  # a kernel without IPv6 has no tcp6
            found.update(_bound(table.read_text(), listening_only=name.startswith("tcp")))
    return frozenset(found)


def _bound(table: str, *, listening_only: bool) -> Iterable[int]:
    for line in table.splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if not listening_only or state == _TCP_LISTEN:
            yield int(local.rpartition(":")[2], 16)
