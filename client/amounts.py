"""Resources as people read them (client-commands sheet, sections 5.10 and 9.1)."""

from __future__ import annotations

from collections.abc import Iterable

from aurorad.api.tasks import Resource

# Field, label, unit; in the order in which they are shown. A port has a name instead of an amount.
KINDS = (
    ("num_cpus", "CPU", " core(s)"),
    ("ram_mb", "RAM", " MB"),
    ("disk_mb", "Disk", " MB"),
    ("named_port", "Port", ""),
    ("num_gpus", "GPU", " GPU(s)"),
)


def describe(resources: Iterable[Resource], *, whole: bool = True) -> list[str]:
    """``CPU: 2 core(s)`` and so on; with `whole` off as ``CPU: 2.0 core(s)``, which is how quotas are told."""
    there = list(resources)
    lines = []
    for field, label, unit in KINDS:
        for amount in sorted(getattr(r, field) for r in there if getattr(r, field) is not None):
            shown = int(amount) if whole and isinstance(amount, float) and amount.is_integer() else amount
            lines.append(f"{label}: {shown}{unit}")
    return lines


def cpus_ram_disk(resources: Iterable[Resource]) -> tuple[float, int, int]:
    """CPUs, MB of memory and of disk; 0 for what is not there."""
    there = list(resources)
    return (
        sum(one.num_cpus or 0.0 for one in there),
        sum(one.ram_mb or 0 for one in there),
        sum(one.disk_mb or 0 for one in there),
    )
