"""Ending processes that do not want to end: those that fork while others die, that hide, or that are stopped.

`end_all` decides and signals, and yields how many seconds to wait before it goes on, so that an event loop and a thread
can both drive it: it never takes much longer than `_BITE_S` from one yield to the next.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress

from aurorad import procfs
from aurorad.cgroups import TaskGroup
from aurorad.procfs import ProcessInfo

KEEPER = b"aurora-keeper"
"""The name of processes that only adopt and bury, see `executor.keeper`: they end last, or what they hold escapes."""

Look = Callable[[], Iterable[ProcessInfo | None]]
"""Those to end, found one by one; None wherever it has taken time to find none."""

_BITE_S = 0.01
_PAUSE_S = 0.01  # to die takes a while
_HOLDING_PASSES = 10  # two are enough for most; one who always escapes must not keep the others alive


def end_all(
    look: Look,
    parents: Callable[[], Iterable[int]] = lambda: (),
    group: TaskGroup | None = None,
    leaf: str | None = None,
) -> Generator[float, None, int]:
    """SIGKILL to all of a control group (or its leaf), then to all that `look` finds, until it finds none; how many.

    All are stopped before the first is killed: what is stopped cannot fork, and still counts against the user's limit
    of processes. Whoever forks and ends faster than it is looked at is handed up each time, to a keeper or to one of
    `parents`, all of whose children shall end: they are killed as soon as they are listed.

    It goes on for ever against a process that the kernel holds; whoever drives it gives up when it wants.
    """
    ended: set[tuple[int, int]] = set()
    while True:
        if group is not None:
            for process in _gently(map(procfs.info, group.pids(leaf))):
                if process is None:
                    yield 0.0
                else:
                    ended.add((process.pid, process.start_ticks))
            while group.populated(leaf):
                group.kill(leaf)  # the kernel sees to it that none escapes by forking
                yield _PAUSE_S
        held = yield from _hold(look)
        if not held:
            return len(ended)
        keepers = [process for process in held.values() if process.name == KEEPER]
        others = [process for process in held.values() if process.name != KEEPER]
        ended |= {(process.pid, process.start_ticks) for process in others}
        yield from _signal(others or keepers, signal.SIGKILL)
        yield from _strike([*parents(), *(keeper.pid for keeper in keepers)])
        yield _PAUSE_S


def _hold(look: Look) -> Generator[float, None, dict[tuple[int, int], ProcessInfo]]:
    """Stops all, until a look finds no other; those found alive."""
    held: dict[tuple[int, int], ProcessInfo] = {}
    for _ in range(_HOLDING_PASSES):
        fresh = False
        for process in _gently(look()):
            if process is None:
                yield 0.0
            elif not process.zombie and (process.pid, process.start_ticks) not in held:
                held[process.pid, process.start_ticks] = process
                fresh = procfs.send(process, signal.SIGSTOP) or fresh
        if not fresh:
            break
    return held


def _signal(processes: Iterable[ProcessInfo], number: signal.Signals) -> Generator[float, None, None]:
    for process in _gently(processes):
        if process is None:
            yield 0.0
        else:
            procfs.send(process, number)


def _gently(processes: Iterable[ProcessInfo | None]) -> Iterator[ProcessInfo | None]:
    """The processes, and None whenever it is time to let others run."""
    since = time.monotonic()
    for process in processes:
        if process is not None:
            yield process
        if time.monotonic() - since > _BITE_S:
            yield None
            since = time.monotonic()


def _strike(parents: Iterable[int]) -> Generator[float, None, None]:
    """Kills children as they come, for as long as may be done at a stretch."""
    until = time.monotonic() + _BITE_S
    watched = [process for pid in parents if (process := procfs.info(pid)) is not None]
    struck = True
    while struck and time.monotonic() < until:
        struck = False
        for parent in watched:
            for pid in procfs.children(parent):
                struck = _kill_child(pid, parent.pid) or struck
    yield 0.0


def _kill_child(pid: int, parent: int) -> bool:
    if parent == os.getpid():  # nobody else can make it free for another process: no need to look twice
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return True
    child = procfs.info(pid)
    return child is not None and child.parent == parent and not child.zombie and procfs.send(child, signal.SIGKILL)
