"""A process that has imported all an executor needs and forks one for each request.

Its standard input is a packet socket to the engine; it ends when the engine does. It has no threads and no event loop,
so its forks may start their own. They lead sessions of their own and nobody waits for them: neither the end of the
launcher nor that of the engine reaches them.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import msgspec

from aurorad import procfs
from aurorad.cgroups import EXECUTOR, TaskGroup
from aurorad.engine.local.processes import claim, identity_of
from aurorad.engine.local.spawner import MAX_PACKET_BYTES, Reply, Request
from executor.checkpoint import CheckpointError, TaskState
from executor.execution import Execution, wall_clock_ms
from executor.keeper import keep
from executor.main import ExecutionFactory, run
from executor.offline import record_end
from executor.paths import CHECKPOINTS, TaskPaths
from executor.rehearsal import rehearse

_NAME = b"aurora-executor"  # as ps shows it; the kernel takes 15 bytes


def serve(execution: ExecutionFactory) -> None:
    """Fork an executor for each request until the other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    with socket.socket(fileno=os.dup(0)) as engine:
        rehearse()
        gc.collect()
        gc.freeze()  # a collection in a fork shall not touch, and so copy, what all of them share
        while packet := _next_packet(engine):
            _fork(engine, msgspec.json.decode(packet, type=Request), execution)


def _next_packet(engine: socket.socket) -> bytes:
    """Empty once the engine is gone."""
    try:
        return engine.recv(MAX_PACKET_BYTES)
    except ConnectionResetError:  # it was killed and left replies of ours unread
        return b""


def _fork(engine: socket.socket, request: Request, execution: ExecutionFactory) -> None:
    try:
        if os.fork() == 0:
            _serve_request(engine, request, execution)
    except OSError as error:
        _reply(engine, Reply(request.id, error=f"cannot fork: {error}"))


def _serve_request(engine: socket.socket, request: Request, execution: ExecutionFactory) -> NoReturn:
    code = 1
    try:
        os.setsid()
        if request.end_task:
            _end_task(engine, request)
            code = 0
        else:
            _confine(engine, request)
            if _is_first(engine, request):
                _settle_in(Path(request.directory))
                os.environ.update(request.environment)
                code = run(request.arguments, os.environ, execution)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_task(engine: socket.socket, request: Request) -> None:
    paths = TaskPaths(Path(request.directory) / CHECKPOINTS, request.end_task)
    try:
        record_end(paths, TaskState[request.end_state], wall_clock_ms)
    except (CheckpointError, OSError) as error:
        _reply(engine, Reply(request.id, error=str(error)))
    else:
        _reply(engine, Reply(request.id))


def _confine(engine: socket.socket, request: Request) -> None:
    """Whatever descends from here is found again, even if it hides."""
    if request.group is not None:
        group = TaskGroup(Path(request.group))
        try:
            return group.enter(EXECUTOR)
        except OSError as error:
            group.remove()
            print(f"no control group for {request.id}: {error}", file=sys.stderr)
    try:
        keep(Path(request.directory))
    except OSError as error:
        _reply(engine, Reply(request.id, error=f"cannot fork: {error}"))
        raise
    os.setsid()
    return None


def _is_first(engine: socket.socket, request: Request) -> bool:
    """Whether the run is ours to execute. The engine is told whose it is."""
    own = identity_of(os.getpid())
    try:
        first = claim(Path(request.identity_file), own)
    except OSError as error:
        _reply(engine, Reply(request.id, error=str(error)))
        raise
    _reply(engine, Reply(request.id, identity=first))
    return first == own


def _settle_in(directory: Path) -> None:
    """Make the run's directory our place: work there, write there, and let go of all that came with the fork."""
    os.chdir(directory)
    os.umask(0o022)  # a task's files look the same wherever and however the daemon was started
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), descriptor)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    procfs.show_as(_NAME)


def _reply(engine: socket.socket, reply: Reply) -> None:
    try:
        engine.send(msgspec.json.encode(reply))
    except (BrokenPipeError, ConnectionResetError):
        return  # the engine is gone; a new one reads the identity from its file


def main() -> int:
    """The process of `aurorad -role=launcher`; the exit status."""
    serve(Execution)
    return 0
