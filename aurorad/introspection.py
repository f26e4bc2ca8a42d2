"""What this process is doing: its threads, and the tasks of its loop, with where each of them is."""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import trio

from aurorad.pace import gently

_FOLDERS = re.compile(r"^.*/(?:site-packages|lib/python[\d.]+)/")
_HERE = f"{Path(__file__).parent.parent}/"
_SERVICE = re.compile(r"(?P<module>(?:aurorad|executor)[\w.]*)\._*(?P<name>[A-Z]\w*)\.run")


class LoopTask(NamedTuple):
    """A task of the loop; `stack` has the innermost call last, nothing if it has not begun."""

    name: str
    depth: int
    stack: tuple[str, ...]


class Wait(NamedTuple):
    """A task that cannot go on until others leave what they hold."""

    name: str
    stack: tuple[str, ...]
    what: str
    held_by: tuple[str, ...]


async def loop_tasks() -> list[LoopTask]:
    """All tasks, each below the one that started it; looked at one after the other, for there may be thousands."""
    return await gently(lambda pair: LoopTask(pair[0].name, pair[1], _stack(pair[0])), list(_tasks()))


def task_names() -> list[str]:
    """Of all tasks. To be called on the loop."""
    return [task.name for task, _ in _tasks()]


def waits() -> Iterator[Wait]:
    """The tasks that wait for a lock, a semaphore or a limit. To be called on the loop."""
    for task, _ in _tasks():
        for frame, _ in task.iter_await_frames():
            what = frame.f_locals.get("self")
            if frame.f_code.co_name.startswith("acquire") and isinstance(what, _CONTENDED):
                yield Wait(task.name, _stack(task), type(what).__name__, _holders(what))
                break


def services(names: Iterable[str]) -> list[str]:
    """Of the names of tasks, the services of ours: classes that run. Those of a leader first, no name twice."""
    found = [match for name in names if (match := _SERVICE.fullmatch(name))]
    found.sort(key=lambda match: not match["module"].startswith("aurorad.scheduler"))
    return list(dict.fromkeys(match["name"] for match in found))


async def as_text() -> str:
    """Threads, then tasks, for people; tasks that do the same in the same place are told once."""
    return "\n".join((*_thread_lines(), *_task_lines(await loop_tasks())))


_CONTENDED = (trio.Lock, trio.Semaphore, trio.CapacityLimiter)


def _holders(what: trio.Lock | trio.Semaphore | trio.CapacityLimiter) -> tuple[str, ...]:
    if isinstance(what, trio.Lock):
        owner = what.statistics().owner
        return (owner.name,) if owner is not None else ()
    if isinstance(what, trio.CapacityLimiter):
        return tuple(getattr(borrower, "name", repr(borrower)) for borrower in what.statistics().borrowers)
    return ()


def _tasks() -> Iterator[tuple[trio.lowlevel.Task, int]]:
    root = trio.lowlevel.current_root_task()
    todo = [(root, 0)] if root is not None else []
    while todo:
        task, depth = todo.pop()
        yield task, depth
        children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        todo += [(child, depth + 1) for child in sorted(children, key=lambda child: child.name, reverse=True)]


def _stack(task: trio.lowlevel.Task) -> tuple[str, ...]:
    """Without Trio's own core, in which every task ends up that waits."""
    places = (_place(frame, line) for frame, line in task.iter_await_frames())
    return tuple(place for place in places if not place.startswith("trio/_core/"))


def _place(frame: FrameType, line: int) -> str:
    file = _FOLDERS.sub("", frame.f_code.co_filename.removeprefix(_HERE))
    return f"{file}:{line} {frame.f_code.co_name}"


def _thread_lines() -> Iterator[str]:
    known = {thread.ident: thread for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        thread = known.get(ident)
        yield f"Name: {thread.name if thread is not None else 'unknown'}"
        yield f"Daemon: {str(thread is not None and thread.daemon).lower()}"
        yield f"ID: {ident}"
        yield from (f"    {_place(at, line)}" for at, line in traceback.walk_stack(frame))
        yield ""


def _task_lines(tasks: Sequence[LoopTask]) -> Iterator[str]:
    for task, same in groupby(tasks):
        count = sum(1 for _ in same)
        indent = "  " * task.depth
        yield f"{indent}Task: {task.name}" + (f" ({count} of them)" if count > 1 else "")
        if not task.stack:
            yield f"{indent}    not begun"
        yield from (f"{indent}    {place}" for place in reversed(task.stack))
