from __future__ import annotations

from typing import Any

import pytest

from aurorad.jobfile.schema.helpers import (
    Options,
    SequentialTask,
    SimpleTask,
    Tasks,
    Units,
    combine_tasks,
    concat_tasks,
    java_options,
    order,
    python_options,
)
from aurorad.jobfile.schema.thermos import GB, MB, Constraint, Process, Resources, Task
from tests.jobfile.evaluating import plain

A, B, C = (Process(name=name, cmdline=f"run {name}") for name in "abc")


def orders(task: Any) -> list[tuple[str, ...]]:
    return [constraint["order"] for constraint in task.constraints().get()]


def names(task: Any) -> list[str]:
    return [process["name"] for process in task.processes().get()]


def test_order_takes_processes_and_names() -> None:
    assert order(A, "b") == [Constraint(order=["a", "b"])]
    assert len(order(A, B) + order(B, C)) == 2
    with pytest.raises(ValueError, match="Unknown value for process order: 3"):
        order(A, 3)


def test_a_simple_task_has_one_process_and_one_gigabyte() -> None:
    task = SimpleTask("x", "echo")
    assert task.get()["processes"][0]["cmdline"] == "echo"
    assert plain(task.resources()) == {"cpu": 1.0, "ram": GB, "disk": GB, "gpu": 0}


def test_a_sequential_task_orders_its_processes() -> None:
    assert orders(SequentialTask(processes=[A, B, C])) == [("a", "b", "c")]
    assert orders(SequentialTask(name="nothing yet")) == []
    with pytest.raises(ValueError, match="Cannot turn a Task with existing constraints into a SequentialTask!"):
        SequentialTask(processes=[A, B], constraints=order(A, B))


def task(name: str, *processes: Any, **fields: Any) -> Any:
    return Task(name=name, processes=list(processes), **fields)


def test_combine_runs_all_at_once_with_the_sum_of_resources() -> None:
    one = task("one", A, B, constraints=order(A, B), resources=Resources(cpu=1, ram=MB, disk=MB), finalization_wait=10)
    two = task("two", B, C, resources=Resources(cpu=2, ram=MB, disk=2 * MB, gpu=1), finalization_wait=40)
    both = combine_tasks(one, two, max_failures=7)
    assert (both.name().get(), names(both), orders(both)) == ("two", ["a", "b", "c"], [("a", "b")])
    assert plain(both.resources()) == {"cpu": 3.0, "ram": 2 * MB, "disk": 3 * MB, "gpu": 1}
    assert (both.finalization_wait().get(), both.max_failures().get()) == (40, 7)


def test_concat_runs_one_after_the_other_with_the_largest_resources() -> None:
    one = task("one", A, B, resources=Resources(cpu=1, ram=3 * MB, disk=MB), finalization_wait=10)
    two = task("two", C, resources=Resources(cpu=2, ram=MB, disk=2 * MB), finalization_wait=40)
    both = concat_tasks(one, two)
    assert (both.name().get(), orders(both)) == ("two", [("a", "c"), ("b", "c")])
    assert plain(both.resources()) == {"cpu": 2.0, "ram": 3 * MB, "disk": 2 * MB, "gpu": 0}
    assert both.finalization_wait().get() == 50


def test_nothing_combined_is_an_empty_task() -> None:
    assert combine_tasks() == concat_tasks() == Task()
    assert plain(Units.resources_max([])) == {"cpu": 0.0, "ram": 0, "disk": 0, "gpu": 0}
    assert Tasks.combine(task("x", A)).resources().get()["cpu"] == 0


def test_options_are_rendered_for_java_and_python() -> None:
    assert java_options("server", "x", {"Xmx": "1g"}, cp="a.jar") == "-server -x -Xmx 1g -cp a.jar"
    assert python_options("v", "quiet", {"n": 3}, name="x", flag=None) == "-v --quiet -n 3 --name x --flag"
    with pytest.raises(ValueError, match="Got an unexpected argument to render_options: 3"):
        Options.python(3)
