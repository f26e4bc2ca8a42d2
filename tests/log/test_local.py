from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
import trio

from aurorad.log.errors import LogDamaged, LogInUse
from aurorad.log.local import LocalLog
from aurorad.log.segments import Segments
from aurorad.vars import Vars
from tests.log.fake_disk import FakeDisk, FakeFile


def _only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


async def test_entries_come_back_after_reopening(tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path, Vars())
    assert await (await log.submit([b"a", b"b"])).wait() == 1
    await log.aclose()
    log = await LocalLog.open(tmp_path, Vars())
    assert (log.begin, log.end) == (0, 2)
    assert [some async for some in log.read(0)] == [[(0, b"a"), (1, b"b")]]
    await log.aclose()


async def test_many_entries_are_read_a_handful_at_a_time(tmp_path: Path) -> None:
    stats = Vars()
    log = await LocalLog.open(tmp_path, stats)
    await log.submit([b"xy"] * 1200)
    lengths = [len(some) async for some in log.read(100)]
    assert sum(lengths) == 1100
    assert max(lengths) <= 500
    assert stats.get("scheduler_log_entries_read") == 1100
    assert stats.get("scheduler_log_bytes_read") == 2200
    assert stats.get("scheduler_log_entries_written") == 1200
    assert stats.get("scheduler_log_bytes_written") == 2400
    assert stats.get("scheduler_log_native_append_events") == 1
    await log.aclose()


async def test_truncated_entries_cannot_be_read() -> None:
    log = LocalLog(Segments(FakeDisk(), 100), Vars())
    for _ in range(5):
        await log.submit([b"x" * 100])
    await log.truncate(3)
    assert log.begin == 3
    with pytest.raises(LookupError, match="position 2 was truncated"):
        [some async for some in log.read(2)]


async def test_a_torn_tail_is_cut_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = await LocalLog.open(tmp_path, Vars())
    await log.submit([b"a"])
    await log.submit([b"b"])
    await log.aclose()
    os.truncate(_only_file(tmp_path), 54)
    log = await LocalLog.open(tmp_path, Vars())
    assert log.end == 1
    assert f"{tmp_path}: the last 25 bytes are no whole write" in caplog.text
    await log.aclose()


async def test_damage_is_refused_and_the_folder_let_go(tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path, Vars())
    await log.submit([b"a"])
    await log.submit([b"b"])
    await log.aclose()
    file = _only_file(tmp_path)
    with file.open("r+b") as content:
        content.seek(10)
        content.write(b"!")
    for _ in range(2):
        with pytest.raises(LogDamaged, match=f"^{file} is damaged at byte 0: "):
            await LocalLog.open(tmp_path, Vars())


async def test_two_logs_cannot_share_a_folder(tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path, Vars())
    with pytest.raises(LogInUse):
        await LocalLog.open(tmp_path, Vars())
    await log.aclose()


class _SlowFile(FakeFile):
    """Syncs when told to."""

    def __init__(self, disk: FakeDisk) -> None:
        super().__init__(disk)
        self.reached = threading.Event()
        self.go = threading.Event()

    def sync(self) -> None:
        self.reached.set()
        self.go.wait()
        super().sync()


async def test_a_cancelled_append_is_done_or_not_begun() -> None:
    disk = FakeDisk(random.Random(1))
    log = LocalLog(Segments(disk), Vars())
    file = disk.files[f"{0:020d}.log"]
    slow = _SlowFile(disk)
    file.sync = slow.sync  # type: ignore[method-assign]
    done: list[int] = []

    async def append() -> None:
        done.append(await (await log.submit([b"a"])).wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(append)
        await trio.to_thread.run_sync(slow.reached.wait)
        nursery.cancel_scope.cancel()
        slow.go.set()
    assert done == [0]
    with trio.CancelScope() as scope:
        scope.cancel()
        await log.submit([b"b"])
    assert log.end == 1


async def test_the_loop_goes_on_while_the_disk_is_slow() -> None:
    disk = FakeDisk()
    log = LocalLog(Segments(disk), Vars())
    slow = _SlowFile(disk)
    disk.files[f"{0:020d}.log"].sync = slow.sync  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.submit, [b"a"])
        await trio.to_thread.run_sync(slow.reached.wait)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        slow.go.set()
    assert log.end == 1
