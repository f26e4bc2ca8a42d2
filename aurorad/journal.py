"""Records for systemd's journal, if standard error leads there: with levels, and one entry each, however many lines.

The journal's own protocol: one datagram of fields, each ``NAME=value\\n``; or, if the value has lines, ``NAME\\n``, its
length, and the value.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from aurorad.log_lines import LogLines, spelled_out
from aurorad.log_writer import LogStream

_SOCKET = Path("/run/systemd/journal/socket")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether this is the very stream that systemd connected with the journal, as ``JOURNAL_STREAM`` says."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalHandler(logging.Handler):
    """Fields: what journald knows of everybody, and PRIORITY, LOGGER, CODE_FILE, CODE_LINE, CODE_FUNC."""

    def __init__(self, address: Path = _SOCKET) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(entry(self.format(record), record))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._address)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        """What is too long for a datagram goes as a file in memory that nobody can change any more."""
        with os.fdopen(os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb") as file:
            file.write(data)
            file.flush()
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", file.fileno()))]
            self._socket.sendmsg([], rights, 0, self._address)


def entry(text: str, record: logging.LogRecord) -> bytes:
    """A record as the journal takes it; nobody outside can make it two, or command a terminal with it."""
    fields = {
        "MESSAGE": spelled_out(text),
        "PRIORITY": str(next((to for least, to in _PRIORITIES if record.levelno >= least), _DEBUG)),
        "SYSLOG_IDENTIFIER": "aurorad",
        "LOGGER": record.name,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }
    return b"".join(_field(name.encode(), value.encode(errors="backslashreplace")) for name, value in fields.items())


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" not in value:
        return b"%b=%b\n" % (name, value)
    return b"%b\n%b%b\n" % (name, struct.pack("<Q", len(value)), value)


def log_handler(stream: TextIO, environment: Mapping[str, str]) -> logging.Handler:
    """What the daemon's log goes to: the journal, or lines on `stream`."""
    if is_journal(stream, environment) and _SOCKET.is_socket():
        return JournalHandler()
    handler = LogStream(stream)
    handler.setFormatter(LogLines())
    return handler
