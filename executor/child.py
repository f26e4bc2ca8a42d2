"""Work that may block, done by a process forked for it: threads are not for a process that forks all the time."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import NoReturn

import trio

from aurorad import procfs
from executor.process import fork

_READ_BYTES = 64 << 10


class ChildFailed(Exception):
    """The work raised an exception: its type's name and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


async def in_child(work: Callable[[], str]) -> str:
    """What `work` gives in a fork of this process. Cancelled, the fork and what it started are killed.

    Raises `ChildFailed`; `OSError` if there can be no fork. A runner at work would reap the fork for us: then, too,
    the answer counts, not the exit status.
    """
    answer, answer_end = os.pipe()
    try:
        pid = fork()
        if pid == 0:
            _work(work, answer_end)
    except OSError:
        os.close(answer)
        raise
    finally:
        os.close(answer_end)
    said = b""
    try:
        while True:
            await trio.lowlevel.wait_readable(answer)
            if not (part := os.read(answer, _READ_BYTES)):
                break
            said += part
    finally:
        os.close(answer)
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
        procfs.reap()  # one that the kernel holds is left to the runner
    if not said:
        raise ChildFailed("ChildProcessError", "ended without an answer")
    kind, _, text = said.decode(errors="replace").partition("\n")
    if kind:
        raise ChildFailed(kind, text)
    return text


def _work(work: Callable[[], str], answer: int) -> NoReturn:
    said = b""
    try:
        os.setsid()
        said = b"\n" + work().encode()
    except BaseException as error:
        said = f"{type(error).__name__}\n{error}".encode(errors="replace")
    finally:
        with contextlib.suppress(OSError):
            os.write(answer, said)
        os._exit(0)
