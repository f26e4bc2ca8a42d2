"""What the journal is told, over a real socket."""

from __future__ import annotations

import array
import io
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aurorad import journal
from aurorad.journal import JournalHandler, is_journal, log_handler


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"{tmp_path}/socket")
        yield sock


def told(listening: socket.socket, level: int, text: str, *arguments: object, error: bool = False) -> dict[str, str]:
    """The fields of the one entry that a record makes."""
    with closing(JournalHandler(Path(listening.getsockname()))) as handler:
        record = logging.LogRecord("aurorad.http", level, "/x.py", 7, text, arguments, None, "serve")
        record.exc_info = sys.exc_info() if error else None
        handler.handle(record)
    data, ancillary, _, _ = listening.recvmsg(1 << 20, socket.CMSG_SPACE(4))
    for _, _, rights in ancillary:
        (fd,) = array.array("i", rights)
        with os.fdopen(fd, "rb") as file:
            file.seek(0)
            data = file.read()
            with pytest.raises(OSError, match="Operation not permitted"):
                os.write(fd, b"more")
    return dict(fields(data))


def fields(data: bytes) -> Iterator[tuple[str, str]]:
    """As journald reads them."""
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", data[:8])
            value, end, data = data[8 : 8 + length], data[8 + length : 9 + length], data[9 + length :]
            assert end == b"\n"
        yield name.decode(), value.decode()


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, "7"),
        (logging.INFO, "6"),
        (logging.WARNING, "4"),
        (logging.ERROR, "3"),
        (logging.CRITICAL, "2"),
        (logging.CRITICAL + 1, "2"),
        (1, "7"),
    ],
)
def test_a_record_has_its_level_and_where_it_is_from(listening: socket.socket, level: int, priority: str) -> None:
    assert told(listening, level, "a host %s gone", "is") == {
        "MESSAGE": "aurorad.http: a host is gone",
        "PRIORITY": priority,
        "SYSLOG_IDENTIFIER": "aurorad",
        "LOGGER": "aurorad.http",
        "CODE_FILE": "/x.py",
        "CODE_LINE": "7",
        "CODE_FUNC": "serve",
    }


def test_many_lines_are_one_entry(listening: socket.socket) -> None:
    try:
        raise ValueError("odd\nPRIORITY=0")
    except ValueError:
        entry = told(listening, logging.ERROR, "failed:\nMESSAGE=ann was here", error=True)
    assert entry["PRIORITY"] == "3"
    assert entry["MESSAGE"].startswith(
        "aurorad.http: failed:\nMESSAGE=ann was here\nTraceback (most recent call last):\n"
    )
    assert entry["MESSAGE"].endswith("ValueError: odd\nPRIORITY=0")


def test_no_entry_commands_a_terminal_or_is_no_text(listening: socket.socket) -> None:
    assert told(listening, logging.INFO, "a\x1b[2J\r\udcff\0")["MESSAGE"] == r"aurorad.http: a\x1b[2J\x0d\udcff\x00"


def test_what_is_too_long_for_a_datagram_comes_as_a_file(listening: socket.socket) -> None:
    assert told(listening, logging.INFO, "x" * (1 << 20))["MESSAGE"] == "aurorad.http: " + "x" * (1 << 20)


def test_a_journal_that_is_gone_is_no_reason_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(JournalHandler(tmp_path / "none")) as handler:
        handler.handle(logging.LogRecord("aurorad", logging.INFO, "/x.py", 7, "hello", (), None))
    assert "No such file or directory" in capsys.readouterr().err


def test_only_the_very_stream_that_systemd_names_is_the_journal(
    tmp_path: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_SOCKET", Path(listening.getsockname()))
    with (tmp_path / "stderr").open("w") as stream, (tmp_path / "other").open("w") as other:
        status = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(stream, environment)
        assert not is_journal(stream, {})
        assert not is_journal(other, environment)
        assert not is_journal(io.StringIO(), environment)
        with closing(log_handler(stream, environment)) as handler:
            assert isinstance(handler, JournalHandler)
        assert isinstance(log_handler(other, environment), logging.StreamHandler)
        monkeypatch.setattr(journal, "_SOCKET", tmp_path / "none")
        assert isinstance(log_handler(stream, environment), logging.StreamHandler)
