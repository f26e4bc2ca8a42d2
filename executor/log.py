"""The executor's own log: a file beside its sandbox, and its standard error (executor sheet, section 14)."""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from executor.flags import ExecutorFlags, LogTo

_WORDS = {logging.WARNING: "WARN", logging.CRITICAL: "FATAL"}
_GOOGLE_FORMAT = "[DIWEF]mmdd hh:mm:ss.uuuuuu pid file:line] msg"


class _Plain(logging.Formatter):
    """`` INFO] message``"""

    def format(self, record: logging.LogRecord) -> str:
        return f"{_word(record):>5}] {super().format(record)}"


class _Google(logging.Formatter):
    """``I0102 03:04:05.678901 1234 execution.py:42] message``"""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        microseconds = int(record.created % 1 * 1e6)
        where = f"{record.process} {record.filename}:{record.lineno}"
        return f"{_word(record)[0]}{when}.{microseconds:06} {where}] {super().format(record)}"


def _word(record: logging.LogRecord) -> str:
    return _WORDS.get(record.levelno, record.levelname)


def log_to(file: Path, flags: ExecutorFlags, arguments: Sequence[str]) -> None:
    """From now on what is logged goes there, as the flags say; `arguments` are told in the file's first lines."""
    google = flags.log_to_disk.style != "plain"
    with file.open("a") as stream:
        if google and stream.tell() == 0:
            stream.write(_header(arguments))
    handlers = (
        _set_up(logging.FileHandler(file), flags.log_to_disk, google=google),
        _set_up(logging.StreamHandler(sys.stderr), flags.log_to_stderr, google=flags.log_to_stderr.style == "google"),
    )
    logging.basicConfig(level=min(handler.level for handler in handlers), handlers=handlers, force=True)


def log_to_stderr() -> None:
    """From now on what is logged from INFO on goes there, as the `thermos` command does it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Google())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _set_up(handler: logging.Handler, target: LogTo, *, google: bool) -> logging.Handler:
    handler.setLevel(target.number)
    handler.setFormatter(_Google() if google else _Plain())
    return handler


def _header(arguments: Sequence[str]) -> str:
    return (
        f"Log file created at: {time.strftime('%Y/%m/%d %H:%M:%S')}\n"
        f"Running on machine: {socket.gethostname()}\n"
        f"{_GOOGLE_FORMAT}\n"
        f"Command line: {' '.join(['aurorad', '-role=executor', *arguments])}\n"
    )
