from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from aurorad.observer import following, streams
from aurorad.observer.following import Following, Piece
from tests.observer.host import Served, TaskOnDisk, running_task, served

LOG = "/logstream/t2/hello_world/0/stdout"


class Event(NamedTuple):
    kind: str
    id: str
    text: str


class Reader:
    """What a browser's EventSource does."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = b""

    async def head(self) -> str:
        return (await self._until(b"\r\n\r\n")).decode()

    async def event(self) -> Event:
        with trio.fail_after(20):
            while True:
                fields = dict(line.partition(": ")[::2] for line in (await self._chunked(b"\n\n")).decode().split("\n"))
                if "data" in fields:
                    return Event(fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"]))

    async def ended(self) -> bool:
        """In good order, and nothing else came before."""
        with trio.fail_after(20):
            return self._data + b"".join([data async for data in self._stream]) == b"0\r\n\r\n"

    async def _chunked(self, end: bytes) -> bytes:
        """One chunk of the transfer is one event."""
        size = int(await self._until(b"\r\n"), 16)
        assert size > 0, "the stream has ended"
        while len(self._data) < size + 2:
            await self._more()
        chunk, self._data = self._data[:size], self._data[size + 2 :]
        assert chunk.endswith(end)
        return chunk[: -len(end)]

    async def _until(self, end: bytes) -> bytes:
        while end not in self._data:
            await self._more()
        before, _, self._data = self._data.partition(end)
        return before

    async def _more(self) -> None:
        data = await self._stream.receive_some()
        assert data, "the connection has ended"
        self._data += data


@asynccontextmanager
async def reading(web: Served, path: str, *headers: str) -> AsyncIterator[Reader]:
    stream = await web.connect(path, *headers)
    async with stream:
        reader = Reader(stream)
        assert "200 OK" in await reader.head()
        yield reader


def start(log: Path, offset: int = 0) -> str:
    return f"?from={log.stat().st_ino}-{offset}"


@pytest.fixture
def task(tmp_path: Path) -> TaskOnDisk:
    return running_task(tmp_path)


async def test_lines_come_as_they_are_written(tmp_path: Path, task: TaskOnDisk) -> None:
    log = task.log("hello_world", "stdout", "")
    async with served(tmp_path) as web, reading(web, LOG + start(log)) as reader:
        assert (await reader.event()).text == "Hello world!\n"
        task.log("hello_world", "stdout", 'with "quotes"\nand <tags>\n')
        event = await reader.event()
        assert event == Event("message", f"{log.stat().st_ino}-{log.stat().st_size}", 'with "quotes"\nand <tags>\n')


async def test_it_is_a_stream_that_nobody_keeps_or_guesses_about(tmp_path: Path, task: TaskOnDisk) -> None:
    async with served(tmp_path) as web:
        stream = await web.connect(LOG)
        async with stream:
            head = (await Reader(stream).head()).lower()
    for line in ("content-type: text/event-stream; charset=utf-8", "cache-control: no-store", "nosniff"):
        assert line in head


async def test_who_comes_back_goes_on_where_the_last_event_ended(tmp_path: Path, task: TaskOnDisk) -> None:
    log = task.log("hello_world", "stdout", "")
    async with served(tmp_path) as web:
        async with reading(web, LOG + start(log)) as reader:
            last = await reader.event()
        task.log("hello_world", "stdout", "meanwhile\n")
        async with reading(web, LOG + start(log), f"Last-Event-ID: {last.id}") as reader:
            assert (await reader.event()).text == "meanwhile\n"


async def test_rotation_and_truncation_are_told(tmp_path: Path, task: TaskOnDisk) -> None:
    log = task.log("hello_world", "stdout", "")
    async with served(tmp_path) as web, reading(web, LOG + start(log, 13)) as reader:
        task.log("hello_world", "stdout", "a\n")
        assert (await reader.event()).text == "a\n"
        log.rename(log.with_name("stdout.1"))
        task.log("hello_world", "stdout", "b\n")
        assert [(await reader.event())[::2] for _ in range(2)] == [("rotated", ""), ("message", "b\n")]
        os.truncate(log, 0)
        assert (await reader.event()).kind == "cut"


async def test_it_ends_with_the_task_after_the_last_line(
    tmp_path: Path, task: TaskOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_LOOK_AT_TASK_EVERY_S", 0.0)
    log = task.log("hello_world", "stdout", "")
    async with served(tmp_path) as web, reading(web, LOG + start(log)) as reader:
        assert (await reader.event()).text == "Hello world!\n"
        task.log("hello_world", "stdout", "last words\n")
        task.finish()
        events = [await reader.event(), await reader.event()]
        assert [(event.kind, event.text) for event in events] == [("message", "last words\n"), ("end", "")]
        assert await reader.ended()


async def test_it_ends_when_the_observer_stops(tmp_path: Path, task: TaskOnDisk) -> None:
    async with served(tmp_path) as web, reading(web, LOG) as reader:
        web.stopping.set()
        assert await reader.ended()


async def test_a_reader_who_leaves_leaves_nothing_open(tmp_path: Path, task: TaskOnDisk) -> None:
    log = task.log("hello_world", "stdout", "")

    def readers() -> int:
        names = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        return sum(os.path.exists(name) and os.path.realpath(name) == str(log) for name in names)

    async with served(tmp_path) as web:
        async with reading(web, LOG + start(log)) as reader:
            await reader.event()
            assert readers() == 1
        with trio.fail_after(10):
            while readers():
                task.log("hello_world", "stdout", "anybody there?\n")
                await trio.sleep(0.05)


async def test_for_a_reader_who_takes_nothing_no_more_is_read(
    tmp_path: Path, task: TaskOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, really = 0, Following.read

    def counted(self: Following) -> Piece | None:
        nonlocal reads
        reads += 1
        return really(self)

    monkeypatch.setattr(Following, "read", counted)
    monkeypatch.setattr(following, "FAR_BYTES", 1 << 40)
    monkeypatch.setattr(streams, "_BETWEEN_PIECES_S", 0.0)
    log = task.log("hello_world", "stdout", "")
    os.truncate(log, 1 << 30)
    async with served(tmp_path) as web, reading(web, LOG + start(log)) as reader:
        await reader.event()
        before = -1
        while reads != before:  # until all buffers on the way are full
            before = reads
            await trio.sleep(0.3)
        assert reads * following.PIECE_BYTES < 64 << 20


async def test_there_are_not_any_number_of_streams(
    tmp_path: Path, task: TaskOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 1)
    log = task.log("hello_world", "stdout", "")
    async with served(tmp_path) as web, reading(web, LOG + start(log)) as reader:
        await reader.event()
        head, body = await web.get(LOG)
        assert b"503" in head
        assert b"too many" in body


async def test_what_is_not_there_is_404(tmp_path: Path, task: TaskOnDisk) -> None:
    async with served(tmp_path) as web:
        for path in (
            "/logstream/t2/hello_world/0/stdin",
            "/logstream/t2/hello_world/7/stdout",
            "/logstream/t9/x/0/stdout",
        ):
            head, _ = await web.get(path)
            assert b" 404 " in head


async def test_a_file_of_the_sandbox_is_followed_too_and_a_link_out_is_not(tmp_path: Path, task: TaskOnDisk) -> None:
    (task.sandbox / "file").write_text("in it\n")
    (task.sandbox / "out").symlink_to("/etc/passwd")
    async with served(tmp_path) as web:
        async with reading(web, "/filestream/t2/file?from=0-0") as reader:
            assert (await reader.event()).text == "in it\n"
        for path in ("/filestream/t2/out", "/filestream/t2/nope"):
            assert b" 404 " in (await web.get(path))[0]
