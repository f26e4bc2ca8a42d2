"""What became of a task whose runner is gone while it was not over: nobody will ever write that down."""

from __future__ import annotations

import msgspec
from frozendict import frozendict

from aurorad import procfs
from executor.checkpoint import ProcessState, ProcessStatus, RunnerState, TaskState, TaskStatus
from executor.ladder import is_ours

_LIVE = (ProcessState.FORKED, ProcessState.RUNNING)


def left_behind(state: RunnerState, since_ms: int) -> RunnerState:
    """The state with its end: LOST, as an executor reports it; so are its processes that are not alive any more."""
    processes = {name: (*runs[:-1], _as_it_stands(runs[-1])) for name, runs in state.processes.items()}
    return RunnerState(state.header, (*state.statuses, TaskStatus(TaskState.LOST, since_ms)), frozendict(processes))


def _as_it_stands(run: ProcessStatus) -> ProcessStatus:
    if run.state not in _LIVE or _is_alive(run):
        return run
    return msgspec.structs.replace(run, state=ProcessState.LOST)


def _is_alive(run: ProcessStatus) -> bool:
    if run.pid is None or run.pid <= 0:
        return False
    found = procfs.info(run.pid)
    return found is not None and not found.zombie and is_ours(run.pid, run.start_time, {run.pid: found})
