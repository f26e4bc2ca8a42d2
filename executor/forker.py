"""A process beside the executor that forks its coordinators.

Forked before the executor does anything, it shares nearly all of its memory with the launcher, and so do they. Forked
by the executor itself, each would keep a copy of all that the executor has touched until then.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from aurorad import procfs
from executor.checkpoint import StreamWriter
from executor.process import Coordinator, Launch, be_coordinator, close_all_but, connected, fork, fork_coordinator

_NAME = b"thermos-forker"
_MAX_PACKET_BYTES = 256 << 10  # more than the kernel lets through
_ANSWER_LIMIT_S = 5.0  # a machine may be slow; one that takes longer is stopped, maybe


class _NoAnswer(Exception):
    """No coordinator was forked, or none that does anything."""


class Forker:
    """The executor's end. `pid` is no process of the task's.

    Coordinators are its children, and when it ends those of the executor, the sub-reaper.
    """

    def __init__(self, pid: int, pidfd: int, channel: socket.socket) -> None:
        self.pid, self.pidfd = pid, pidfd
        self._channel = channel

    @property
    def dismissed(self) -> bool:
        return self._channel.fileno() < 0

    def fork(self, launch: Launch, stream: StreamWriter, seq: int) -> Coordinator:
        """As `fork_coordinator`, which does it if the forker has ended."""
        if launch.place.image is None:  # its mounts are only ours
            with suppress(_NoAnswer, ProcessLookupError):  # the latter if it was killed right away
                return self._ask(launch, stream, seq)
        return fork_coordinator(launch, stream, seq)

    def _ask(self, launch: Launch, stream: StreamWriter, seq: int) -> Coordinator:
        def start(go: int, records: int) -> int:
            order = pickle.dumps((launch, stream.path, seq))
            try:
                socket.send_fds(self._channel, [order], [stream.fd, go, records])
            except OSError:  # it has ended, or the order is too long
                raise _NoAnswer from None
            return 0

        return connected(start, self._pid_of)

    def _pid_of(self, records: int) -> int:
        """A coordinator begins with its pid; the pipe ends if none was forked."""
        poll = select.poll()
        poll.register(records, select.POLLIN)
        if not poll.poll(_ANSWER_LIMIT_S * 1000):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            raise _NoAnswer
        if not (said := os.read(records, 20)):
            raise _NoAnswer
        return int(said)

    def dismiss(self) -> None:
        """It ends: an idle process costs memory, too. Coordinators stay."""
        self._channel.close()

    def end(self) -> None:
        """It is gone when this returns."""
        self.dismiss()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)
        with suppress(ChildProcessError):  # a runner has taken leave of it
            os.waitpid(self.pid, 0)


@contextmanager
def forking() -> Iterator[Forker]:
    """Before anything else is done: what this process has touched by now, all coordinators have copies of.

    Raises `OSError`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = fork()
        if pid == 0:
            _serve(theirs)
        theirs.close()
        forker = Forker(pid, os.pidfd_open(pid), ours)
        try:
            yield forker
        finally:
            forker.end()


def _serve(channel: socket.socket) -> NoReturn:
    """Until the executor has ended."""
    try:
        os.setsid()
        close_all_but({0, 1, 2, channel.fileno()})
        with suppress(OSError):
            procfs.show_as(_NAME)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
        while True:
            order, fds, _, _ = socket.recv_fds(channel, _MAX_PACKET_BYTES, 3)
            if not order:
                break
            with suppress(OSError):  # there can be no fork; the executor will see
                if os.fork() == 0:
                    _coordinate(order, *fds)
            for fd in fds:
                os.close(fd)
    finally:
        os._exit(0)


def _coordinate(order: bytes, stream: int, go: int, records: int) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.write(records, b"%d" % os.getpid())  # at once: the executor waits for it
        for fd in (stream, go, records):
            os.set_inheritable(fd, False)  # which descriptors that were sent are at first
        launch, path, seq = pickle.loads(order)  # noqa: S301 - the executor's
        be_coordinator(launch, StreamWriter.inherited(path, stream), seq, go, records)
    finally:
        os._exit(1)
