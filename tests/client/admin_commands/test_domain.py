"""How much jobs would miss hosts (client-internals sheet, section 13)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig, TaskEvent
from client.admin_commands.domain import Prediction, Promise, Up, groups, predictions, vector

WEB, API = JobKey("www", "prod", "web"), JobKey("www", "prod", "api")
NOW_MS = 10_000_000


def task(job: JobKey, host: str, ran_ms: int | None, *, production: bool = True) -> ScheduledTask:
    events = [TaskEvent(1, ScheduleStatus.PENDING)]
    if ran_ms is not None:
        events += [TaskEvent(ran_ms + 50_000, ScheduleStatus.RUNNING), TaskEvent(ran_ms, ScheduleStatus.RUNNING)]
    config = TaskConfig(job, production=production)
    return ScheduledTask(AssignedTask("id", slave_host=host, task=config), task_events=tuple(events))


def test_uptimes_count_from_the_first_time_a_task_ran() -> None:
    tasks = [task(WEB, "a", NOW_MS - 1999), task(WEB, "b", None), task(WEB, "c", NOW_MS + 5000)]
    assert vector(tasks, NOW_MS, 1) == {WEB: (Up("a", 1), Up("b", 0), Up("c", 0))}


def test_only_large_production_jobs_count() -> None:
    tasks = [*[task(WEB, "a", 0)] * 2, task(API, "a", 0), *[task(API, "a", 0, production=False)] * 5]
    assert list(vector(tasks, NOW_MS, 2)) == [WEB]


def test_all_hosts_of_a_group_are_down_at_once() -> None:
    ups = {WEB: tuple(Up(host, 100) for host in "aabbcccccc")}
    one = predictions(ups, {"a"}, {}, Promise(80, 60))
    assert one == [Prediction("a", WEB, 80.0, True, 0)]
    both = predictions(ups, {"a", "b"}, {}, Promise(80, 60))
    assert both == [Prediction("a", WEB, 60.0, False, None), Prediction("b", WEB, 60.0, False, None)]


def test_an_unsafe_job_waits_for_young_tasks_to_grow_old_enough() -> None:
    ups = {WEB: (Up("a", 500), Up("b", 10), Up("c", 40), Up("d", 500))}
    assert predictions(ups, {"a"}, {}, Promise(50, 60)) == [Prediction("a", WEB, 25.0, False, 20)]
    assert predictions(ups, {"a"}, {}, Promise(75, 60)) == [Prediction("a", WEB, 25.0, False, 50)]
    assert predictions(ups, {"a"}, {}, Promise(76, 60)) == [Prediction("a", WEB, 25.0, False, None)]


def test_a_job_may_have_been_promised_something_else() -> None:
    ups = {WEB: (Up("a", 100), Up("b", 100)), API: (Up("a", 100), Up("b", 100))}
    found = predictions(ups, {"a"}, {WEB: Promise(50, 60)}, Promise(95, 60))
    assert [(one.job, one.is_safe) for one in found] == [(API, False), (WEB, True)]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100)), min_size=1),
    st.floats(1, 100),
    st.integers(0, 100),
)
def test_after_the_wait_it_is_safe(tasks: list[tuple[str, int]], percentage: float, duration_s: int) -> None:
    promise = Promise(percentage, duration_s)
    for one in predictions({WEB: tuple(Up(*it) for it in tasks)}, {"a"}, {}, promise):
        if one.wait_s is not None:
            later = {WEB: tuple(Up(host, uptime + one.wait_s) for host, uptime in tasks)}
            assert all(then.is_safe for then in predictions(later, {"a"}, {}, promise))


@pytest.mark.parametrize(
    ("grouping", "found"),
    [("by_host", {"a": ("a",), "b": ("b",)}), ("none", {"_all_hosts_": ("a", "b")})],
)
def test_hosts_go_down_alone_or_all_at_once(grouping: str, found: dict[str, tuple[str, ...]]) -> None:
    assert groups(["b", "a", "b"], grouping) == found
    assert groups([], grouping) == {}
