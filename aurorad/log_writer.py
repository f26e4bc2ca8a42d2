"""The log is written by a thread of its own: its reader and its disk may stand still, and the event loop may not.

A supervisor that is stopped, a full pipe or a journal that starts again would else hold the whole scheduler.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading
from logging.handlers import QueueHandler

_MOST_WAITING = 10_000
"""Records. What comes when so many wait is lost, and counted."""
_PATIENCE_S = 2.0
"""For what is left at the end."""


class LogStream(logging.StreamHandler):  # type: ignore[type-arg]  # generic for checkers alone
    """Writes to a stream's descriptor, past its buffer, whose lock would be held as long as a reader stands still."""

    def emit(self, record: logging.LogRecord) -> None:
        left = f"{self.format(record)}\n".encode(errors="backslashreplace")
        try:
            while left:
                try:
                    left = left[os.write(self.stream.fileno(), left) :]
                except BlockingIOError:  # another process that has it made it so
                    select.select([], [self.stream.fileno()], [])
        except (OSError, ValueError):
            return  # nobody reads it, there is no room, or it was closed: nor is there a place to say so

    def flush(self) -> None:
        """Nothing is ever left."""


class LogWriter(QueueHandler):
    """Has `target` write in a thread, in order; so no lock of it is needed. What is logged is as it was when it was."""

    def __init__(self, target: logging.Handler, most: int = _MOST_WAITING, patience_s: float = _PATIENCE_S) -> None:
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(most)
        super().__init__(self._waiting)
        self.setFormatter(logging.Formatter("%(message)s"))  # the rest is the target's
        self._target = target
        self._patience_s = patience_s
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Returns when all is written, or when that takes too long. May be called again."""
        if self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=self._patience_s)
                self._thread.join(self._patience_s)
            except queue.Full:
                pass  # it is stuck, and what waits is lost
        super().close()

    def _write(self) -> None:
        for record in iter(self._waiting.get, None):
            self._target.emit(record)
            lost, self._lost = self._lost, 0
            if lost:
                text = f"at least {lost} lines of this log are lost: nobody took them in time"
                self._target.emit(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (), None))
