"""A task that takes more than it reserved is ended, with a word on why; others are not touched."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from aurorad.engine.base import TaskState
from executor import resources, usage
from executor.resources import (
    EXECUTOR_RAM,
    DiskLook,
    Excess,
    Limits,
    disk_excess,
    look_again,
    memory_excess,
    memory_pause_s,
    memory_used,
    watch_resources,
)
from executor.task import Resources
from tests.executor.harness import Executor, assigned, process, task

MB = 1 << 20


# The rules


def test_the_words_are_the_sheets() -> None:
    assert str(Excess("disk", 8, 9)) == "Disk limit exceeded.  Reserved 8 bytes vs used 9 bytes."
    assert str(Excess("memory", 8, 9)) == "Memory limit exceeded.  Reserved 8 bytes vs used 9 bytes."


def test_all_that_was_reserved_may_be_used_and_no_byte_of_disk_more() -> None:
    limits = Limits.of(Resources(1, 8 * MB, 16 * MB))
    assert disk_excess(limits, 16 * MB) is None
    assert disk_excess(limits, 16 * MB + 1) == Excess("disk", 16 * MB, 16 * MB + 1)
    assert disk_excess(limits.stretched(), 20 * MB) is None
    assert disk_excess(limits.stretched(), 20 * MB + 1) == Excess("disk", 20 * MB, 20 * MB + 1)


def test_memory_that_is_reserved_for_the_executor_may_be_used_as_well() -> None:
    limits = Limits.of(Resources(1, 8 * MB, 16 * MB))
    assert memory_excess(limits, 8 * MB + EXECUTOR_RAM) is None
    used = 8 * MB + EXECUTOR_RAM + 1
    assert memory_excess(limits, used) == Excess("memory", 8 * MB, used)


@pytest.mark.parametrize("none", [Limits.of(None), Limits.of(Resources(1, 0, 0))])
def test_what_was_not_reserved_at_all_has_no_limit(none: Limits) -> None:
    assert memory_excess(none, 1 << 60) is None
    assert disk_excess(none, 1 << 60) is None


@pytest.mark.parametrize(
    ("took_s", "since_s", "lost_mb", "again"),
    [
        (0.001, 1, 0, False),  # nothing happened
        (0.001, 9.9, 0, False),
        (0.001, 10, 0, True),  # others may have made room meanwhile
        (0.001, 1, 5, False),  # the task has 10 MB left: it cannot be over the limit
        (0.001, 1, 6, True),
        (0.001, 1, -100, False),  # somebody made room
        (1.0, 5, 6, False),  # a large sandbox: not more than a twentieth of the time
        (1.0, 20, 6, True),
        (1.0, 59, 0, False),
        (1.0, 60, 0, True),  # the sheet's interval is the longest
        (10.0, 60, 0, True),
    ],
)
def test_when_the_disk_is_looked_at_again(took_s: float, since_s: float, lost_mb: int, again: bool) -> None:
    assert look_again(DiskLook(took_s, room=10 * MB), since_s, lost_mb * MB) is again


@pytest.mark.parametrize(
    ("took_s", "quiet_s", "pause_s"),
    [
        (0, 0, 1),
        (0, 9.9, 1),
        (0, 10, 3),  # nothing happens there
        (0.1, 0, 2),  # so many processes, or so large ones: not more than a twentieth of the time
        (1, 10, 20),
    ],
)
def test_when_the_memory_is_looked_at_again(took_s: float, quiet_s: float, pause_s: float) -> None:
    assert memory_pause_s(took_s, quiet_s) == pause_s


# Watching, with a clock of our own


async def test_without_limits_nothing_is_looked_at(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    def members() -> list[int]:
        raise AssertionError("nobody should ask")

    with trio.move_on_after(1000) as scope:
        await watch_resources(Limits(0, 0), tmp_path, members)
    assert scope.cancelled_caught


async def test_a_quiet_task_is_looked_at_rarely(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = 0

    def walk(*_: object) -> list[int]:
        nonlocal walks
        walks += 1
        return [1 * MB]

    monkeypatch.setattr(usage, "sandbox_sizes", walk)
    monkeypatch.setattr(resources, "_free", lambda _: 1000 * MB)
    with trio.move_on_after(100):
        await watch_resources(Limits(0, 16 * MB), tmp_path, list)
    assert walks <= 10


async def test_a_limit_passed_is_seen_within_seconds(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used() -> int:
        return 1 * MB if trio.current_time() < start_s + 31.5 else 20 * MB

    start_s = trio.current_time()
    monkeypatch.setattr(usage, "sandbox_sizes", lambda *_: [used()])
    monkeypatch.setattr(resources, "_free", lambda _: 1000 * MB - used())
    assert await watch_resources(Limits(0, 16 * MB), tmp_path, list) == Excess("disk", 16 * MB, 20 * MB)
    assert 31.5 <= trio.current_time() - start_s <= 34.5


async def test_others_run_while_a_large_tree_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in range(2000):
        (tmp_path / str(file)).touch()
    monkeypatch.setattr("aurorad.pace._BITE_S", 0.0)  # whenever they may run, they do
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await resources._measured(usage.sandbox_sizes(tmp_path, []))
        nursery.cancel_scope.cancel()
    assert turns > 100


# Real tasks


def limited(cmdline: str, *, ram: int = 0, disk: int = 0, **fields: Any) -> dict[str, Any]:
    return task(process("p", cmdline), resources={"cpu": 1, "ram": ram, "disk": disk}, **fields)


def python(code: str) -> str:
    return f"exec {sys.executable} -c '{code}; import time; time.sleep(1000)'"


def reason(executor: Executor) -> str:
    """The message of a task that failed, of which nothing is left."""
    state, message = executor.finish()
    assert state == TaskState.TASK_FAILED
    assert executor.inhabitants() == []
    return message or ""


@pytest.mark.parametrize(
    "fill",
    [
        "head -c 40M /dev/zero > large; exec sleep 1000",
        "for i in $(seq 40); do head -c 1M /dev/zero > file-$i; done; exec sleep 1000",
        "mkdir -p a/b; head -c 40M /dev/zero > a/b/c; ln a/b/c d; ln a/b/c e; exec sleep 1000",
        "exec 9> log; rm log; head -c 40M /dev/zero >&9; exec sleep 1000",  # removed, and yet it takes room
        "head -c 40M /dev/zero; exec sleep 1000",  # its output counts
    ],
)
def test_a_task_that_fills_its_disk_fails(tmp_path: Path, fill: str) -> None:
    message = reason(Executor(assigned(limited(fill, disk=32 * MB)), tmp_path))
    start, _, used = message.removesuffix(" bytes.").rpartition(" ")
    assert start == f"Disk limit exceeded.  Reserved {32 * MB} bytes vs used"
    assert 32 * MB < int(used) < 42 * MB


def test_one_that_goes_on_filling_its_disk_is_not_waited_for(tmp_path: Path) -> None:
    fill = 'trap "" TERM; while true; do head -c 2M /dev/zero >> large; sleep 0.1; done'
    executor = Executor(assigned(limited(fill, disk=16 * MB, finalization_wait=300)), tmp_path)
    assert reason(executor).startswith("Disk limit exceeded.  Reserved")
    assert (executor.sandbox / "large").stat().st_size < 200 * MB


@pytest.mark.parametrize(
    "eat",
    [
        'x = b"x" * (96 << 20)',
        'import os, time; [os.fork() or (bytearray(b"x" * (24 << 20)), time.sleep(1000)) for _ in range(4)]',
        'import mmap; m = mmap.mmap(-1, 96 << 20); m.write(b"x" * (96 << 20))',
        'import mmap, os; f = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR); os.truncate(f, 96 << 20); '
        'm = mmap.mmap(f, 96 << 20); m.write(b"x" * (96 << 20))',
    ],
    ids=["one process", "many children", "shared memory", "a mapped file in memory"],
)
def test_a_task_that_eats_its_memory_fails_at_once(tmp_path: Path, eat: str) -> None:
    job = limited('trap "" TERM; ' + python(eat), ram=64 * MB)
    message = reason(Executor(assigned(job), tmp_path, spare_ram=0))
    start, _, used = message.removesuffix(" bytes.").rpartition(" ")
    assert start == f"Memory limit exceeded.  Reserved {64 * MB} bytes vs used"
    assert 64 * MB < int(used) < 220 * MB


def test_the_memory_of_a_task_that_was_taken_over_counts(tmp_path: Path) -> None:
    eat = "while [ ! -e go ]; do sleep 0.1; done; " + python('x = b"x" * (96 << 20)')
    job = assigned(limited("echo up > up; " + eat, ram=64 * MB))
    first = Executor(job, tmp_path, spare_ram=0)
    first.wait_for_file("up")
    first.crash()
    second = Executor(job, tmp_path, spare_ram=0)
    second.until(TaskState.TASK_RUNNING)
    (second.sandbox / "go").touch()
    assert reason(second).startswith(f"Memory limit exceeded.  Reserved {64 * MB} bytes")


def test_another_task_is_not_touched(tmp_path: Path) -> None:
    for name in ("greedy", "modest"):
        (tmp_path / name).mkdir()
    modest = Executor(assigned(limited("echo up > up; exec sleep 1000", ram=64 * MB, disk=MB)), tmp_path / "modest")
    modest.wait_for_file("up")
    greedy = Executor(assigned(limited(python('x = b"x" * (96 << 20)'), ram=64 * MB)), tmp_path / "greedy", spare_ram=0)
    reason(greedy)
    assert modest.states("p") == ["RUNNING"]
    modest.kill()
    modest.finish()


async def test_a_removed_file_that_another_writes_for_the_task_counts(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        log.write(b"x" * 65536)
        log.flush()
        (tmp_path / "log").unlink()
        with trio.fail_after(60):
            excess = await watch_resources(Limits(0, 1000), tmp_path, list, lambda: [os.getpid()])
    assert excess == Excess("disk", 1000, 65536)


async def test_memory_of_one_process_over_the_limit_is_told_without_a_closer_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel would make us wait for who is busy allocating."""
    monkeypatch.setattr(usage, "memory", lambda pid: usage.Memory(100, 90))
    monkeypatch.setattr(usage, "proportional_memory", lambda pid: 40)
    assert await memory_used([1, 2], 89) == 200
    assert await memory_used([1, 2], 90) == 80
    assert await memory_used([1, 2], 200) == 200
    assert await memory_used([], 200) == 0
