"""Which process may run (thermos-runner sheet, sections 6 and 15)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.checkpoint import ProcessState
from executor.planner import MAX_RUNS, InvalidPlan, Plan, Progress
from executor.task import Constraint, Process, Task

S, F, K, L = ProcessState.SUCCESS, ProcessState.FAILED, ProcessState.KILLED, ProcessState.LOST


def plan(*processes: Process, orders: tuple[tuple[str, ...], ...] = (), final: bool = False) -> Plan:
    return Plan.of(Task("t", processes, tuple(map(Constraint, orders))), final=final)


def simple(name: str, min_duration: int = 0, **fields: Any) -> Process:
    return Process(name, "true", min_duration=min_duration, **fields)


def after(process: Process, ends: Iterable[ProcessState], max_runs: int = MAX_RUNS) -> Progress:
    """A plan of one process that ended so often at time 0."""
    progress = Progress(plan(process), max_runs)
    for end in ends:
        progress.started(process.name)
        progress.ended(process.name, end, 0)
    return progress


def group_of(progress: Progress, name: str, now_s: float = 0) -> str:
    """What the sheet calls the group that it is in."""
    if name in progress.running:
        return "running"
    if name in progress.finished or name in progress.failed:
        return "finished" if name in progress.finished else "failed"
    if name in progress.runnable(now_s):
        return "runnable"
    return "waiting" if progress.next_s(now_s) < math.inf else "blocked"


A, B, C = simple("a"), simple("b"), simple("c")


@pytest.mark.parametrize(
    ("process", "ends", "group"),
    [
        (A, (), "runnable"),
        (A, (S,), "finished"),
        (A, (F,), "failed"),
        (A, (K,), "runnable"),
        (A, (L, K, L), "runnable"),
        (simple("a", max_failures=3), (F, F), "runnable"),
        (simple("a", max_failures=3), (F, F, S), "finished"),
        (simple("a", max_failures=3), (F, L, F, K, F), "failed"),
        (simple("a", max_failures=0), (F,) * 50, "runnable"),
        (simple("a", daemon=True), (S, S), "runnable"),
        (simple("a", daemon=True, max_failures=2), (F, S), "runnable"),
        (simple("a", daemon=True, max_failures=2), (F, S, F), "failed"),
        (simple("a", ephemeral=True), (F,), "finished"),
        (simple("a", ephemeral=True, max_failures=2), (F,), "runnable"),
        (simple("a", ephemeral=True, daemon=True), (S,), "runnable"),
    ],
)
def test_what_became_of_its_runs_says_what_a_process_does_next(
    process: Process, ends: tuple[ProcessState, ...], group: str
) -> None:
    assert group_of(after(process, ends), "a") == group


@pytest.mark.parametrize(
    ("process", "end"),
    [
        (simple("a", max_failures=0), F),
        (A, K),
        (A, L),
        (simple("a", daemon=True), S),
        (simple("a", ephemeral=True), L),
    ],
)
def test_successes_failures_and_losses_together_have_a_limit(process: Process, end: ProcessState) -> None:
    assert group_of(after(process, [end] * (MAX_RUNS - 1)), "a") == "runnable"
    assert group_of(after(process, [end] * MAX_RUNS), "a") == "failed"
    assert group_of(after(process, [end] * (MAX_RUNS + 1), max_runs=0), "a") == "runnable"


def test_a_process_that_runs_is_running_and_nothing_else() -> None:
    progress = Progress(plan(A))
    progress.started("a")
    assert group_of(progress, "a") == "running"
    assert not progress.runnable(0)
    assert not progress.deadlocked


@pytest.mark.parametrize("end", [S, F, K, L])
def test_after_every_end_a_process_waits_for_its_min_duration(end: ProcessState) -> None:
    progress = Progress(plan(simple("a", min_duration=10, max_failures=0, daemon=True)))
    assert group_of(progress, "a") == "runnable"
    progress.started("a")
    progress.ended("a", end, 5)
    assert (group_of(progress, "a", 10), progress.next_s(10)) == ("waiting", 5)
    assert not progress.deadlocked
    assert (group_of(progress, "a", 15), progress.next_s(15)) == ("runnable", math.inf)


def test_the_wait_is_that_for_the_first_who_may() -> None:
    progress = Progress(plan(simple("a", min_duration=10), simple("b", min_duration=3), C))
    for name in "ab":
        progress.started(name)
        progress.ended(name, L, 0)
    assert list(progress.runnable(0)) == ["c"]
    assert progress.next_s(0) == 3
    assert list(progress.runnable(3)) == ["c", "b"]
    assert progress.next_s(3) == 7


def test_whoever_runs_again_stands_at_the_end_of_the_row() -> None:
    progress = Progress(plan(A, B, C))
    progress.started("a")
    progress.ended("a", L, 0)
    assert list(progress.runnable(0)) == ["b", "c", "a"]


def test_only_a_finished_dependency_unblocks() -> None:
    chain = plan(A, B, C, orders=(("a", "b", "c"),))
    progress = Progress(chain)
    assert [group_of(progress, name) for name in "abc"] == ["runnable", "blocked", "blocked"]
    progress.ended("a", S, 0)
    assert [group_of(progress, name) for name in "abc"] == ["finished", "runnable", "blocked"]
    progress = Progress(chain)
    progress.ended("a", F, 0)
    assert [group_of(progress, name) for name in "abc"] == ["failed", "blocked", "blocked"]
    assert progress.deadlocked


def test_all_dependencies_must_be_finished() -> None:
    progress = Progress(plan(A, B, C, orders=(("a", "c"), ("b", "c"), ("a", "c"))))
    progress.ended("a", S, 0)
    assert group_of(progress, "c") == "blocked" or list(progress.runnable(0)) == ["b"]
    progress.ended("b", S, 0)
    assert list(progress.runnable(0)) == ["c"]


def test_an_ephemeral_process_that_failed_is_finished_and_unblocks_others() -> None:
    progress = Progress(plan(simple("a", ephemeral=True), simple("b", ephemeral=True), orders=(("a", "b"),)))
    progress.ended("a", F, 0)
    assert list(progress.runnable(0)) == ["b"]


def test_a_plan_is_complete_without_its_ephemeral_processes() -> None:
    progress = Progress(plan(A, simple("e", ephemeral=True)))
    progress.started("e")
    complete = [progress.complete]
    for name in ("a", "e"):
        progress.ended(name, S, 0)
        complete.append(progress.complete)
    assert complete == [False, True, True]


@pytest.mark.parametrize("end", [S, F])
def test_a_process_that_is_over_is_counted_once(end: ProcessState) -> None:
    progress = Progress(plan(A, B))
    progress.ended("a", end, 0)
    progress.ended("a", end, 0)
    assert not progress.complete


def test_a_plan_of_nothing_is_complete() -> None:
    progress = Progress(plan(A, final=True))
    assert progress.complete
    assert not progress.deadlocked
    assert progress.next_s(0) == math.inf


def test_an_order_of_finalizing_processes_belongs_to_their_plan() -> None:
    processes = (A, simple("x", final=True), simple("y", final=True))
    orders = (("x", "y"), ())
    assert plan(*processes, orders=orders).dependencies == {"a": frozenset()}
    assert plan(*processes, orders=orders, final=True).dependencies == {"x": frozenset(), "y": frozenset({"x"})}


@pytest.mark.parametrize(
    ("processes", "orders", "says"),
    [
        ((A, B), (("a", "b"), ("b", "a")), "Cycles detected in the task schedule!"),
        ((A,), (("a", "a"),), "Cycles detected in the task schedule!"),
        ((A, B), (("a", "nobody"),), "Invalid process dependencies!"),
        ((A, simple("f", final=True)), (("a", "f"),), "Invalid process dependencies!"),
        ((simple("d", daemon=True), B), (("d", "b"),), "Process b may not depend upon daemon process d"),
        (
            (simple("e", ephemeral=True), B),
            (("e", "b"),),
            "Non-ephemeral process b may not depend upon ephemeral process e",
        ),
    ],
)
def test_orders_that_cannot_be_kept_are_refused(
    processes: tuple[Process, ...], orders: tuple[tuple[str, ...], ...], says: str
) -> None:
    with pytest.raises(InvalidPlan) as refused:
        plan(*processes, orders=orders)
    assert str(refused.value) == says


def test_daemons_and_ephemeral_processes_may_depend_on_others() -> None:
    plan(A, simple("d", daemon=True), simple("e", ephemeral=True), orders=(("a", "d"), ("a", "e")))


class Recount:
    """What the rules say, counted anew from all that happened whenever somebody asks."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ends: dict[str, list[ProcessState]] = {name: [] for name in plan.processes}
        self.ended_s: dict[str, float] = {}
        self.running: set[str] = set()

    def over(self, name: str) -> str | None:
        process, ends = self.plan.processes[name], self.ends[name]
        if S in ends and not process.daemon:
            return "finished"
        if process.max_failures and ends.count(F) >= process.max_failures:
            return "finished" if process.ephemeral else "failed"
        return "failed" if len(ends) >= MAX_RUNS else None

    def free(self, name: str) -> bool:
        """Only time may keep it from running."""
        met = all(self.over(other) == "finished" for other in self.plan.dependencies[name])
        return met and name not in self.running and self.over(name) is None

    def wait_s(self, name: str, now_s: float) -> float:
        return self.ended_s.get(name, -math.inf) + self.plan.processes[name].min_duration - now_s

    @property
    def complete(self) -> bool:
        return all(process.ephemeral or self.over(name) for name, process in self.plan.processes.items())


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 7))
    orders = draw(st.lists(st.lists(st.integers(0, count - 1), unique=True).map(sorted), max_size=4))
    before = {i for order in orders for i in order[:-1]}  # these may be neither daemons nor ephemeral
    processes = [
        simple(
            f"p{i}",
            max_failures=draw(st.integers(0, 3)),
            min_duration=draw(st.sampled_from([0, 5])),
            daemon=i not in before and draw(st.booleans()),
            ephemeral=i not in before and draw(st.booleans()),
        )
        for i in range(count)
    ]
    return plan(*processes, orders=tuple(tuple(f"p{i}" for i in order) for order in orders))


@given(plans(), st.data())
def test_what_is_known_word_by_word_is_what_a_recount_says(plan: Plan, data: st.DataObject) -> None:
    progress, recount = Progress(plan), Recount(plan)
    now_s = 0.0
    for _ in range(data.draw(st.integers(1, 60))):
        free = [name for name in plan.processes if recount.free(name)]
        waits = {name: recount.wait_s(name, now_s) for name in free}
        assert sorted(progress.runnable(now_s)) == sorted(name for name in free if waits[name] <= 0)
        assert progress.next_s(now_s) == min((wait_s for wait_s in waits.values() if wait_s > 0), default=math.inf)
        assert progress.running == recount.running
        assert progress.finished == {name for name in plan.processes if recount.over(name) == "finished"}
        assert progress.failed == {name for name in plan.processes if recount.over(name) == "failed"}
        assert progress.complete == recount.complete
        assert progress.deadlocked == (not recount.complete and not free and not recount.running)
        steps = [("wait", "")]
        steps += [(step, name) for name in progress.runnable(now_s) for step in ("start", "cannot start")]
        steps += [("end", name) for name in sorted(recount.running)]
        step, name = data.draw(st.sampled_from(steps))
        if step == "start":
            progress.started(name)
            recount.running.add(name)
        elif step == "wait":
            now_s += 2
        else:
            end = F if step == "cannot start" else data.draw(st.sampled_from([S, F, K, L]))
            progress.ended(name, end, now_s)
            recount.running.discard(name)
            recount.ends[name].append(end)
            recount.ended_s[name] = now_s
