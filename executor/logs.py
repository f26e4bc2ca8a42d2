"""The executor's own log, in the line format of all of Aurora's Python programs (executor sheet, section 14)."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path

LOG_NAME = "thermos_executor.log"


class GoogleFormatter(logging.Formatter):
    """``I0314 15:09:26.535897 4242 runner.py:12] message``, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        micros = int(record.created % 1 * 1e6)
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return f"{record.levelname[0]}{when}.{micros:06d} {record.process} {record.filename}:{record.lineno}] {text}"


class _FileHandler(logging.Handler):
    """One write a line, nothing kept back: a fork has nothing to write a second time."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a full disk takes the log, but must not take the task
            os.write(self._fd, f"{self.format(record)}\n".encode())

    def close(self) -> None:
        os.close(self._fd)
        super().close()


def open_log(directory: Path) -> logging.Logger:
    """A logger of its own, of no one's hierarchy. Whoever opens it closes it. Raises `OSError`."""
    log = logging.Logger("thermos_executor", logging.DEBUG)
    handler = _FileHandler(directory / LOG_NAME)
    handler.setFormatter(GoogleFormatter())
    log.addHandler(handler)
    return log


def close_log(log: logging.Logger) -> None:
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()
