"""What a supervisor like systemd is told: that the daemon serves, what it does, that its loop goes on.

The protocol is sd_notify's: datagrams of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections import deque
from collections.abc import Callable, MutableMapping

import trio

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_MOST_OF_STATUS = 500  # characters; a datagram of more than 4096 bytes is ignored


class Notifier:
    """Where nobody listens, it says nothing. What cannot be said at once is said with what comes next."""

    def __init__(self, address: str | None = None, watchdog_s: float = math.inf) -> None:
        """`address` is a path, or ``@name`` of an abstract socket; within `watchdog_s` it wants to hear of us."""
        self._address = f"\0{address[1:]}" if address is not None and address.startswith("@") else address
        self._ping_every_s = watchdog_s / 2
        self._unsaid: deque[str] = deque()
        self._is_deaf = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Notifier:
        """What it says of a supervisor is taken out of it: our children are not meant."""
        address = environment.pop("NOTIFY_SOCKET", None)
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        is_meant = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if address is not None and not address.startswith(("/", "@")):
            _log.warning("NOTIFY_SOCKET=%s: a path or @name was expected; systemd is told nothing", address)
            address = None
        watches = is_meant and watchdog_us.isdecimal() and int(watchdog_us) > 0
        return cls(address, int(watchdog_us) / 1e6 if watches else math.inf)

    def tell(self, *lines: str) -> None:
        """These lines together. Never waits, never raises."""
        if self._address is None:
            return
        if lines:
            self._unsaid.append("\n".join(lines))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                while self._unsaid:
                    sock.sendto(self._unsaid[0].encode(errors="backslashreplace"), self._address)
                    self._unsaid.popleft()
            self._is_deaf = False
        except BlockingIOError:
            return  # its queue is full
        except OSError as error:
            if not self._is_deaf:
                _log.warning("systemd cannot be told anything: %s", error.strerror)
            self._is_deaf = True
            self._unsaid.clear()

    async def run(self, doing: Callable[[], str]) -> None:
        """Until cancelled, tell what the daemon is `doing` and that this loop gives everybody a turn."""
        if self._address is None:
            return
        told, pinged_at = "", -math.inf
        while True:
            now = status(doing())
            lines = [] if now == told else [now]
            told = now
            if trio.current_time() - pinged_at >= self._ping_every_s:
                pinged_at = trio.current_time()
                lines.append("WATCHDOG=1")
            if lines or self._unsaid:
                self.tell(*lines)
            await trio.sleep(min(_LOOK_EVERY_S, self._ping_every_s))


def status(text: str) -> str:
    """The line that tells people what the daemon does."""
    return f"STATUS={' '.join(text.split())[:_MOST_OF_STATUS]}"
