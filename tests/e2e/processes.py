"""The processes of a cluster, as /proc shows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def executors(work_dir: Path) -> list[int]:
    """The living executors of a cluster."""
    found = []
    for run in sorted(work_dir.glob("agent/meta/*")):
        with suppress(OSError):
            pid = int(os.readlink(run / "executor").split()[0])
            cwd = Path(f"/proc/{pid}/cwd").readlink()
            if cwd.is_relative_to(work_dir) and state_of(pid) not in ("Z", None):
                found.append(pid)
    return found


def named(name: str, work_dir: Path) -> list[int]:
    """Processes of this name that work under `work_dir`."""
    found = []
    for pid in pids():
        with suppress(OSError):
            within = Path(f"/proc/{pid}/cwd").readlink().is_relative_to(work_dir)
            if within and Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.append(pid)
    return found


def children_named(parent: int, part: str) -> list[int]:
    """Children of a process whose command line has `part` in it."""
    found = []
    for pid in pids():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and part in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


def state_of(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
