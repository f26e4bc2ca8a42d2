"""What a task uses now: the memory of its processes, and its disk (executor sheet, section 11).

The executor has no threads and no children for this. All comes in small parts, between which its loop may do other
things; a process that ends meanwhile counts nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from aurorad import folders, procfs

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SECTOR_BYTES = 512
_DELETED = " (deleted)"


class Memory(NamedTuple):
    """Of one process, in bytes: all its pages that are in memory, and those of them that no file stands behind."""

    resident: int
    anonymous: int


def memory(pid: int) -> Memory:
    try:
        resident, shared = (int(pages) * _PAGE_BYTES for pages in procfs.read(pid, "statm").split()[1:3])
    except OSError:
        return Memory(0, 0)
    return Memory(resident, resident - shared)


def proportional_memory(pid: int) -> int:
    """As `Memory.resident`, but of a page that n processes share an nth. Takes the kernel 5 ms for a GB.

    Of a process that we may not look into, all its resident memory.
    """
    with contextlib.suppress(OSError):
        for line in procfs.read(pid, "smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return memory(pid).resident


def sandbox_sizes(sandbox: Path, pids: Iterable[int]) -> Iterator[int]:
    """Bytes in parts: the files in the sandbox, and those that were there and that a process still has open.

    A file that was removed takes its place until it is closed: a log that was rotated away from under its writer.
    """
    yield from folders.sizes(sandbox)
    inside = f"{os.path.realpath(sandbox)}/"
    seen: set[tuple[int, int]] = set()
    for pid in pids:
        yield 0
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    yield _removed_size(descriptor.path, inside, seen)


def _removed_size(descriptor: str, inside: str, seen: set[tuple[int, int]]) -> int:
    where = os.readlink(descriptor)
    if not (where.startswith(inside) and where.endswith(_DELETED)):
        return 0
    status = os.stat(descriptor)
    identity = (status.st_dev, status.st_ino)
    if status.st_nlink > 0 or identity in seen or not stat.S_ISREG(status.st_mode):
        return 0
    seen.add(identity)
    return status.st_blocks * _SECTOR_BYTES
