"""A log whose reader may stand still."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest

from aurorad.log_lines import LogLines
from aurorad.log_writer import LogStream, LogWriter


class Pipe:
    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.stream = os.fdopen(writer, "w")

    def fill(self) -> None:
        os.set_blocking(self.stream.fileno(), False)
        try:
            while True:
                os.write(self.stream.fileno(), b"x" * 65536)
        except BlockingIOError:
            os.set_blocking(self.stream.fileno(), True)

    def read(self) -> str:
        """All that is there, up to its end."""
        self.stream.close()
        with os.fdopen(self.reader) as reader:
            return reader.read().lstrip("x")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    it = Pipe()
    yield it
    it.stream.close()


def logger(writer: LogWriter) -> logging.Logger:
    log = logging.Logger("some.where")
    log.addHandler(writer)
    return log


def lines_on(pipe: Pipe) -> LogStream:
    handler = LogStream(pipe.stream)
    handler.setFormatter(LogLines())
    return handler


def test_records_are_written_in_order_as_they_were_with_their_traces(pipe: Pipe) -> None:
    writer = LogWriter(lines_on(pipe))
    log, names = logger(writer), ["a"]
    log.warning("these: %s", names)
    names.append("b")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("it failed")
    writer.close()
    first, second, *trace = pipe.read().splitlines()
    assert first.endswith(" W some.where: these: ['a']")
    assert second.endswith(" E some.where: it failed")
    assert trace[0] == "  Traceback (most recent call last):"
    assert trace[-1] == "  ValueError: broken"


def test_a_reader_that_stands_still_holds_nobody_and_is_told_what_it_missed(pipe: Pipe) -> None:
    pipe.fill()
    writer = LogWriter(lines_on(pipe), most=3, patience_s=60)
    log = logger(writer)
    for number in range(20):
        log.info("%d", number)
    text = read_to_the_end(pipe, writer)
    assert " I some.where: 0\n" in text
    assert "lines of this log are lost: nobody took them in time" in text


def test_a_stream_that_somebody_has_made_return_at_once_is_waited_for_all_the_same(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    writer = LogWriter(lines_on(pipe), patience_s=60)
    log, many = logger(writer), 40
    for number in range(many):
        log.info("%d %s", number, "x" * 10_000)
    lines = read_to_the_end(pipe, writer).splitlines()
    assert [int(line.split()[4]) for line in lines] == list(range(many))
    assert all(line.endswith(" " + "x" * 10_000) for line in lines)


def read_to_the_end(pipe: Pipe, writer: LogWriter) -> str:
    """All that is left to read, from now until the writer has ended."""
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(drained(pipe.reader)))
    reader.start()
    writer.close()
    pipe.stream.close()
    reader.join()
    (text,) = read
    return text


def drained(descriptor: int) -> str:
    with os.fdopen(descriptor) as reader:
        return reader.read().lstrip("x")


def test_the_end_waits_for_such_a_reader_no_longer_than_it_says(pipe: Pipe) -> None:
    pipe.fill()
    writer = LogWriter(lines_on(pipe), most=1, patience_s=0.01)
    for _ in range(5):
        logger(writer).warning("never read")
    writer.close()
    writer.close()
    os.close(pipe.reader)  # lets the thread go


def test_a_reader_that_is_gone_is_nobodys_fault(pipe: Pipe) -> None:
    os.close(pipe.reader)
    writer = LogWriter(lines_on(pipe))
    logger(writer).warning("for nobody")
    writer.close()
