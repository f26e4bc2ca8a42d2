"""Holding a task to the memory and disk that it reserved (executor sheet, section 11; service-features, section 6).

Looks are far apart when nothing can have happened, and close when something may: an idle task costs next to nothing,
and one that fills its disk within seconds is stopped within seconds.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import trio

from aurorad.pace import Pace
from executor import usage
from executor.task import Resources

EXECUTOR_RAM = 128 << 20  # reserved beside the task's own memory; on Mesos it is as much as a task may use beyond it
MEMORY_INTERVALS_S = (1.0, 3.0)  # between looks: at a task that does something, and at one that does not
DISK_INTERVALS_S = (10.0, 60.0)  # between looks, if nothing happens: in a small sandbox, and in the largest
_SHARE_IDLE, _SHARE_PROMPT = 1 / 500, 1 / 20  # of one core, for looks
_QUIET_BYTES, _QUIET_AFTER_S = 1 << 20, 10.0  # a task whose memory changes by less for so long is doing nothing
_STRETCH = 1.25

Members = Callable[[], Iterable[int]]


class Limits(NamedTuple):
    """In bytes; 0 means no limit. `spare_ram` may be used beyond `ram`."""

    ram: int
    disk: int
    spare_ram: int = EXECUTOR_RAM

    @classmethod
    def of(cls, resources: Resources | None, spare_ram: int = EXECUTOR_RAM) -> Limits:
        return cls(resources.ram, resources.disk, spare_ram) if resources is not None else cls(0, 0)

    def stretched(self) -> Limits:
        """For a task that was told to end for taking too much: where patience with it ends too."""
        return self._replace(disk=math.ceil(self.disk * _STRETCH))


class Excess(NamedTuple):
    """A limit that was passed."""

    resource: Literal["memory", "disk"]
    reserved: int
    used: int

    def __str__(self) -> str:
        return (
            f"{self.resource.capitalize()} limit exceeded.  Reserved {self.reserved} bytes vs used {self.used} bytes."
        )


def memory_excess(limits: Limits, used: int) -> Excess | None:
    over = limits.ram and used > limits.ram + limits.spare_ram
    return Excess("memory", limits.ram, used) if over else None


def disk_excess(limits: Limits, used: int) -> Excess | None:
    return Excess("disk", limits.disk, used) if limits.disk and used > limits.disk else None


def memory_pause_s(took_s: float, quiet_s: float) -> float:
    """How long until the next look at the memory, which has not changed for `quiet_s`."""
    busy_pause_s, quiet_pause_s = MEMORY_INTERVALS_S
    return max(busy_pause_s if quiet_s < _QUIET_AFTER_S else quiet_pause_s, took_s / _SHARE_PROMPT)


class DiskLook(NamedTuple):
    """What the last look at a sandbox found: how long it took, and how many bytes more the task may use."""

    took_s: float
    room: int


def look_again(look: DiskLook, since_s: float, lost: int) -> bool:
    """Whether to measure the disk again; `lost` is what its file system has less of free space since.

    It must have lost at least our room before we can be over the limit: half of that is a reason to look at once.
    Others may have made room meanwhile, so we also look when nothing seems to have happened.
    """
    shortest_s, longest_s = DISK_INTERVALS_S
    if since_s >= min(longest_s, max(shortest_s, look.took_s / _SHARE_IDLE)):
        return True
    return lost > look.room / 2 and since_s >= look.took_s / _SHARE_PROMPT


async def watch_resources(limits: Limits, sandbox: Path, members: Members, writers: Members = tuple) -> Excess:
    """Until the task uses more than a limit allows.

    `members` gives the pids of its processes now, `writers` those of others that write into its sandbox for it.
    """
    if not (limits.ram or limits.disk):
        await trio.sleep_forever()
    disk = _DiskWatch(limits, sandbox, lambda: itertools.chain(members(), writers()))
    before, changed_s = 0, trio.current_time()
    async with trio.open_nursery() as nursery:
        while True:
            started_s = trio.current_time()
            used = await memory_used(members(), limits.ram + limits.spare_ram) if limits.ram else 0
            excess = memory_excess(limits, used) or disk.excess
            if excess is not None:
                nursery.cancel_scope.cancel()
                return excess
            if disk.is_due():
                nursery.start_soon(disk.measure)
            if abs(used - before) > _QUIET_BYTES:
                before, changed_s = used, started_s
            now_s = trio.current_time()
            with trio.move_on_after(memory_pause_s(now_s - started_s, now_s - changed_s)):
                await disk.exceeded.wait()


class _DiskWatch:
    """Measures the sandbox beside those who look at the memory, which cannot wait for a million files."""

    def __init__(self, limits: Limits, sandbox: Path, writers: Members) -> None:
        self._limits, self._sandbox, self._writers = limits, sandbox, writers
        self._look = DiskLook(0, 0)
        self._since_s, self._free = -math.inf, 0
        self._measuring = False
        self.excess: Excess | None = None
        self.exceeded = trio.Event()

    def is_due(self) -> bool:
        if self._measuring or not self._limits.disk:
            return False
        return look_again(self._look, trio.current_time() - self._since_s, self._free - _free(self._sandbox))

    async def measure(self) -> None:
        self._measuring = True
        self._since_s, self._free = trio.current_time(), _free(self._sandbox)
        used, took_s = await _measured(usage.sandbox_sizes(self._sandbox, self._writers()))
        self._look = DiskLook(took_s, self._limits.disk - used)
        self._measuring = False
        self.excess = disk_excess(self._limits, used)
        if self.excess is not None:
            self.exceeded.set()


async def memory_used(members: Iterable[int], limit: int) -> int:
    """Bytes in memory, together: the sum of what is resident (RSS), unless that sum is over the limit.

    Then what they share matters, which the sum counts for each of them. If no single process is over the limit by
    what is its own alone, shared pages are split among who shares them (PSS).
    """
    pace = Pace()
    found: list[int] = []
    resident = most = 0
    for pid in members:
        one = usage.memory(pid)
        found.append(pid)
        resident, most = resident + one.resident, max(most, one.anonymous)
        await pace.breathe()
    if resident <= limit or most > limit:
        return resident
    proportional = 0
    for pid in found:
        proportional += usage.proportional_memory(pid)
        await pace.breathe()
    return proportional


async def _measured(parts: Iterator[int]) -> tuple[int, float]:
    """Their sum, and the seconds it took; others run in between."""
    pace, total, since_s = Pace(), 0, trio.current_time()
    for part in parts:
        total += part
        await pace.breathe()
    return total, trio.current_time() - since_s


def _free(sandbox: Path) -> int:
    """Bytes free on its file system; 0 if it is gone."""
    try:
        status = os.statvfs(sandbox)
    except OSError:
        return 0
    return status.f_bfree * status.f_frsize
