"""Processes as the kernel shows them under /proc: who is alive, whose child, since when; and signals to them."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36
_STAT_BYTES = 4096  # more than its numbers and the longest name take


class ProcessInfo(NamedTuple):
    """A `zombie` has ended; its parent has not yet asked for its status."""

    pid: int
    parent: int
    session: int
    start_ticks: int  # since boot
    zombie: bool


def become_subreaper() -> None:
    """From now on every descendant whose parent ends becomes a child of this process. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl: {os.strerror(number)}")


def boot_time_s() -> float:
    """When the machine started, in seconds since the epoch."""
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if line.startswith("btime "):
                return float(line.split()[1])
    raise OSError("/proc/stat has no line 'btime'")


def start_time_s(process: ProcessInfo) -> float:
    """When it was created, in seconds since the epoch, good to about a second."""
    return boot_time_s() + process.start_ticks / os.sysconf("SC_CLK_TCK")


def info(pid: int) -> ProcessInfo | None:
    """None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(_STAT_BYTES)
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the name before it may hold anything
    return ProcessInfo(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0] in (b"Z", b"X"))


def processes() -> dict[int, ProcessInfo]:
    """All processes now, zombies included."""
    found = (info(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def descendants(root: int, among: Mapping[int, ProcessInfo]) -> set[int]:
    """The children of `root` among those, their children and so on; without `root` itself."""
    children: dict[int, list[int]] = {}
    for process in among.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    todo = [root]
    while todo:
        fresh = [pid for pid in children.get(todo.pop(), ()) if pid not in found]
        found.update(fresh)
        todo.extend(fresh)
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """A signal to each; who is gone, or not ours to signal, is passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def reap() -> bool:
    """Takes leave of every child that has ended. True if living children remain."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return False
    return True
