"""Keeping a task announced: starts processes that are its member of a ServerSet, one at a time (executor sheet, 12)."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
from typing import NamedTuple

import trio

from aurorad.engine.base import TaskState
from executor.announcement import (
    Announcement,
    AnnouncerSettings,
    CannotAnnounce,
    announcement_of,
    connect_limit_s,
    unmapped,
)
from executor.checkers import CannotCheck, Checker, Outcome, RunningTask
from executor.process import fork

TIMED_OUT = "Creating Announcer Serverset timed out."
RETRY_S = 15.0  # after it could not join
_REJOIN_S = 1.0  # after it was a member
_END_LIMIT_S = 2.0  # longer than it allows itself
_READ_BYTES = 4096

_log = logging.getLogger(__name__)


class _Member(NamedTuple):
    """A process of `announcer_process`, and our end of its channel."""

    pid: int
    pidfd: int
    channel: trio.socket.SocketType


class Announcer:
    """Announces one task. `run` it once.

    `helpers` holds the pid of the process at work: it descends from the executor, but is not of the task.
    """

    def __init__(
        self,
        announcement: Announcement,
        settings: AnnouncerSettings,
        connect_limit_s: float,
        helpers: set[int],
        log: logging.Logger,
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._announcement, self._settings, self._connect_limit_s = announcement, settings, connect_limit_s
        self._helpers, self._log, self._retry_s = helpers, log, retry_s
        self._absent_since_s: float | None = trio.current_time()

    @property
    def disconnected_s(self) -> float:
        """0 for a member, else seconds since it was one, or since the start."""
        return 0.0 if self._absent_since_s is None else trio.current_time() - self._absent_since_s

    async def run(self) -> str:
        """Until cancelled; the node is deleted then, if ZooKeeper answers. Else it lives as long as its session.

        If ZooKeeper is not reached in the first `connect_limit_s` seconds, it gives the reason for the task to fail.
        """
        with trio.CancelScope(deadline=trio.current_time() + self._connect_limit_s) as limit:
            while True:
                pause_s = await self._membership(limit)
                await trio.sleep(pause_s)
        return TIMED_OUT

    async def _membership(self, limit: trio.CancelScope) -> float:
        """One process, from its start to its end. Seconds until there may be another."""
        try:
            member = _start(self._announcement, self._settings)
        except OSError as error:
            self._log.error("Failed to join ServerSet: %s", error)
            return self._retry_s
        self._helpers.add(member.pid)
        words = set()
        try:
            buffer = b""
            while said := await member.channel.recv(_READ_BYTES):
                *lines, buffer = (buffer + said).split(b"\n")
                for line in lines:
                    word, _, text = line.decode().partition(" ")
                    self._heed(word, text, limit)
                    words.add(word)
        finally:
            await _end(member)
            self._helpers.discard(member.pid)
            if "JOINED" in words:
                self._absent_since_s = trio.current_time()
        if not words & {"FAILED", "OVER"}:
            self._log.error("Failed to join ServerSet: the process that does it has ended without a word")
        return _REJOIN_S if "JOINED" in words else self._retry_s

    def _heed(self, word: str, text: str, limit: trio.CancelScope) -> None:
        if word == "CONNECTED":
            limit.deadline = math.inf
            self._log.info("Connected to ZooKeeper.")
        elif word == "SUSPENDED":
            self._log.warning("The connection to ZooKeeper is lost, trying to get it back.")
        elif word == "JOINED":
            self._log.info("Announced as %s after %.1f s.", text, self.disconnected_s)
            self._absent_since_s = None
        elif word == "FAILED":
            self._log.error("Failed to join ServerSet: %s", text)
        elif word == "OVER":
            self._log.warning("Not announced any more: %s", text)


def announcer_checker(task: RunningTask) -> Checker | None:
    """Keeps a task announced that wants it, if the executor's flags say where."""
    announce = task.instance.announce
    if announce is None or task.flags.announcer_ensemble is None:
        return None
    try:
        settings = AnnouncerSettings.read(task.flags)
        assert settings is not None
        job, instance = task.assigned.task.job, task.assigned.instance_id
        announcement = announcement_of(announce, settings, job, instance, task.hostname, task.ports)
    except (CannotAnnounce, ValueError) as error:
        raise CannotCheck(str(error)) from None
    for name, target in unmapped(announce, task.ports).items():
        _log.warning("Task has unmapped port: %s => %s", name, target)
    limit_s = connect_limit_s(task.instance.health_check_config)
    announcer = Announcer(announcement, settings, limit_s, task.helpers, _log)

    async def keep_announced() -> Outcome:
        return Outcome(TaskState.TASK_FAILED, await announcer.run())

    return keep_announced


def _start(announcement: Announcement, settings: AnnouncerSettings) -> _Member:
    """Raises `OSError`."""
    ours, theirs = socket.socketpair()
    executor = os.getpid()
    with theirs:
        try:
            pid = fork()
            if pid == 0:
                _in_fork(announcement, settings, theirs, executor)
            return _Member(pid, os.pidfd_open(pid), trio.socket.from_stdlib_socket(ours))
        except OSError:
            ours.close()
            raise


def _in_fork(announcement: Announcement, settings: AnnouncerSettings, channel: socket.socket, executor: int) -> None:
    try:
        from executor.announcer_process import be_member  # not above: what it needs is for the fork alone

        be_member(announcement, settings, channel, executor)
    finally:
        os._exit(1)


async def _end(member: _Member) -> None:
    """Has it leave, if it has not ended; it never outlives this."""
    member.channel.close()
    try:
        with trio.CancelScope(shield=True), trio.move_on_after(_END_LIMIT_S) as limit:
            await trio.lowlevel.wait_readable(member.pidfd)
        if limit.cancelled_caught:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(member.pidfd, signal.SIGKILL)
    finally:
        os.close(member.pidfd)
