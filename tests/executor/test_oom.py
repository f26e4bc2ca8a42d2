from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from aurorad.engine.base import TaskState
from executor.checkers import Outcome
from executor.oom import oom_checker
from executor.task import Resources


def running(kills: list[int | None]) -> Any:
    """A task of which the kernel says so, one after the other, and then the last for ever."""
    return SimpleNamespace(
        oom_kills=lambda: kills.pop(0) if len(kills) > 1 else kills[0],
        instance=SimpleNamespace(task=SimpleNamespace(resources=Resources(cpu=1, ram=64, disk=1))),
    )


def test_where_the_kernel_holds_nobody_to_a_limit_nothing_is_watched() -> None:
    assert oom_checker(running([None])) is None


async def test_a_task_whose_processes_the_kernel_killed_fails_and_says_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watch = oom_checker(running([3, 3, 3, 4]))
    assert watch is not None
    text = "Memory limit exceeded.  Reserved 64 bytes; the kernel has killed the task's processes."
    assert await watch() == Outcome(TaskState.TASK_FAILED, text)


async def test_kills_before_this_executor_are_the_last_ones_affair(autojump_clock: trio.testing.MockClock) -> None:
    watch = oom_checker(running([3]))
    assert watch is not None
    with trio.move_on_after(1000) as scope:
        await watch()
    assert scope.cancelled_caught
