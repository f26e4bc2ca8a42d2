"""What every executor does first, done once before they are forked.

The first use of a codec makes it, the first look for a user loads libraries: together a fifth of the time that an
executor needs to start. Forks find it done, and share the memory it took.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import h11
import msgspec
import trio

from aurorad.api import binary
from aurorad.api.tasks import AssignedTask, ExecutorConfig, TaskConfig
from aurorad.engine import executor_api as api
from executor import announcer_process, flags  # noqa: F401  the forks of the one share what importing it takes
from executor.checkpoint import ProcessStatus, RunnerCkpt, RunnerHeader, TaskStatus, decode_frames, encode_frame
from executor.instance import parse_instance
from executor.sandbox import current_user
from executor.templates import Bindings

_DATA = (
    '{"role": "", "environment": "", "name": "", "task": {"name": "a", "processes": [{"name": "a", "cmdline": ""}]}}'
)


def rehearse() -> None:
    """Changes nothing outside this process, and leaves no thread and no open file."""
    task = AssignedTask(task=TaskConfig(executor_config=ExecutorConfig("AuroraExecutor", _DATA)))
    binary.decode(AssignedTask, binary.encode(task))
    parse_instance(_DATA, Bindings("", 0, "", ""), {})
    for record in (
        RunnerCkpt(runner_header=RunnerHeader()),
        RunnerCkpt(task_status=TaskStatus()),
        RunnerCkpt(process_status=ProcessStatus()),
    ):
        decode_frames(encode_frame(record))
    msgspec.json.decode(msgspec.json.encode(api.Event("SUBSCRIBED")), type=api.Event)
    with suppress(msgspec.ValidationError):
        msgspec.json.decode(b"{}", type=api.LaunchedTask)
    _speak_http()
    flags.parse(())
    user = current_user()
    os.getgrouplist(user.name, user.gid)
    trio.run(_look_on)


def _speak_http() -> None:
    client = h11.Connection(h11.CLIENT)
    for event in (h11.Request(method="POST", target="/", headers=[("host", "a")]), h11.EndOfMessage()):
        client.send(event)
    client.receive_data(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    while not isinstance(client.next_event(), h11.EndOfMessage):
        pass


async def _look_on() -> None:
    trio.open_memory_channel[api.Event](0)
    with trio.open_signal_receiver(signal.SIGTERM), trio.move_on_after(0):
        await trio.sleep_forever()
