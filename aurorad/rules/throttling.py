"""Waiting longer each time: truncated binary backoff, and the penalty for flapping (task-state-machine sheet, 6).

Times are whole milliseconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from aurorad.api.enums import ACTIVE_STATES, TERMINAL_STATES
from aurorad.api.tasks import ScheduledTask
from aurorad.rules.task_states import TOLD_TO_END


def next_backoff(last_ms: int, initial_ms: int, max_ms: int, rng: random.Random) -> int:
    """The wait after one of `last_ms`: once to twice as long, at most `max_ms`; 0 stands for the first."""
    base = last_ms if last_ms > 0 else initial_ms
    return min(max_ms, base + round(rng.random() * base))


class Flapping(NamedTuple):
    """When a run counts as flapping, and what it costs."""

    threshold_ms: int
    initial_delay_ms: int
    max_delay_ms: int


def penalty(ended: ScheduledTask, ancestor: Callable[[str], ScheduledTask | None], flapping: Flapping) -> int:
    """How long the successor of `ended` waits: not at all after the first quick end in a row, then ever longer.

    `ancestor` finds a task by id; the row ends where a task is no longer known. There is no randomness in it, so the
    number that was printed is the number that counts, also for a scheduler that reads the record after a restart.
    """
    quick_ends = 0
    wait_ms = 0
    task: ScheduledTask | None = ended
    while task is not None and wait_ms < flapping.max_delay_ms and flapped(task, flapping.threshold_ms):
        quick_ends += 1
        if quick_ends > 1:
            wait_ms = min(flapping.max_delay_ms, wait_ms * 2 or flapping.initial_delay_ms)
        task = ancestor(task.ancestor_id) if task.ancestor_id is not None else None
    return wait_ms


def flapped(task: ScheduledTask, threshold_ms: int) -> bool:
    """Whether an ended task ended of itself, sooner than the threshold after it was last seen active."""
    events = task.task_events
    if not events or events[-1].status not in TERMINAL_STATES:
        return False
    if any(event.status in TOLD_TO_END for event in events):
        return False
    active = next((event for event in reversed(events) if event.status in ACTIVE_STATES), None)
    return active is not None and events[-1].timestamp - active.timestamp < threshold_ms
