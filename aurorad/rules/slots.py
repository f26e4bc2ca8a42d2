"""How many tasks of common sizes would fit into what is offered (vars sheet, section 9)."""

from __future__ import annotations

from collections.abc import Mapping

from frozendict import frozendict

from aurorad.rules import resources
from aurorad.rules.resources import Bag, ResourceType

SIZES: Mapping[str, Bag] = frozendict(
    {
        "small": {ResourceType.CPUS: 1, ResourceType.RAM_MB: 1024, ResourceType.DISK_MB: 4096},
        "medium": {ResourceType.CPUS: 4, ResourceType.RAM_MB: 8192, ResourceType.DISK_MB: 16384},
        "large": {ResourceType.CPUS: 8, ResourceType.RAM_MB: 16384, ResourceType.DISK_MB: 32768},
        "xlarge": {ResourceType.CPUS: 16, ResourceType.RAM_MB: 32768, ResourceType.DISK_MB: 65536},
    }
)


def empty_slots(available: Bag) -> dict[str, int]:
    """By size: how many of that size, if there were no others."""
    return {name: min(_times(available.get(type_, 0), size[type_]) for type_ in size) for name, size in SIZES.items()}


def _times(available: float, amount: float) -> int:
    return int((available + resources.NEGLIGIBLE) // amount)
