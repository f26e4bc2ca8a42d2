"""Keeps a launcher (`executor.launcher`) running and asks it for executors.

A fresh Python that imports all an executor needs takes some 300 ms; a fork of a process that has done so takes a few.
Requests go over a socket pair. Asking twice is harmless: of the processes that start for one place, only the first to
write its identity there stays (`claim`), and every answer names that one.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence

import msgspec
import trio

from aurorad.engine.local.processes import NOBODY, Identity

AGENT_MARK = "AURORAD_AGENT"  # in the launcher's environment: marks its forks as ours, see `processes.end_all`
MAX_PACKET_BYTES = 128 << 10
_RESTART_PAUSE_S = (0.1, 5.0)  # first and longest, doubling while launchers end at once
_STOP_S = 5.0

_log = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True):
    """Start an executor with these arguments in `directory`, with `environment` on top of the launcher's own.

    With `end_task`: write into the checkpoints there that this task is over, as `end_state` (KILLED or LOST).
    """

    id: str
    """The reply carries it. No two that are open at the same time may have the same one."""
    directory: str
    identity_file: str = ""
    environment: dict[str, str] = {}
    arguments: tuple[str, ...] = ()
    group: str | None = None
    """The run's control group, to start in; without one, the executor has a keeper (`executor.keeper`)."""
    end_task: str = ""
    end_state: str = ""


class Reply(msgspec.Struct, frozen=True):
    """The process that runs the executor, none for `end_task`; or why it was not done."""

    id: str
    identity: Identity | None = None
    error: str | None = None


class CannotStart(Exception):
    """No executor could be started: the text says why."""


class _Waiting:
    def __init__(self, request: Request) -> None:
        self.packet = msgspec.json.encode(request)
        self.replied = trio.Event()
        self.reply: Reply | None = None


class Spawner:
    """`run` must run for requests to be answered. Executors do not notice when the launcher ends."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._waiting: dict[str, _Waiting] = {}
        self._socket: trio.socket.SocketType | None = None
        self._sending = trio.Lock()
        self._trouble = ""  # what became of the last launcher, until one answers
        self.launcher_pid: int | None = None

    async def start(self, request: Request, timeout_s: float) -> Identity:
        """The process that runs the request's executor now. Raises `CannotStart`."""
        reply = await self._ask(request, timeout_s)
        if reply.identity is None or reply.identity == NOBODY:
            raise CannotStart(reply.error or "the request was given up before it came to a process")
        return reply.identity

    async def end_task(self, request: Request, timeout_s: float) -> None:
        """Have the end of a task written down, nothing of which is alive. Raises `CannotStart`."""
        reply = await self._ask(request, timeout_s)
        if reply.error is not None:
            raise CannotStart(reply.error)

    async def _ask(self, request: Request, timeout_s: float) -> Reply:
        waiting = _Waiting(request)
        if len(waiting.packet) > MAX_PACKET_BYTES:
            raise CannotStart(f"a request of {len(waiting.packet)} bytes where {MAX_PACKET_BYTES} are the most")
        self._waiting[request.id] = waiting
        try:
            with trio.move_on_after(timeout_s):
                if self._socket is not None:  # else it is sent when the launcher is there
                    await self._send(self._socket, waiting.packet)
                await waiting.replied.wait()
        finally:
            del self._waiting[request.id]
        if waiting.reply is None:
            why = self._trouble or "the executor launcher does not answer"
            raise CannotStart(f"none after {timeout_s:g} s: {why}")
        return waiting.reply

    async def run(self) -> None:
        """Until cancelled; then the launcher ends, and what it started goes on."""
        pause_s = _RESTART_PAUSE_S[0]
        while True:
            started = trio.current_time()
            try:
                self._trouble = f"the executor launcher ended with {await self._run_launcher()}"
            except OSError as error:  # no process to be had, no memory: that may pass
                self._trouble = f"the executor launcher cannot be started: {error}"
            pause_s = _RESTART_PAUSE_S[0] if trio.current_time() - started > _RESTART_PAUSE_S[1] else pause_s
            _log.warning("%s; starting another in %g s", self._trouble, pause_s)
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, _RESTART_PAUSE_S[1])

    async def _run_launcher(self) -> int:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with trio.socket.from_stdlib_socket(mine) as ours:
            with theirs:
                process = await trio.lowlevel.open_process(
                    self._command,
                    stdin=theirs,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, **self._environment},
                    start_new_session=True,  # a Ctrl-C at the terminal is for us to handle
                )
            self.launcher_pid = process.pid
            try:
                await self._talk(ours)
            finally:
                self._socket = None
                ours.close()
                code = await _stop(process)
            return code

    async def _talk(self, sock: trio.socket.SocketType) -> None:
        """Send what waits and what comes, take the replies, until the launcher is gone."""
        self._socket = sock
        for waiting in list(self._waiting.values()):
            await self._send(sock, waiting.packet)
        while packet := await _receive(sock):
            self._trouble = ""
            reply = msgspec.json.decode(packet, type=Reply)
            asked = self._waiting.get(reply.id)
            if asked is not None:
                asked.reply = reply
                asked.replied.set()

    async def _send(self, sock: trio.socket.SocketType, packet: bytes) -> None:
        async with self._sending:
            try:
                await sock.send(packet)
            except (OSError, trio.ClosedResourceError):
                return  # the launcher is gone, and so may be our end by now: the next one gets it


async def _receive(sock: trio.socket.SocketType) -> bytes:
    try:
        return await sock.recv(MAX_PACKET_BYTES)
    except ConnectionResetError:
        return b""


async def _stop(process: trio.Process) -> int:
    """Wait for a launcher whose socket is closed, which makes it end. Shielded: it never outlives us."""
    with trio.CancelScope(shield=True):
        with trio.move_on_after(_STOP_S):
            await process.wait()
        process.kill()  # nothing, if it has ended
        await process.wait()
    assert process.returncode is not None
    return process.returncode
