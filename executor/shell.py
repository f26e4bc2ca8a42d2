"""A shell command beside the task's processes: a health check (executor sheet, section 9)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

import trio

from aurorad import procfs
from aurorad.ending import end_all
from executor.process import become_user, close_all_but, default_signals, enter_directory, fork
from executor.sandbox import User

_MAX_OUTPUT = 1024  # bytes that are worth keeping in a task's history


async def run_shell(command: str, argv: tuple[str, ...], user: User, directory: Path, timeout_s: float) -> str | None:
    """None if `argv`, which runs `command`, succeeded, else the reason.

    It has our environment and works in `directory`. A process between us and it tells its status through a pipe, and
    kills whatever is left of it, daemons too, when it is over, late or cancelled. That process is reaped by the runner.
    """
    if "\0" in command:
        return "Invalid command."
    output, output_end = os.pipe()
    status, status_end = os.pipe()
    try:
        os.set_blocking(output, False)
        pid = fork()
        if pid == 0:
            _in_between(argv, user, directory, output_end, status_end)
    except OSError as error:
        os.close(output)
        os.close(status)
        return f"OSError: {error}"
    finally:
        os.close(output_end)
        os.close(status_end)
    try:
        with trio.move_on_after(timeout_s):
            return await _verdict(command, output, status)
        return "Health check timed out."
    finally:
        os.close(output)
        os.close(status)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


async def _verdict(command: str, output: int, status: int) -> str | None:
    said = bytearray()

    async def listen() -> None:
        while True:
            await trio.lowlevel.wait_readable(output)
            if not _take(output, said):
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.lowlevel.wait_readable(status)
        code, _, trouble = os.read(status, 512).decode(errors="replace").partition(" ")
        nursery.cancel_scope.cancel()
    if code == "0":
        return None
    if trouble:
        return f"OSError: {trouble.splitlines()[0]}"
    with contextlib.suppress(BlockingIOError):
        _take(output, said)
    return f"Command '{command}' returned non-zero exit status {code} with output '{said.decode(errors='replace')}'"


def _take(fd: int, said: bytearray) -> bool:
    """Reads once and keeps the last of it all. False at the end."""
    got = os.read(fd, 65536)
    said += got
    del said[:-_MAX_OUTPUT]
    return bool(got)


class _ToldToEnd(BaseException):
    """By a signal."""


def _in_between(argv: tuple[str, ...], user: User, directory: Path, output: int, status: int) -> NoReturn:
    try:
        os.setsid()
        verdict = _verdict_of(argv, user, directory, output, status)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _kill_descendants()
        os.write(status, verdict)
    finally:
        os._exit(0)


def _verdict_of(argv: tuple[str, ...], user: User, directory: Path, output: int, status: int) -> bytes:
    """The exit status; nothing if SIGTERM came first."""

    def end(number: int, frame: object) -> NoReturn:
        raise _ToldToEnd

    try:
        procfs.become_subreaper()
        signal.signal(signal.SIGTERM, end)
        pid = os.fork()
        if pid == 0:
            _become(argv, user, directory, output, status)
        close_all_but({status})
        return b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except OSError as error:
        return f"127 {error}".encode()
    except _ToldToEnd:
        return b""


def _kill_descendants() -> None:
    own = os.getpid()
    for pause_s in end_all(lambda: procfs.tree(own), lambda: [own]):
        time.sleep(pause_s)  # this is no event loop


def _become(argv: tuple[str, ...], user: User, directory: Path, output: int, status: int) -> NoReturn:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        default_signals()
        enter_directory(directory)
        become_user(user)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, fd in enumerate((null, output, output)):
            os.dup2(fd, number)
        close_all_but({0, 1, 2, status})  # the last is closed by a successful exec
        os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        os.write(status, f"127 {error}\n".encode())
    finally:
        os._exit(127)
