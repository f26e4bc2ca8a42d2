"""Mesos' v1 executor API as both its sides need it: calls, events, RecordIO framing and where an agent listens.

An executor POSTs calls to ``/api/v1/executor``; the answer to SUBSCRIBE is a stream of events that stays open, every
other call is answered 202. JSON with bytes in base64. Fields that neither side uses are not declared; those a real
agent sends are skipped.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import msgspec
import trio

from aurorad.engine import recordio
from aurorad.engine.base import TaskState
from aurorad.engine.recordio import Records

PATH = "/api/v1/executor"
UNIX = "unix:"
MAX_RECORD_BYTES = 64 << 20  # a task's data holds its whole job configuration; nothing real comes near


class Id(msgspec.Struct, frozen=True):
    """Any of Mesos' ids, which are messages of one field."""

    value: str


class TaskStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """`timestamp` in seconds since the epoch. An update with a `uuid` is acknowledged by it."""

    task_id: Id
    state: TaskState
    uuid: bytes | None = None
    message: str | None = None
    source: str | None = None
    reason: str | None = None
    timestamp: float | None = None
    executor_id: Id | None = None


class Update(msgspec.Struct, frozen=True):
    status: TaskStatus


class Subscribe(msgspec.Struct, frozen=True):
    """What the agent may not know: tasks received, and updates sent, of which nothing was acknowledged."""

    unacknowledged_tasks: tuple[msgspec.Raw, ...] = ()
    unacknowledged_updates: tuple[Update, ...] = ()


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """From executor to agent: SUBSCRIBE, UPDATE or MESSAGE, with the field of that name."""

    type: str
    framework_id: Id
    executor_id: Id
    subscribe: Subscribe | None = None
    update: Update | None = None


class LaunchedTask(msgspec.Struct, frozen=True):
    """The part of Mesos' TaskInfo that an executor needs."""

    name: str
    task_id: Id
    agent_id: Id
    data: bytes = b""


class Launch(msgspec.Struct, frozen=True):
    task: msgspec.Raw
    """A `LaunchedTask`, raw because it goes back whole in `Subscribe`."""


class Kill(msgspec.Struct, frozen=True):
    task_id: Id


class Acknowledged(msgspec.Struct, frozen=True):
    task_id: Id
    uuid: bytes


class Error(msgspec.Struct, frozen=True):
    message: str = ""


class Message(msgspec.Struct, frozen=True):
    data: bytes = b""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """From agent to executor: SUBSCRIBED, LAUNCH, KILL, ACKNOWLEDGED, MESSAGE, SHUTDOWN, ERROR, or what is skipped."""

    type: str
    launch: Launch | None = None
    kill: Kill | None = None
    acknowledged: Acknowledged | None = None
    message: Message | None = None
    error: Error | None = None


def record(event: Event) -> bytes:
    """The event as RecordIO frames it."""
    return recordio.record(msgspec.json.encode(event))


def records() -> Records[Event]:
    """Cuts a stream into events."""
    return Records(msgspec.json.Decoder(Event).decode, MAX_RECORD_BYTES)


async def connect(endpoint: str) -> trio.SocketStream:
    """A connection to ``unix:<path>`` or ``<host>:<port>``. Raises `OSError`."""
    if not endpoint.startswith(UNIX):
        host, _, port = endpoint.rpartition(":")
        return await trio.open_tcp_stream(host, int(port))
    path = Path(endpoint.removeprefix(UNIX))
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    directory = -1
    try:
        directory = _open_directory(path)
        await sock.connect(_short(directory, path))
    except BaseException:
        sock.close()
        raise
    finally:
        if directory >= 0:
            os.close(directory)
    return trio.SocketStream(sock)


def listen(path: Path) -> trio.SocketListener:
    """Listen on a unix socket that only this user may use, in place of whatever socket is at `path`."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = _open_directory(path)
    try:
        os.fchmod(sock.fileno(), stat.S_IRUSR | stat.S_IWUSR)  # before bind: nobody can come in between
        sock.bind(_short(directory, path))
        sock.listen(1024)
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(directory)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _open_directory(path: Path) -> int:
    return os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _short(directory: int, path: Path) -> str:
    """The kernel takes 107 bytes of socket path; through its open folder every path is short."""
    return f"/proc/self/fd/{directory}/{path.name}"
