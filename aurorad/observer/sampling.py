"""What running processes use: cores, memory, disk (observer sheet, section 4; executor sheet, section 11)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from aurorad import folders, procfs
from aurorad.observer import walk
from aurorad.observer.walk import Place, Refused
from aurorad.procfs import ProcessInfo
from executor.checkpoint import ProcessStatus
from executor.ladder import is_ours
from executor.task import Resources


class Sample(msgspec.Struct, frozen=True):
    """`cpu` in cores, `user` and `system` in CPU seconds, memory in bytes; of one process with its descendants."""

    cpu: float = 0.0
    ram: int = 0
    user: float = 0.0
    system: float = 0.0
    rss: int = 0
    vms: int = 0
    nice: int = 0
    status: str = "None"
    threads: int = 0


class Usage(msgspec.Struct, frozen=True):
    """A task's running processes by name, and the bytes of disk that its sandbox takes."""

    processes: Mapping[str, Sample]
    disk: int = 0

    @property
    def total(self) -> Sample:
        return _sum(list(self.processes.values()))


NOTHING = Usage({})


class _Point(NamedTuple):
    """CPU seconds of each pid at a moment."""

    at_s: float
    cpu_s: Mapping[int, float]


class Sampler:
    """Remembers the last sample, from which rates are told. Runs in a thread, one sample at a time."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], _Point] = {}

    def sample(self, running: Mapping[str, Mapping[str, ProcessStatus]]) -> dict[str, Usage]:
        """The consumption of the running processes of each task; a rate is 0 until the second sample."""
        among = procfs.processes()
        points: dict[tuple[str, str], _Point] = {}
        usage: dict[str, Usage] = {}
        for task_id, processes in running.items():
            samples: dict[str, Sample] = {}
            for name, run in processes.items():
                tree = [one for pid in _tree(run, among) if (one := _measure(pid)) is not None]
                point = _Point(time.monotonic(), {one.pid: one.sample.user + one.sample.system for one in tree})
                points[task_id, name] = point
                total = _sum([one.sample for one in tree])
                rate = _rate(self._last.get((task_id, name)), point)
                samples[name] = msgspec.structs.replace(total, cpu=rate)
            usage[task_id] = Usage(samples)
        self._last = points
        return usage


def _tree(run: ProcessStatus, among: Mapping[int, ProcessInfo]) -> list[int]:
    """The command and its descendants, unless the pid has long been someone else's."""
    if run.pid is None or not is_ours(run.pid, run.start_time, among):
        return []
    return [run.pid, *procfs.descendants(run.pid, among)]


class _Measured(NamedTuple):
    pid: int
    sample: Sample


def _measure(pid: int) -> _Measured | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
            return _Measured(
                pid,
                Sample(
                    ram=memory.rss,
                    user=times.user,
                    system=times.system,
                    rss=memory.rss,
                    vms=memory.vms,
                    nice=process.nice(),
                    status=str(process.status()),
                    threads=process.num_threads(),
                ),
            )
    except psutil.Error:  # ended meanwhile, or not ours to look into
        return None


def _rate(before: _Point | None, now: _Point) -> float:
    """Cores: CPU seconds since the last sample, children new since then counted from zero."""
    if before is None or now.at_s <= before.at_s:
        return 0.0
    used = sum(max(0.0, cpu_s - before.cpu_s.get(pid, 0.0)) for pid, cpu_s in now.cpu_s.items())
    return used / (now.at_s - before.at_s)


def _sum(samples: list[Sample]) -> Sample:
    """All together; `nice` and `status` are the first one's."""
    if not samples:
        return Sample()
    return Sample(
        cpu=sum(one.cpu for one in samples),
        ram=sum(one.ram for one in samples),
        user=sum(one.user for one in samples),
        system=sum(one.system for one in samples),
        rss=sum(one.rss for one in samples),
        vms=sum(one.vms for one in samples),
        nice=samples[0].nice,
        status=samples[0].status,
        threads=sum(one.threads for one in samples),
    )


def disk_used(place: Place) -> int:
    """Bytes that the files there take on disk, as the executor counts what it allows; 0 if it is closed to us."""
    try:
        with walk.folder(place) as fd:
            return sum(folders.sizes(Path(), fd))
    except (Refused, NotADirectoryError):
        return 0


class Metrics(msgspec.Struct, frozen=True):
    """What a task uses of what it reserved: cores, and bytes; percentages are parts of 1 (executor sheet, section 11).

    What was not reserved shows as 0, and so does its percentage.
    """

    cpu_used: float
    cpu_reserved: float
    cpu_percent: float
    ram_used: int
    ram_reserved: int
    ram_percent: float
    disk_used: int
    disk_reserved: int
    disk_percent: float


def metrics(usage: Usage, reserved: Resources | None) -> Metrics:
    total = usage.total
    cpu, ram, disk = (reserved.cpu, reserved.ram, reserved.disk) if reserved is not None else (0.0, 0, 0)
    return Metrics(
        total.cpu,
        cpu,
        _part(total.cpu, cpu),
        total.ram,
        ram,
        _part(total.ram, ram),
        usage.disk,
        disk,
        _part(usage.disk, disk),
    )


def _part(used: float, reserved: float) -> float:
    return max(0.0, used / reserved) if reserved > 0 else 0.0
