"""Which process may run (thermos-runner sheet, sections 6 and 15)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.checkpoint import ProcessState, ProcessStatus
from executor.planner import MAX_RUNS, History, InvalidPlan, Plan, stand
from executor.task import Constraint, Process, Task

S, F, K, L = ProcessState.SUCCESS, ProcessState.FAILED, ProcessState.KILLED, ProcessState.LOST


def plan(*processes: Process, orders: tuple[tuple[str, ...], ...] = (), final: bool = False) -> Plan:
    return Plan.of(Task("t", processes, tuple(map(Constraint, orders))), final=final)


def simple(name: str, **fields: object) -> Process:
    return Process(name, "true", **fields)  # type: ignore[arg-type]


def history(*states: ProcessState, ended_s: float = -math.inf) -> History:
    return History.of([ProcessStatus(0, "p", state) for state in states], ended_s)


def group_of(process: Process, *states: ProcessState, ended_s: float = -math.inf, now_s: float = 0.0) -> str:
    standing = stand(plan(process), {process.name: history(*states, ended_s=ended_s)}, now_s)
    (group,) = [g for g in ("runnable", "waiting", "running", "finished", "failed", "blocked") if getattr(standing, g)]
    return group


A, B, C = simple("a"), simple("b"), simple("c")


@pytest.mark.parametrize(
    ("process", "states", "group"),
    [
        (A, (), "runnable"),
        (A, (ProcessState.WAITING,), "runnable"),
        (A, (ProcessState.FORKED,), "running"),
        (A, (ProcessState.RUNNING,), "running"),
        (A, (S,), "finished"),
        (A, (F,), "failed"),
        (A, (K,), "runnable"),
        (A, (L, K, L), "runnable"),
        (simple("a", max_failures=3), (F, F), "runnable"),
        (simple("a", max_failures=3), (F, L, F, K, F), "failed"),
        (simple("a", max_failures=3), (F, F, S), "finished"),
        (simple("a", max_failures=0), (F,) * 50, "runnable"),
        (simple("a", daemon=True), (S, S), "runnable"),
        (simple("a", daemon=True, max_failures=2), (F, S), "runnable"),
        (simple("a", daemon=True, max_failures=2), (F, S, F), "failed"),
        (simple("a", ephemeral=True), (F,), "finished"),
        (simple("a", max_failures=0), (F,) * MAX_RUNS, "failed"),
        (A, (L,) * MAX_RUNS, "failed"),
        (simple("a", daemon=True), (S,) * MAX_RUNS, "failed"),
    ],
)
def test_what_became_of_a_process_says_what_is_next(
    process: Process, states: tuple[ProcessState, ...], group: str
) -> None:
    assert group_of(process, *states) == group


@pytest.mark.parametrize("end", [K, L])
def test_after_an_end_a_process_waits_for_min_duration(end: ProcessState) -> None:
    process = simple("a", min_duration=10)
    assert group_of(process, end, ended_s=5, now_s=10) == "waiting"
    assert group_of(process, end, ended_s=5, now_s=15) == "runnable"
    assert stand(plan(process), {"a": history(end, ended_s=5)}, 10).min_wait_s == 5


def test_only_a_finished_dependency_unblocks() -> None:
    chain = plan(A, B, C, orders=(("a", "b", "c"),))
    start = stand(chain, {}, 0)
    assert (start.runnable, start.blocked, start.complete) == (("a",), ("b", "c"), False)
    after_a = stand(chain, {"a": history(S)}, 0)
    assert (after_a.finished, after_a.runnable, after_a.blocked) == (("a",), ("b",), ("c",))
    failed = stand(chain, {"a": history(F)}, 0)
    assert (failed.failed, failed.blocked, failed.deadlocked) == (("a",), ("b", "c"), True)


def test_a_plan_is_complete_without_its_ephemeral_processes() -> None:
    both = plan(A, simple("e", ephemeral=True))
    assert stand(both, {"a": history(S), "e": history(ProcessState.RUNNING)}, 0).complete
    assert not stand(both, {"a": history(ProcessState.RUNNING), "e": history(S)}, 0).complete


def test_a_plan_of_nothing_is_complete() -> None:
    standing = stand(plan(A, final=True), {}, 0)
    assert standing.complete
    assert not standing.deadlocked
    assert standing.min_wait_s == math.inf


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


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 6))
    processes = [
        simple(f"p{i}", max_failures=draw(st.integers(0, 3)), min_duration=draw(st.sampled_from([0, 5])))
        for i in range(count)
    ]
    orders = draw(st.lists(st.lists(st.integers(0, count - 1), unique=True).map(sorted), max_size=4))
    return plan(*processes, orders=tuple(tuple(f"p{i}" for i in order) for order in orders))


@given(plans(), st.data())
def test_every_plan_comes_to_an_end_and_no_process_runs_before_its_dependencies(
    plan: Plan, data: st.DataObject
) -> None:
    runs: dict[str, list[ProcessStatus]] = {}
    ended_s: dict[str, float] = {}
    now_s = 0.0

    def look() -> dict[str, History]:
        return {name: History.of(r, ended_s.get(name, -math.inf)) for name, r in runs.items()}

    for _ in range(len(plan.processes) * MAX_RUNS + 1):
        standing = stand(plan, look(), now_s)
        groups = (*standing.runnable, *standing.waiting, *standing.finished, *standing.failed, *standing.blocked)
        assert sorted(groups) == sorted(plan.processes)
        if not standing.runnable and not standing.waiting:
            break
        if not standing.runnable:
            now_s += standing.min_wait_s
            continue
        name = data.draw(st.sampled_from(standing.runnable))
        assert plan.dependencies[name] <= set(standing.finished)
        ends = [S, F, K] if len(runs.get(name, ())) < 5 else [S]
        runs.setdefault(name, []).append(ProcessStatus(0, name, data.draw(st.sampled_from(ends))))
        ended_s[name] = now_s
    else:
        pytest.fail("no end")
    assert standing.complete or standing.deadlocked
    assert standing.complete != bool(standing.blocked)
