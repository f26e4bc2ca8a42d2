"""A shell command beside the task's processes: a health check (executor sheet, section 9)."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import NoReturn

import trio

from executor.process import become_user, close_all_but, default_signals, enter_directory, fork
from executor.sandbox import User

_MAX_OUTPUT = 1024  # bytes that are worth keeping in a task's history


async def run_shell(command: str, user: User, directory: Path, timeout_s: float) -> str | None:
    """None if the command succeeded, else the reason. It runs with our environment, as `user`, in `directory`.

    When it is late, over or cancelled, all of its session is killed. A process between us and it tells its status
    through a pipe: children are reaped by the runner.
    """
    output, output_end = os.pipe()
    status, status_end = os.pipe()
    try:
        os.set_blocking(output, False)
        pid = fork()
        if pid == 0:
            _in_between(command, user, directory, output_end, status_end)
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
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)


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
        code = os.read(status, 64).decode()
        nursery.cancel_scope.cancel()
    if code == "0":
        return None
    with contextlib.suppress(BlockingIOError):
        _take(output, said)
    return f"Command '{command}' returned non-zero exit status {code} with output '{said.decode(errors='replace')}'"


def _take(fd: int, said: bytearray) -> bool:
    """Reads once and keeps the last of it all. False at the end."""
    got = os.read(fd, 65536)
    said += got
    del said[:-_MAX_OUTPUT]
    return bool(got)


def _in_between(command: str, user: User, directory: Path, output: int, status: int) -> NoReturn:
    try:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            default_signals()
            enter_directory(directory)
            become_user(user)
            null = os.open(os.devnull, os.O_RDONLY)
            for number, fd in enumerate((null, output, output)):
                os.dup2(fd, number)
            close_all_but({0, 1, 2})
            os.execv("/bin/bash", ["/bin/bash", "-c", command])  # noqa: S606
        close_all_but({status, output})
        os.write(status, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    except BaseException as error:
        os.write(output, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(127)
