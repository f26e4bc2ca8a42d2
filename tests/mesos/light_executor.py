"""An executor for tests with many tasks: a child that sleeps, noted in a folder as `tests/mesos/notes.py` has it.

Run by an agent, with nothing but the standard library: light_executor.py NOTES
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

GIVES_UP_AFTER_S = 60.0


class Executor:
    def __init__(self, notes: str) -> None:
        self._notes = notes
        self._child: subprocess.Popen[bytes] | None = None
        self._task: dict[str, Any] | None = None
        self._unacknowledged: dict[str, dict[str, Any]] = {}
        self._has_ended = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Subscribe, and again whenever the stream ends, until the task's end was acknowledged."""
        seen = time.monotonic()
        while time.monotonic() - seen < GIVES_UP_AFTER_S:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._listen()
                seen = time.monotonic()
            time.sleep(0.1)

    def _listen(self) -> None:
        with self._lock:
            updates = [{"status": status} for status in self._unacknowledged.values()]
        tasks = [self._task] if self._task is not None and updates else []
        answer = self._post("SUBSCRIBE", subscribe={"unacknowledged_tasks": tasks, "unacknowledged_updates": updates})
        if answer.status != 200:
            raise OSError(answer.status)
        while line := answer.readline():
            self._heed(json.loads(answer.read(int(line))))

    def _heed(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "LAUNCH" and self._task is None:
            self._launch(event["launch"]["task"])
        elif kind == "ACKNOWLEDGED":
            with self._lock:
                self._unacknowledged.pop(event["acknowledged"]["uuid"], None)
                if self._has_ended and not self._unacknowledged:
                    os._exit(0)
        elif kind in ("KILL", "SHUTDOWN"):
            assert self._child is not None
            self._child.kill()
            if kind == "SHUTDOWN":
                os._exit(0)

    def _launch(self, task: dict[str, Any]) -> None:
        self._task = task
        self._child = subprocess.Popen(["sleep", "100000"])
        with open(f"{self._notes}/light@{task['task_id']['value']}", "a") as note:
            note.write(f"{self._child.pid}\n")
        self._update("TASK_RUNNING")
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        assert self._child is not None
        self._child.wait()
        self._has_ended = True
        self._update("TASK_KILLED")

    def _update(self, state: str) -> None:
        assert self._task is not None
        key = base64.b64encode(uuid.uuid4().bytes).decode()
        status = {
            "task_id": self._task["task_id"],
            "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
            "state": state,
            "source": "SOURCE_EXECUTOR",
            "uuid": key,
            "timestamp": time.time(),
        }
        with self._lock:
            self._unacknowledged[key] = status
        with contextlib.suppress(OSError):  # else told with the next subscription
            self._post("UPDATE", update={"status": status}).read()

    def _post(self, kind: str, **what: object) -> http.client.HTTPResponse:
        call = {
            "type": kind,
            "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
            **what,
        }
        connection = http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"])
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        connection.request("POST", "/api/v1/executor", json.dumps(call), headers)
        return connection.getresponse()


if __name__ == "__main__":
    Executor(sys.argv[1]).run()
