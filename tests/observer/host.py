"""A host for the observer's tests: tasks written to disk as executors write them."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio
from frozendict import frozendict
from quart.typing import TestClientProtocol
from quart_trio import QuartTrio

from aurorad.observer import Observer, observer_app
from aurorad.vars import Vars
from aurorad.web import server
from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    StreamWriter,
    TaskState,
    TaskStatus,
)
from executor.paths import TaskPaths

NOW_MS = 1_700_000_000_000
START_S = NOW_MS / 1000 - 100
P = ProcessState
RAN = (P.WAITING, P.FORKED, P.RUNNING, P.SUCCESS)
FAILED = (P.WAITING, P.FORKED, P.RUNNING, P.FAILED)
RUNNING = (P.WAITING, P.FORKED, P.RUNNING)

OPEN: list[TaskOnDisk] = []
"""Those whose streams are held, as by a runner that lives. A fixture lets them go."""


class TaskOnDisk:
    """One task in the run of an executor: its checkpoints, sandbox and logs."""

    def __init__(self, agent: Path, task_id: str, names: Sequence[str] = ("fetch_package", "hello_world")) -> None:
        executor = agent / "slaves" / "S0" / "frameworks" / "F0" / "executors" / f"thermos-{task_id}"
        self.run = executor / "runs" / "r1"
        self.sandbox = self.run / "sandbox"
        self.sandbox.mkdir(parents=True)
        (executor / "runs" / "latest").symlink_to("r1")
        self.paths = TaskPaths(self.run / "checkpoints", task_id)
        self.paths.active.parent.mkdir(parents=True)
        self.paths.finished.parent.mkdir(parents=True)
        processes = [{"name": name, "cmdline": f"python3 -u {name}.py"} for name in names]
        self.paths.active.write_text(json.dumps({"name": "hello_world", "processes": processes}))
        self._stream = StreamWriter(self.paths.runner)
        OPEN.append(self)
        self._seq: dict[str, int] = {}

    def begin(self, ports: Mapping[str, int] = frozendict({"http": 31000}), user: str = "www-data") -> TaskOnDisk:
        self.states(TaskState.ACTIVE)
        logs = str(self.sandbox / ".logs")
        header = RunnerHeader(self.paths.task_id, NOW_MS, str(self.sandbox), "host1", user, frozendict(ports), logs, 0)
        self._stream.append(RunnerCkpt(runner_header=header))
        return self

    def states(self, *states: TaskState) -> TaskOnDisk:
        for state in states:
            self._stream.append(RunnerCkpt(task_status=TaskStatus(state, NOW_MS - 100_000 + 1000 * state, 1)))
        return self

    def process(
        self, name: str, *states: ProcessState, pid: int = 1, start_s: float = START_S, code: int = 0
    ) -> TaskOnDisk:
        for state in states:
            seq = self._seq[name] = self._seq.get(name, -1) + 1
            status = ProcessStatus(
                seq,
                name,
                state,
                start_time=start_s if state is P.RUNNING else None,
                pid=pid if state is P.RUNNING else None,
                stop_time=start_s + 5 if state.terminal else None,
                return_code=code if state.terminal else None,
                coordinator_pid=1 if state is P.FORKED else None,
                fork_time=start_s if state is P.FORKED else None,
            )
            self._stream.append(RunnerCkpt(process_status=status))
        return self

    def log(self, process: str, stream: str, text: str | bytes, run: int = 0) -> Path:
        """Append to a log."""
        file = self.sandbox / ".logs" / process / str(run) / stream
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as opened:
            opened.write(text if isinstance(text, bytes) else text.encode())
        return file

    def finish(self, *states: TaskState) -> TaskOnDisk:
        self.states(*(states or (TaskState.CLEANING, TaskState.FINALIZING, TaskState.FAILED)))
        self.paths.active.rename(self.paths.finished)
        self.die()
        return self

    def die(self) -> None:
        """Let go of the stream, as a runner that dies. Until then, or the test's end, this process runs the task."""
        if self in OPEN:
            OPEN.remove(self)
            self._stream.close()

    def take_over(self) -> TaskOnDisk:
        """As another runner, after the first one died."""
        self._stream = StreamWriter(self.paths.runner)
        OPEN.append(self)
        return self


def failed_task(agent: Path, task_id: str = "t1") -> TaskOnDisk:
    """The tutorial's first run."""
    task = TaskOnDisk(agent, task_id).begin()
    task.process("fetch_package", *RAN).process("hello_world", *FAILED, code=1)
    task.log("fetch_package", "stdout", "0cc175b9c0f1b6a831c399e269772661\n")
    task.log("hello_world", "stdout", "")
    task.log("hello_world", "stderr", "Traceback (most recent call last):\nNameError: name 'xrang' is not defined\n")
    (task.sandbox / "hello_world.py").write_text("for i in xrang(100): <b>print</b>\n")
    return task.finish()


def running_task(agent: Path, task_id: str = "t2") -> TaskOnDisk:
    task = TaskOnDisk(agent, task_id, ("fetch_package", "hello_world", "later")).begin()
    task.process("fetch_package", *RAN).process("hello_world", *RUNNING)
    task.log("hello_world", "stdout", "Hello world!\n")
    return task


def client(agent: Path, observer: Observer | None = None) -> TestClientProtocol:
    return app(observer or Observer([agent]), trio.Event()).test_client()


def app(observer: Observer, stopping: trio.Event) -> QuartTrio:
    url = "http://localhost:8081/scheduler"
    return observer_app(observer, "host1", lambda: NOW_MS, Vars(), stopping, url)


class Served(NamedTuple):
    """A real server on a real socket."""

    port: int
    stopping: trio.Event

    async def connect(self, path: str, *headers: str, method: str = "GET") -> trio.SocketStream:
        """A connection on which a page was asked for."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
        await stream.send_all("\r\n".join(lines).encode())
        return stream

    async def get(self, path: str, *headers: str) -> tuple[bytes, bytes]:
        """Head and body as they came."""
        return await self.ask("GET", path, *headers)

    async def ask(self, method: str, path: str, *headers: str) -> tuple[bytes, bytes]:
        stream = await self.connect(path, *headers, method=method)
        async with stream:
            with trio.fail_after(20):
                whole = b"".join([chunk async for chunk in stream])
        head, _, body = whole.partition(b"\r\n\r\n")
        return head, body


@asynccontextmanager
async def served(agent: Path) -> AsyncIterator[Served]:
    """An observer of `agent` as the daemon has it."""
    stopping, observer = trio.Event(), Observer([agent])
    sock = server.listen("127.0.0.1", 0, "observer_port")
    async with trio.open_nursery() as nursery:
        serve = functools.partial(server.serve, app(observer, stopping), sock, stopping=stopping, grace_s=0.2)
        await nursery.start(serve)
        try:
            yield Served(sock.getsockname()[1], stopping)
        finally:
            stopping.set()


async def get(agent: Path, path: str, status: int = 200) -> str:
    """What a fresh observer of `agent` answers, having looked for tasks once."""
    observer = Observer([agent])
    await observer.scan()
    with trio.fail_after(10):
        answer = await client(agent, observer).get(path, headers={"Accept": "text/html"})
    text: str = await answer.get_data(as_text=True)
    assert answer.status_code == status, text
    return text
