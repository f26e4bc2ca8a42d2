"""The functions a job file may call: order, combine, concat, options (config-schema sheet, section 7).

Pystachio objects are immutable and made at run time, hence `Any` for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from pystachio import Empty

from aurorad.jobfile.schema.thermos import GB, Constraint, Process, Resources, Task

_AMOUNTS = ("cpu", "ram", "disk", "gpu")


def _given(value: Any, default: Any) -> Any:
    return default if value is Empty else value


def _unique(values: Iterable[Any]) -> list[Any]:
    """Without duplicates, in the order in which they first appear: a job must evaluate the same way every time."""
    return list(dict.fromkeys(values))


class Units:
    """Sums and maxima of what tasks ask for; unset counts as nothing."""

    @classmethod
    def resources_sum(cls, *resources: Any) -> Any:
        return cls._combined(resources, sum)

    @classmethod
    def resources_max(cls, resources: Iterable[Any]) -> Any:
        return cls._combined(list(resources), max)

    @staticmethod
    def _combined(resources: Sequence[Any], reduce: Any) -> Any:
        known = [r for r in resources if r is not Empty]
        if not known:
            return Resources(cpu=0, ram=0, disk=0, gpu=0)
        return Resources(**{name: reduce(_given(getattr(r, name)(), 0).get() for r in known) for name in _AMOUNTS})

    @staticmethod
    def finalization_wait_sum(waits: Iterable[Any]) -> Any:
        return sum(_given(wait, 0).get() if wait is not Empty else 0 for wait in waits)

    @staticmethod
    def finalization_wait_max(waits: Iterable[Any]) -> Any:
        return max([0, *(wait.get() for wait in waits if wait is not Empty)])

    @staticmethod
    def processes_merge(tasks: Iterable[Any]) -> list[Any]:
        return _unique(process for task in tasks for process in _given(task.processes(), ()))

    @staticmethod
    def constraints_merge(tasks: Iterable[Any]) -> list[Any]:
        return _unique(constraint for task in tasks for constraint in _given(task.constraints(), ()))


class Processes:
    @staticmethod
    def order(*processes: Any) -> list[Any]:
        """One constraint: these processes, given as such or by name, run one after the other."""
        return [Constraint(order=[_process_name(process) for process in processes])]


def _process_name(process: Any) -> Any:
    if isinstance(process, str):
        return process
    if isinstance(process, Process):
        return process.name()
    raise ValueError(f"Unknown value for process order: {process!r}")


class Tasks:
    SIMPLE_CPU = 1.0
    SIMPLE_RAM = 1 * GB
    SIMPLE_DISK = 1 * GB

    @classmethod
    def simple(cls, name: str, command: str) -> Any:
        """A task of one process."""
        return Task(
            name=name,
            processes=[Process(name=name, cmdline=command)],
            resources=Resources(cpu=cls.SIMPLE_CPU, ram=cls.SIMPLE_RAM, disk=cls.SIMPLE_DISK),
        )

    @staticmethod
    def sequential(task: Any) -> Any:
        """The task with its processes run one after the other."""
        if _given(task.constraints(), ()) and len(task.constraints().get()) > 0:
            raise ValueError("Cannot turn a Task with existing constraints into a SequentialTask!")
        if task.processes() is Empty:
            return task
        return task(constraints=Processes.order(*task.processes()))

    @staticmethod
    def combine(*tasks: Any, **fields: Any) -> Any:
        """All processes of all tasks at once; the result is called as the last task is."""
        if not tasks:
            return Task()
        return tasks[-1](
            processes=Units.processes_merge(tasks),
            constraints=Units.constraints_merge(tasks),
            resources=Units.resources_sum(*(task.resources() for task in tasks)),
            finalization_wait=Units.finalization_wait_max(task.finalization_wait() for task in tasks),
        )(**fields)

    @staticmethod
    def concat(*tasks: Any, **fields: Any) -> Any:
        """One task after the other; the result is called as the last task is."""
        if not tasks:
            return Task()
        between = [
            Constraint(order=[first.name(), second.name()])
            for one, next_one in pairwise(tasks)
            for first in _given(one.processes(), ())
            for second in _given(next_one.processes(), ())
            if first != second
        ]
        return tasks[-1](
            processes=Units.processes_merge(tasks),
            constraints=_unique([*Units.constraints_merge(tasks), *between]),
            resources=Units.resources_max(task.resources() for task in tasks),
            finalization_wait=Units.finalization_wait_sum(task.finalization_wait() for task in tasks),
        )(**fields)


class Options:
    """Command line options rendered from Python values."""

    @classmethod
    def java(cls, *options: Any, **named: Any) -> str:
        return cls._render("-", "-", options, named)

    @classmethod
    def python(cls, *options: Any, **named: Any) -> str:
        return cls._render("-", "--", options, named)

    @classmethod
    def _render(cls, short: str, long: str, options: Sequence[Any], named: Mapping[str, Any]) -> str:
        def flag(name: str, value: object = None) -> str:
            dashes = short if len(name) == 1 else long
            return f"{dashes}{name} {value}" if value else f"{dashes}{name}"

        words = []
        for option in options:
            if isinstance(option, str):
                words.append(flag(option))
            elif isinstance(option, Mapping):
                words += [flag(name, value) for name, value in option.items()]
            else:
                raise ValueError(f"Got an unexpected argument to render_options: {option!r}")
        return " ".join([*words, *(flag(name, value) for name, value in named.items())])


order = Processes.order
combine_tasks = Tasks.combine
concat_tasks = Tasks.concat
java_options = Options.java
python_options = Options.python
SimpleTask = Tasks.simple


def SequentialTask(*args: Any, **fields: Any) -> Any:
    return Tasks.sequential(Task(*args, **fields))
