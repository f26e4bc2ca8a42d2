from __future__ import annotations

import pytest

from aurorad.jobfile import plan
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.values import Order, Process, Task

PROCESSES = (
    Process(name="a", cmdline="x"),
    Process(name="b", cmdline="x"),
    Process(name="c", cmdline="x"),
    Process(name="daemon", cmdline="x", daemon=True),
    Process(name="passing", cmdline="x", ephemeral=True),
    Process(name="final", cmdline="x", final=True),
)


def task(*orders: str) -> Task:
    return Task(name="t", processes=PROCESSES, constraints=tuple(Order(order=tuple(o.split())) for o in orders))


@pytest.mark.parametrize(
    "orders", [[], ["a b c"], ["a b", "b c", "a c"], ["a daemon"], ["a passing"], ["a"], ["a b", "a b"]]
)
def test_orders_that_can_be_run_are_fine(orders: list[str]) -> None:
    plan.check(task(*orders))


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        (["a b", "b a"], "Cycles detected in the task schedule! (a -> b -> a|b -> a -> b)"),
        (["a b", "b c", "c a"], "Cycles detected in the task schedule! .*(a -> b -> c|b -> c -> a|c -> a -> b)"),
        (["a a"], "Cycles detected in the task schedule! a -> a"),
        (["a nobody"], "Invalid process dependencies! No process is called nobody"),
        (["a final"], "Invalid process dependencies! Final and other processes mixed: a, final"),
        (["daemon a"], "Process a may not depend upon daemon process daemon"),
        (["passing a"], "Non-ephemeral process a may not depend upon ephemeral process passing"),
    ],
)
def test_orders_that_cannot_be_run_name_the_processes(orders: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^Task has invalid plan: {message}"):
        plan.check(task(*orders))


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "nul\0", "x" * 244])
def test_bad_process_names_are_told(name: str) -> None:
    with pytest.raises(ConfigError, match="Task has invalid process: Invalid process name: "):
        plan.check(Task(name="t", processes=(Process(name=name, cmdline="x"),)))
