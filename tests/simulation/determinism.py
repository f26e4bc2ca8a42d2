"""Trio, made to do the same again: one seed, one order of steps, no threads, no time but a mock clock's.

Trio's deterministic scheduling is private (Hypothesis uses it); this is the one place that touches it.
"""

from __future__ import annotations

import contextlib
import contextvars
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import trio
import trio.testing
from trio._core import _run

T = TypeVar("T")


def run(main: Callable[[], Awaitable[T]], seed: int, disk_s: Callable[[], float]) -> T:
    """`trio.run(main)`, the same way for the same seed. What would go to a thread takes `disk_s()` seconds instead."""
    with _deterministic(seed), _without_threads(disk_s), _with_processes():
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@contextlib.contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    was, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    _run._r.seed(seed)
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = was  # type: ignore[misc]
        _run._r.setstate(state)


@contextlib.contextmanager
def _without_threads(disk_s: Callable[[], float]) -> Iterator[None]:
    async def run_sync(work: Callable[..., Any], *args: object, limiter: trio.CapacityLimiter | None = None) -> Any:
        """As `trio.to_thread.run_sync`: waits its turn, then cannot be cancelled until the work is done."""
        async with limiter or contextlib.nullcontext():
            with trio.CancelScope(shield=True):
                await trio.sleep(disk_s())
            return work(*args)

    real, trio.to_thread.run_sync = trio.to_thread.run_sync, run_sync  # type: ignore[assignment]
    try:
        yield
    finally:
        trio.to_thread.run_sync = real


class Process:
    """Tasks that can be stopped all at once, and go on later, as by SIGSTOP and SIGCONT."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_stopped = False
        self._held: list[tuple[trio.lowlevel.Task, Any]] = []

    def enter(self) -> None:
        """The present task belongs to it, and all that it starts from now on."""
        _process.set(self)

    def stop(self) -> None:
        self.is_stopped = True

    def go_on(self) -> None:
        self.is_stopped = False
        held, self._held = self._held, []
        for task, then in held:
            trio.lowlevel.reschedule(task, then)

    def hold(self, task: trio.lowlevel.Task, then: Any) -> None:
        task._abort_func = None  # as when it is rescheduled: nothing else wakes it
        task.custom_sleep_data = None
        self._held.append((task, then))


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def present() -> str:
    """The name of the process that the present task belongs to, if it does to any."""
    process = _process.get()
    return process.name if process is not None else "scheduler"


@contextlib.contextmanager
def _with_processes() -> Iterator[None]:
    real = _run.Runner.reschedule

    def reschedule(self: _run.Runner, task: trio.lowlevel.Task, next_send: Any = _run._NO_SEND) -> None:
        process = task.context.get(_process)
        if process is not None and process.is_stopped:
            process.hold(task, next_send)
        else:
            real(self, task, next_send)

    _run.Runner.reschedule = reschedule  # type: ignore[method-assign]
    try:
        yield
    finally:
        _run.Runner.reschedule = real  # type: ignore[method-assign]


class AfterSteps(trio.abc.Instrument):
    """Calls `then` before the n-th step that any task takes from now on: that is, at any await of any of them."""

    def __init__(self, steps: int, then: Callable[[], None]) -> None:
        self._left = steps
        self._then = then

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            trio.lowlevel.remove_instrument(self)
            self._then()


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks; calls `too_many` at the `most`-th since the count was last set to 0."""

    def __init__(self, most: int, too_many: Callable[[], None]) -> None:
        self.count = 0
        self._most = most
        self._too_many = too_many

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1
        if self.count == self._most:
            self._too_many()


def seeded(seed: int, part: str) -> random.Random:
    """The randomness of one part of a simulation, so that one part's draws do not shift another's."""
    return random.Random(f"{seed}:{part}")
