"""Whether the processes of a task can be run in the order it wants (thermos-runner sheet, section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from aurorad.api.keys import is_process_name
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.values import Process, Task


def check(task: Task) -> None:
    """Raises `ConfigError` that names the process, or the processes of a cycle."""
    processes = {process.name: process for process in task.processes}
    for name in processes:
        if not is_process_name(name):
            raise ConfigError(f"Task has invalid process: Invalid process name: {name}")
    orders = [constraint.order for constraint in task.constraints]
    for order in orders:
        _check_members(order, processes)
    for earlier, later in {pair for order in orders for pair in pairwise(order)}:
        _check_pair(processes[earlier], processes[later])
    _check_cycles(orders)


def _invalid(text: str) -> ConfigError:
    return ConfigError(f"Task has invalid plan: {text}")


def _check_members(order: Sequence[str], processes: dict[str, Process]) -> None:
    unknown = [name for name in order if name not in processes]
    if unknown:
        raise _invalid(f"Invalid process dependencies! No process is called {', '.join(unknown)}")
    if len({processes[name].final for name in order}) > 1:
        raise _invalid(f"Invalid process dependencies! Final and other processes mixed: {', '.join(order)}")


def _check_pair(earlier: Process, later: Process) -> None:
    if earlier.daemon:
        raise _invalid(f"Process {later.name} may not depend upon daemon process {earlier.name}")
    if earlier.ephemeral and not later.ephemeral:
        raise _invalid(f"Non-ephemeral process {later.name} may not depend upon ephemeral process {earlier.name}")


def _check_cycles(orders: Sequence[Sequence[str]]) -> None:
    graph: TopologicalSorter[str] = TopologicalSorter()
    for earlier, later in _pairs(orders):
        graph.add(later, earlier)
    try:
        graph.prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        raise _invalid(f"Cycles detected in the task schedule! {' -> '.join(cycle)}") from None


def _pairs(orders: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    for order in orders:
        yield from pairwise(order)
