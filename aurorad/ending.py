"""Ending processes that do not want to end: those that fork while others die, that hide, or that are stopped.

`end_all` decides and signals, and yields how many seconds to wait before it goes on, so that an event loop and a thread
can both drive it: it never takes much longer than `_BITE_S` from one yield to the next.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Set
from contextlib import contextmanager, nullcontext, suppress

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
    spared: Set[int] = frozenset(),
) -> Generator[float, None, int]:
    """SIGKILL to all of a control group (or its leaf), then to all that `look` finds, until it finds none; how many.

    All are stopped before the first is killed: what is stopped cannot fork, and still counts against the user's limit
    of processes. Whoever forks and ends faster than it is looked at is handed up each time, to a keeper or to one of
    `parents`, all of whose children but the `spared` shall end: they are killed as soon as they are listed.

    It goes on for ever against a process that the kernel holds; whoever drives it gives up when it wants.
    """
    with _unburied() if os.getpid() in parents() else nullcontext():
        return (yield from _end_all(look, parents, group, leaf, spared))


def _end_all(
    look: Look, parents: Callable[[], Iterable[int]], group: TaskGroup | None, leaf: str | None, spared: Set[int]
) -> Generator[float, None, int]:
    ended: set[tuple[int, int]] = set()
    while True:
        if os.getpid() in parents():
            yield from _bury()
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
        keepers = [process for process in held.values() if process.name == KEEPER]
        others = [process for process in held.values() if process.name != KEEPER]
        ended |= {(process.pid, process.start_ticks) for process in others}
        yield from _signal(others, signal.SIGKILL)
        childless = yield from _strike([*parents(), *(keeper.pid for keeper in keepers)], spared)
        if childless and not others:
            if not keepers:
                return len(ended)
            yield from _signal(keepers, signal.SIGKILL)
        yield _PAUSE_S if held else 0.0


@contextmanager
def _unburied() -> Iterator[None]:
    """Children that end meanwhile leave no zombie: thousands a second would be too many to bury, and to look at."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def _bury() -> Generator[float, None, None]:
    """Those that ended before."""
    since = time.monotonic()
    while procfs.reap_one():
        if time.monotonic() - since > _BITE_S:
            yield 0.0
            since = time.monotonic()


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


def _strike(parents: Iterable[int], spared: Set[int]) -> Generator[float, None, bool]:
    """Kills children as they come, for as long as may be done at a stretch. Whether none is left alive."""
    until = time.monotonic() + _BITE_S
    left = [process for pid in parents if (process := procfs.info(pid)) is not None]
    while left and time.monotonic() < until:
        left = [parent for parent in left if not _strike_children(parent, until, spared)]
    if left:
        yield 0.0
    return not left


def _strike_children(parent: ProcessInfo, until: float, spared: Set[int]) -> bool:
    """Whether it had none, or only such as have ended.

    A list is older than what is found out about those in it: one of them may have ended since, and have handed up its
    own. Only a list that stays the same while all in it are dead is the truth.
    """
    listed = [pid for pid in procfs.children(parent) if pid not in spared]
    over = True
    for pid in reversed(listed):  # the newest is the most likely to be alive
        over = not (_kill_child(pid) if parent.pid == os.getpid() else _kill_if_child_of(pid, parent.pid)) and over
        if time.monotonic() > until:
            return False
    return over and [pid for pid in procfs.children(parent) if pid not in spared] == listed


def _kill_child(pid: int) -> bool:
    """Whether it was alive. Of our own child nobody else can make the pid free: no need to look at it first."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    return True


def _kill_if_child_of(pid: int, parent: int) -> bool:
    """Whether it was alive, as far as can be known."""
    child = procfs.info(pid)
    if child is None or child.parent != parent:
        return True
    if child.zombie:
        return False
    procfs.send(child, signal.SIGKILL)
    return True
