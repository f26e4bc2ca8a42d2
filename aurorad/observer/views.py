"""Tasks and processes as JSON objects and as rows of pages (observer sheet, sections 6 and 8): pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from aurorad.observer.observer import TaskView
from aurorad.observer.sampling import Metrics, Sample, metrics
from aurorad.pages import tones
from aurorad.pages.tones import Tone
from executor.checkpoint import ProcessState, ProcessStatus, RunnerState

Json = Mapping[str, object]

_CLASSES = ("waiting", "running", "success", "failed", "killed")
_CLASS_OF = {
    ProcessState.WAITING: "waiting",
    ProcessState.LOST: "waiting",
    ProcessState.FORKED: "running",
    ProcessState.RUNNING: "running",
    ProcessState.SUCCESS: "success",
    ProcessState.FAILED: "failed",
    ProcessState.KILLED: "killed",
}


def task_name(task: TaskView) -> str:
    return task.description.name


def user(task: TaskView) -> str:
    return (task.state.header.user or "") if task.state.header is not None else ""


def state_name(state: RunnerState) -> str:
    return state.state.name if state.state is not None else "UNKNOWN"


def launch_ms(state: RunnerState) -> int:
    return state.statuses[0].timestamp_ms if state.statuses else 0


def entered_ms(state: RunnerState) -> int:
    """When the present state was entered; a runner that takes over repeats the state, which is no entering."""
    since = 0
    for before, status in zip((None, *state.statuses), state.statuses, strict=False):
        if before is None or before.state != status.state:
            since = status.timestamp_ms
    return since


def process_names(task: TaskView) -> list[str]:
    """All processes of the task: those that have a record, and those that its description names."""
    return list(dict.fromkeys([*task.state.processes, *(name for name, _ in task.description.cmdlines)]))


def cmdline(task: TaskView, process: str) -> str:
    return dict(task.description.cmdlines).get(process, "")


def classified(task: TaskView) -> dict[str, list[str]]:
    """Process names by how they stand: ``waiting running success failed killed``."""
    classes: dict[str, list[str]] = {name: [] for name in _CLASSES}
    for name in process_names(task):
        runs = task.state.processes.get(name)
        classes[_CLASS_OF[runs[-1].state] if runs else "waiting"].append(name)
    return classes


def main_process(state: RunnerState) -> tuple[str, int] | None:
    """The process whose output says most about the task, and its last run: one that failed, else one that runs."""
    worth = {ProcessState.FAILED: 3, ProcessState.RUNNING: 2, ProcessState.FORKED: 2}
    worth |= {ProcessState.KILLED: 1, ProcessState.LOST: 1}
    last = [(worth.get(runs[-1].state, 0), _when(runs[-1]), name) for name, runs in state.processes.items()]
    if not last:
        return None
    name = max(last)[2]
    return name, len(state.processes[name]) - 1


def _when(run: ProcessStatus) -> float:
    return run.stop_time or run.start_time or run.fork_time or 0.0


# JSON


def sample_json(sample: Sample) -> dict[str, object]:
    return msgspec.structs.asdict(sample)


def listed_json(task: TaskView) -> Json:
    """One task of ``/j/task_ids``."""
    return {
        "task_id": task.task_id,
        "name": task_name(task),
        "role": user(task),
        "launch_timestamp": launch_ms(task.state) // 1000,
        "state": state_name(task.state),
        "state_timestamp": entered_ms(task.state) // 1000,
        "ports": _ports(task),
        **sample_json(task.usage.total),
        "disk": task.usage.disk,
    }


def task_json(task: TaskView) -> Json:
    """One task of ``/j/task``."""
    return {
        "task_id": task.task_id,
        "name": task_name(task),
        "user": user(task),
        "launch_timestamp": launch_ms(task.state) // 1000,
        "state": state_name(task.state),
        "state_timestamp": entered_ms(task.state) // 1000,
        "ports": _ports(task),
        "resource_consumption": {**sample_json(task.usage.total), "disk": task.usage.disk},
        "metrics": msgspec.structs.asdict(metrics(task.usage, task.description.resources)),
        "processes": classified(task),
        "task": msgspec.Raw(task.description.json),
    }


def run_json(task: TaskView, process: str, run: int | None = None) -> Json:
    """One run of a process, the last if `run` is None; empty if there is no such run."""
    runs = task.state.processes.get(process, ())
    number = len(runs) - 1 if run is None else run
    if not 0 <= number < len(runs):
        return {}
    status = runs[number]
    value: dict[str, object] = {"process_name": process, "process_run": number, "state": status.state.name}
    if status.start_time is not None:
        value["start_time"] = status.start_time
    if status.stop_time is not None:
        value["stop_time"] = status.stop_time
    if status.return_code:
        value["return_code"] = status.return_code
    if status.state is ProcessState.RUNNING and number == len(runs) - 1:
        value["used"] = sample_json(task.usage.processes.get(process, Sample()))
    return value


def _ports(task: TaskView) -> dict[str, int]:
    return dict(task.state.header.ports) if task.state.header is not None else {}


# Rows


class TaskList(msgspec.Struct, frozen=True):
    """Some of the tasks of a kind: `count` from `offset` on, out of `total`."""

    kind: str
    offset: int
    count: int
    total: int
    rows: tuple[TaskRow, ...]

    @property
    def older(self) -> str | None:
        after = self.offset + self.count
        return f"/main/{self.kind}/{after}/{self.count}" if self.count > 0 and after < self.total else None

    @property
    def newer(self) -> str | None:
        if self.offset == 0 or self.count == 0:
            return None
        return f"/main/{self.kind}/{max(0, self.offset - self.count)}/{self.count}"


class TaskRow(msgspec.Struct, frozen=True):
    """A line of the list of tasks."""

    task_id: str
    url: str
    browse_url: str
    name: str
    role: str
    launched_ms: int
    state: str
    tone: Tone
    entered_ms: int
    sample: Sample
    disk: int
    metrics: Metrics
    ports: tuple[tuple[str, int], ...]


class RunRow(msgspec.Struct, frozen=True):
    """One run of a process; `number` counts from 0."""

    name: str
    url: str
    number: int
    state: str
    tone: Tone
    return_code: int | None
    started_ms: int | None
    finished_ms: int | None
    stdout_url: str
    stderr_url: str
    sample: Sample | None


def part(text: str) -> str:
    """One step of an address."""
    return quote(text, safe="", errors="surrogateescape")


def path_url(task_id: str, *steps: str) -> str:
    """Task id and path as the end of an address."""
    return "/".join(map(part, (task_id, *(step for step in steps if step))))


def task_row(task: TaskView) -> TaskRow:
    state = state_name(task.state)
    return TaskRow(
        task.task_id,
        f"/task/{part(task.task_id)}",
        f"/browse/{part(task.task_id)}",
        task_name(task) or task.task_id,
        user(task),
        launch_ms(task.state),
        state,
        tones.of_thermos(state),
        entered_ms(task.state),
        task.usage.total,
        task.usage.disk,
        metrics(task.usage, task.description.resources),
        tuple(sorted(_ports(task).items())),
    )


def status_rows(state: RunnerState) -> list[tuple[str, Tone, int]]:
    """Every recorded state with its tone and time (ms), in the order of time."""
    return [(status.state.name, tones.of_thermos(status.state.name), status.timestamp_ms) for status in state.statuses]


def process_rows(task: TaskView) -> list[RunRow]:
    """The last run of each process, by start; then what has no run yet."""
    names = process_names(task)
    begun = [run_row(task, name, len(task.state.processes[name]) - 1) for name in names if name in task.state.processes]
    return sorted(begun, key=lambda row: row.started_ms or 2**63)


def waiting_processes(task: TaskView) -> list[str]:
    return [name for name in process_names(task) if name not in task.state.processes]


def run_row(task: TaskView, process: str, number: int) -> RunRow:
    runs = task.state.processes[process]
    status = runs[number]
    where = f"{part(task.task_id)}/{part(process)}"
    running = status.state is ProcessState.RUNNING
    return RunRow(
        process,
        f"/process/{where}",
        number,
        status.state.name,
        tones.of_thermos(status.state.name),
        status.return_code,
        _ms(status.start_time),
        _ms(status.stop_time),
        f"/logs/{where}/{number}/stdout",
        f"/logs/{where}/{number}/stderr",
        task.usage.processes.get(process, Sample()) if running else None,
    )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
