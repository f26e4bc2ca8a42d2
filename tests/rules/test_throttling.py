from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskEvent
from aurorad.rules.throttling import Flapping, flapped, next_backoff, penalty

S = ScheduleStatus
FLAPPING = Flapping(threshold_ms=300_000, initial_delay_ms=30_000, max_delay_ms=300_000)


def run(task_id: str, ancestor: str | None, *events: tuple[int, ScheduleStatus]) -> ScheduledTask:
    history = tuple(TaskEvent(timestamp, status) for timestamp, status in events)
    return ScheduledTask(AssignedTask(task_id), events[-1][1], task_events=history, ancestor_id=ancestor)


def row_of_quick_ends(length: int) -> dict[str, ScheduledTask]:
    return {str(n): run(str(n), str(n - 1) if n else None, (0, S.RUNNING), (1000, S.FAILED)) for n in range(length)}


@pytest.mark.parametrize(
    ("quick_ends", "wait_ms"),
    [(1, 0), (2, 30_000), (3, 60_000), (4, 120_000), (5, 240_000), (6, 300_000), (7, 300_000), (50, 300_000)],
)
def test_the_penalty_doubles_with_every_quick_end_after_the_first(quick_ends: int, wait_ms: int) -> None:
    tasks = row_of_quick_ends(quick_ends)
    assert penalty(tasks[str(quick_ends - 1)], tasks.get, FLAPPING) == wait_ms


def test_a_row_of_quick_ends_is_over_after_one_long_run() -> None:
    tasks = row_of_quick_ends(5)
    long_run = run("5", "4", (0, S.RUNNING), (300_000, S.FAILED))
    assert penalty(long_run, tasks.get, FLAPPING) == 0


def test_a_row_ends_where_its_ancestors_are_forgotten() -> None:
    tasks = row_of_quick_ends(5)
    del tasks["2"]
    assert penalty(tasks["4"], tasks.get, FLAPPING) == 30_000


def test_an_initial_delay_above_the_longest_is_cut() -> None:
    tasks = row_of_quick_ends(3)
    assert penalty(tasks["2"], tasks.get, Flapping(300_000, 30_000, 1_000)) == 1_000


@pytest.mark.parametrize(
    ("events", "flaps"),
    [
        ([], False),
        ([(0, S.PENDING), (1, S.RUNNING)], False),
        ([(0, S.RUNNING), (299_999, S.FINISHED)], True),
        ([(0, S.RUNNING), (300_000, S.FINISHED)], False),
        ([(0, S.ASSIGNED), (5, S.LOST)], True),
        ([(0, S.RUNNING), (1, S.KILLING), (5, S.KILLED)], False),
        ([(0, S.RUNNING), (1, S.RESTARTING), (5, S.KILLED)], False),
        ([(0, S.RUNNING), (1, S.DRAINING), (5, S.KILLED)], False),
        ([(0, S.RUNNING), (1, S.PREEMPTING), (5, S.KILLED)], False),
    ],
)
def test_what_flaps(events: list[tuple[int, ScheduleStatus]], flaps: bool) -> None:
    task = ScheduledTask(task_events=tuple(TaskEvent(timestamp, status) for timestamp, status in events))
    assert flapped(task, FLAPPING.threshold_ms) is flaps


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**7), st.integers())
def test_a_backoff_is_once_to_twice_the_last_and_never_above_the_longest(
    last: int, initial: int, longest: int, seed: int
) -> None:
    base = last or initial
    wait = next_backoff(last, initial, longest, random.Random(seed))
    assert min(base, longest) <= wait <= min(2 * base, longest)
