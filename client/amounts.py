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


def describe(resources: Iterable[Resource]) -> list[str]:
    """``CPU: 2 core(s)`` and so on."""
    there = list(resources)
    lines = []
    for field, label, unit in KINDS:
        for amount in sorted(getattr(r, field) for r in there if getattr(r, field) is not None):
            shown = f"{amount:g}" if isinstance(amount, float) else str(amount)
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
