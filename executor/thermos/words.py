"""What `thermos status` and `thermos read` say of a task: pure functions of its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator

from executor.checkpoint import ProcessStatus, RunnerState

CORRUPT = "checkpoint stream CORRUPT or outdated format"


def summary(task_id: str, owner: str, state: RunnerState, verbosity: int) -> Iterator[str]:
    """The lines of `status` for one task; `verbosity` from 0 to 3."""
    line = f"  {task_id:<20} [owner: {owner:>8}]"
    if verbosity >= 1 and state.statuses:
        began = time.asctime(time.localtime(state.statuses[0].timestamp_ms / 1000))
        line += f"  state: {state.statuses[-1].state.name:>8} start: {began:>25}"
    yield line
    if verbosity >= 2 and state.header is not None:
        ports = " ".join(f"{name} -> {port}" for name, port in sorted(state.header.ports.items()))
        yield f"    user: {state.header.user} ports: {ports or 'None'}"
        yield f"    sandbox: {state.header.sandbox}"
    if verbosity >= 3:
        yield "    process table:"
        for name, runs in sorted(state.processes.items()):
            yield f"      - {name} runs: {len(runs)} last: {_run(runs[-1])}"


def story(state: RunnerState) -> Iterator[str]:
    """The lines of `read`."""
    header = state.header
    if header is not None:
        yield "Recovered Task Header:"
        yield f"  id:      {header.task_id}"
        yield f"  user:    {header.user}"
        yield f"  host:    {header.hostname}"
        yield f"  sandbox: {header.sandbox}"
        if header.ports:
            yield "  ports:   " + " ".join(f"{name}->{port}" for name, port in sorted(header.ports.items()))
    yield "Recovered Task States:"
    for entry in state.statuses:
        when = time.asctime(time.localtime(entry.timestamp_ms / 1000))
        yield f"  {when} [pid: {entry.runner_pid}] => {entry.state.name}"
    yield "Recovered Processes:"
    for name, runs in sorted(state.processes.items()):
        yield f"  {name}   runs: {len(runs)}"
        for number in reversed(range(len(runs))):
            yield f"    {number:2}: {_run(runs[number])}"


def _run(run: ProcessStatus) -> str:
    code = "" if run.return_code is None else run.return_code
    ended = None if run.stop_time is None else time.asctime(time.localtime(run.stop_time))
    return f"pid={run.pid}, rc={code}, finish:{ended}, state:{run.state.name}"
