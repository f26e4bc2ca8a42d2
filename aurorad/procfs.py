"""Processes as the kernel shows them under /proc: who is alive, whose child, since when; and signals to them.

A pid alone names nobody for long. `ProcessInfo` has the start time beside it, which tells a process from a later one
with the same pid, and `send` looks at it through a pidfd, so that no signal reaches a stranger.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_PDEATHSIG = 1
_STAT_BYTES = 4096  # more than its numbers and the longest name take
_READ_BYTES = 64 << 10
_GONE = (FileNotFoundError, ProcessLookupError)
_HIDDEN = (*_GONE, PermissionError)  # /proc may be mounted so that other users' processes are not shown


class ProcessInfo(NamedTuple):
    """A `zombie` has ended; its parent has not yet asked for its status."""

    pid: int
    parent: int
    group: int
    session: int
    threads: int
    start_ticks: int  # since boot
    name: bytes  # 15 bytes at most, and of the process's own choosing
    state: str  # one letter, see proc(5)

    @property
    def zombie(self) -> bool:
        return self.state in "ZX"


def become_subreaper() -> None:
    """From now on every descendant whose parent ends becomes a child of this process. Raises `OSError`."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """Have this process get a signal when its parent ends, or now if that has ended. Raises `OSError`."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _prctl(what: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(what, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl: {os.strerror(number)}")


def show_as(name: bytes) -> None:
    """The name of this process from now on, as ps shows it; 15 bytes at most. Raises `OSError`."""
    file = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, name)
    finally:
        os.close(file)


def boot_time_s() -> float:
    """When the machine started, in seconds since the epoch as its clock stands now."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def start_time_s(process: ProcessInfo) -> float:
    """When it was created, in seconds since the epoch, good to about a second."""
    return boot_time_s() + process.start_ticks / os.sysconf("SC_CLK_TCK")


def info(pid: int) -> ProcessInfo | None:
    """None if there is no such process, or none that we may see."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except _HIDDEN:
        return None
    try:
        text = os.read(file, _STAT_BYTES)
    except ProcessLookupError:
        return None
    finally:
        os.close(file)
    opened, closed = text.index(b"("), text.rindex(b")")  # the name in between may hold anything
    fields = text[closed + 2 :].split(None, 20)
    return ProcessInfo(
        pid,
        int(fields[1]),
        int(fields[2]),
        int(fields[3]),
        int(fields[17]),
        int(fields[19]),
        text[opened + 1 : closed],
        chr(fields[0][0]),
    )


def pids() -> list[int]:
    """Of all processes now, zombies included."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def processes(among: Iterable[int] | None = None) -> dict[int, ProcessInfo]:
    """All processes now, or those of these pids that exist. Some 15 us each: many do not belong on an event loop."""
    found = (info(pid) for pid in (pids() if among is None else among))
    return {process.pid: process for process in found if process is not None}


def read(pid: int, name: str) -> bytes:
    """All of a file of a process. Raises `OSError`. Without a file object, which would take several times as long."""
    file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(file, _READ_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


def is_alive(process: ProcessInfo) -> bool:
    """Whether it is there yet, it and no other of its pid, and no zombie."""
    now = info(process.pid)
    return now is not None and not now.zombie and now.start_ticks == process.start_ticks


def process_of(thread: int) -> int:
    """Its process; 0 if there is no such thread, or none that we may see."""
    try:
        return int(read(thread, "status").partition(b"\nTgid:")[2].split(None, 1)[0])
    except _HIDDEN:
        return 0


def children(process: ProcessInfo) -> list[int]:
    """Its children now. A child that ends meanwhile may hide others: ask again until nothing changes."""
    try:
        threads = [str(process.pid)] if process.threads == 1 else os.listdir(f"/proc/{process.pid}/task")
    except _GONE:
        return []
    found: list[int] = []
    for thread in threads:
        try:
            found += map(int, read(process.pid, f"task/{thread}/children").split())
        except _GONE:
            continue
    return found


def tree(root: int) -> Iterator[ProcessInfo]:
    """The descendants of `root` now, parents first, without `root` itself; 20 us each, whoever else is there."""
    start = info(root)
    if start is not None and not os.path.exists(f"/proc/{root}/task/{root}/children"):  # a kernel without these files
        among = processes()
        yield from (among[pid] for pid in descendants(root, among))
        return
    todo = [] if start is None else [start]
    while todo:
        for pid in children(todo.pop()):
            process = info(pid)
            if process is not None:
                todo.append(process)
                yield process


def descendants(root: int, among: Mapping[int, ProcessInfo]) -> set[int]:
    """The children of `root` among those, their children and so on; without `root` itself."""
    by_parent: dict[int, list[int]] = {}
    for process in among.values():
        by_parent.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    todo = [root]
    while todo:
        fresh = [pid for pid in by_parent.get(todo.pop(), ()) if pid not in found]
        found.update(fresh)
        todo.extend(fresh)
    return found


def send(process: ProcessInfo, number: signal.Signals) -> bool:
    """A signal to exactly this process. False if it is gone, or not ours to signal."""
    try:
        handle = os.pidfd_open(process.pid)
    except _GONE:
        return False
    try:
        now = info(process.pid)
        if now is None or now.start_ticks != process.start_ticks:
            return False
        signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)
    return True


def reap() -> bool:
    """Takes leave of every child that has ended. True if living children remain."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return False
    return True


def reap_one() -> bool:
    """Takes leave of one child that has ended. False if there was none."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False
