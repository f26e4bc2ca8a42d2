"""Sums of resources, independent of the product's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aurorad.api.tasks import Resource as Requested
from aurorad.engine.base import Resource, TaskInfo

SLACK = 1e-6


class Amounts(NamedTuple):
    cpus: float = 0.0
    mem: float = 0.0
    disk: float = 0.0
    ports: frozenset[int] = frozenset()

    @staticmethod
    def of(info: TaskInfo) -> Amounts:
        """All that a task takes of its host, its executor included."""
        return Amounts.of_resources((*info.resources, *info.executor_resources))

    @staticmethod
    def of_resources(resources: Iterable[Resource]) -> Amounts:
        scalars = {"cpus": 0.0, "mem": 0.0, "disk": 0.0}
        ports: set[int] = set()
        for resource in resources:
            if resource.name in scalars:
                scalars[resource.name] += resource.scalar or 0.0
            for first, last in resource.ranges:
                ports.update(range(first, last + 1))
        return Amounts(**scalars, ports=frozenset(ports))

    def minus(self, others: Iterable[Amounts]) -> Amounts:
        cpus, mem, disk, ports = self
        for other in others:
            cpus, mem, disk, ports = cpus - other.cpus, mem - other.mem, disk - other.disk, ports - other.ports
        return Amounts(cpus, mem, disk, ports)

    def overdrawn(self) -> bool:
        return min(self.cpus, self.mem, self.disk) < -SLACK


def ports_as_ranges(free: Amounts) -> tuple[Resource, ...]:
    ranges: list[tuple[int, int]] = []
    for port in sorted(free.ports):
        if ranges and ranges[-1][1] == port - 1:
            ranges[-1] = (ranges[-1][0], port)
        else:
            ranges.append((port, port))
    scalars = [("cpus", free.cpus), ("mem", free.mem), ("disk", free.disk)]
    named = [Resource(name, scalar=round(amount, 6)) for name, amount in scalars]
    return (*named, Resource("ports", ranges=tuple(ranges)))


def requested(resources: Iterable[Requested]) -> tuple[float, int, int, int]:
    """CPUs, MB of memory, MB of disk and a count of ports that a configuration asks for."""
    cpus, mem, disk, ports = 0.0, 0, 0, 0
    for resource in resources:
        cpus += resource.num_cpus or 0.0
        mem += resource.ram_mb or 0
        disk += resource.disk_mb or 0
        ports += resource.named_port is not None
    return cpus, mem, disk, ports
