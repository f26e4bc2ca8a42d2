"""Holding a task to the memory and disk that it reserved (executor sheet, section 11; service-features, section 6).

Looks are far apart when nothing can have happened, and close when something may: an idle task costs next to nothing,
and one that fills its disk within seconds is stopped within seconds.
"""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import trio

from aurorad.pace import Pace
from executor import usage
from executor.task import Resources

EXECUTOR_RAM = 128 << 20  # what is reserved beside the task's own memory, for its executor, which hardly needs any
MEMORY_INTERVAL_S = 1.0
DISK_INTERVALS_S = (5.0, 60.0)  # between looks, if nothing happens: in a small sandbox, and in the largest
_PROMPT_INTERVAL_S = 1.0
_SHARE_IDLE, _SHARE_PROMPT = 1 / 500, 1 / 20  # of one core, for looks
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


async def watch_resources(limits: Limits, sandbox: Path, members: Members) -> Excess:
    """Until the task uses more than a limit allows. `members` gives the pids of its processes now."""
    if not (limits.ram or limits.disk):
        await trio.sleep_forever()
    found: list[Excess] = []

    async def race(watch: Callable[[], Awaitable[Excess]]) -> None:
        found.append(await watch())
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        if limits.ram:
            nursery.start_soon(race, lambda: _watch_memory(limits, members))
        if limits.disk:
            nursery.start_soon(race, lambda: _watch_disk(limits, sandbox, members))
    return found[0]


async def _watch_memory(limits: Limits, members: Members) -> Excess:
    while True:
        started_s = trio.current_time()
        excess = memory_excess(limits, await memory_used(members(), limits.ram + limits.spare_ram))
        if excess is not None:
            return excess
        took_s = trio.current_time() - started_s
        await trio.sleep(max(MEMORY_INTERVAL_S, took_s / _SHARE_PROMPT))


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


async def _watch_disk(limits: Limits, sandbox: Path, members: Members) -> Excess:
    while True:
        free, started_s = _free(sandbox), trio.current_time()
        used, took_s = await _measured(usage.sandbox_sizes(sandbox, members()))
        excess = disk_excess(limits, used)
        if excess is not None:
            return excess
        look = DiskLook(took_s, limits.disk - used)
        due = False
        while not due:
            await trio.sleep(_PROMPT_INTERVAL_S)
            due = look_again(look, trio.current_time() - started_s, free - _free(sandbox))


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
