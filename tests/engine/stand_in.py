"""An execution that does little, for tests of what is around it. The task's executor data says what: a JSON object.

{"sleep": seconds}      run a `sleep` of that length; its end is FINISHED
{"refuse": true}        ignore being killed
"""

from __future__ import annotations

import json
import os
import signal

import trio

from aurorad.api.tasks import AssignedTask
from aurorad.engine.base import TaskState
from executor import launcher
from executor.execution import Report
from executor.flags import ExecutorFlags
from executor.forker import Forker
from executor.paths import RunDirectory


class StandIn:
    def __init__(self, assigned: AssignedTask, directory: RunDirectory, flags: ExecutorFlags, forker: Forker) -> None:
        config = assigned.task.executor_config
        self._orders = json.loads(config.data) if config is not None and config.data is not None else {}
        self._directory = directory.path
        self._stopped = trio.Event()
        self._reason = ""

    async def run(self, report: Report) -> None:
        await report(TaskState.TASK_STARTING, None)
        environment = {"HOME": str(self._directory / "sandbox"), "PATH": os.environ["PATH"]}
        process = await trio.lowlevel.open_process(
            ["sleep", str(self._orders.get("sleep", 0))], env=environment, start_new_session=True
        )
        (self._directory / "sandbox" / "pid").write_text(str(process.pid))
        await report(TaskState.TASK_RUNNING, "No health-check defined, task is assumed healthy.")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stop, process)
            await process.wait()
            nursery.cancel_scope.cancel()
        if self._reason:
            await report(TaskState.TASK_KILLED, self._reason)
        else:
            await report(TaskState.TASK_FINISHED, "Task finished.")

    async def _stop(self, process: trio.Process) -> None:
        await self._stopped.wait()
        process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._end("Instructed to kill task.")

    def shutdown(self, grace_s: float) -> None:
        self._end("Told to shut down executor.")

    def _end(self, reason: str) -> None:
        if not self._orders.get("refuse"):
            self._reason = reason
            self._stopped.set()


def main() -> None:
    launcher.serve(StandIn)
