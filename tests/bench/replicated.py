"""What the replicated log carries: members are processes of this machine, which share its cores and its one disk.

Many writers go through group commit, as the scheduler's writes do. The disk's own pace is measured in the same run.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import trio

from aurorad.log.disk import Folder
from aurorad.log.journal import initialize
from aurorad.log.peers import TcpPeers
from aurorad.log.replicated import LogSettings, ReplicatedLog, replicated_log
from aurorad.storage.commits import GroupCommit
from aurorad.vars import Vars
from tests.zookeeper import free_ports

Figure = tuple[str, str, str]  # what, measured, goal

ENTRY_BYTES = 300
WRITERS = {1: 500, 64: 15_000, 512: 40_000}
"""How many at a time, and how many entries they write."""
LARGE_BYTES, LARGE = 512 << 10, 100
SYNCS = 500


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        for members in (1, 3, 5):
            yield from _syncs(Path(folder), members)
            place = Path(folder) / f"members-{members}"
            for number in range(members):
                initialize(Folder(place / str(number)), random.Random())
            yield from _ensemble(place, members)


def _syncs(folder: Path, members: int) -> Iterator[Figure]:
    """As many processes as there are members, each writing and syncing a sector after the other."""
    others = [
        subprocess.Popen([sys.executable, "-m", __name__, "sync", folder / f"sync-{n}"]) for n in range(members - 1)
    ]
    times = _sync(folder / "sync-here")
    for other in others:
        other.wait()
    yield f"writing and syncing 512 bytes, {members} at a time: each", f"{1 / statistics.mean(times):,.0f}/s", ""
    yield "  p50, p99", _percentiles(times), ""


def _sync(path: Path) -> list[float]:
    times = []
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(file, 0, SYNCS * 512)
    os.fsync(file)
    for number in range(SYNCS):
        start = time.perf_counter()
        os.pwrite(file, bytes(512), number * 512)
        os.fdatasync(file)
        times.append(time.perf_counter() - start)
    os.close(file)
    return times


def _ensemble(folder: Path, members: int) -> list[Figure]:
    """The leader is here, the others are processes of their own."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(members)]
    with ExitStack() as processes:
        for number in range(1, members):
            command = [sys.executable, "-m", __name__, "member", str(folder / str(number)), str(number), *addresses]
            process = processes.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            processes.callback(process.kill)
        return trio.run(_lead, folder / "0", addresses)


async def _lead(folder: Path, addresses: Sequence[str]) -> list[Figure]:
    members = len(addresses)
    async with _member(folder, 0, addresses) as (log, stats):
        while stats.get("scheduler_log_native_peers_connected") != members - 1:  # noqa: ASYNC110
            await trio.sleep(0.1)
        await log.lead()
        found: list[Figure] = []
        for writers, count in WRITERS.items():
            found += await _write(log, writers, count, members)
        return found + await _write_large(log, members) + await _confirm(log, members)


@asynccontextmanager
async def _member(folder: Path, number: int, addresses: Sequence[str]) -> AsyncIterator[tuple[ReplicatedLog, Vars]]:
    stats, rng, me = Vars(), random.Random(), addresses[number]
    (listener,) = await trio.open_tcp_listeners(int(me.rpartition(":")[2]), host="127.0.0.1")
    peers = TcpPeers(listener, me, "bench", stats, rng)
    settings = LogSettings("bench", len(addresses) // 2 + 1)
    async with replicated_log(folder, peers, _group(addresses), settings, stats, rng) as log:
        yield log, stats


async def _group(addresses: Sequence[str]) -> AsyncIterator[frozenset[str]]:
    yield frozenset(addresses)
    await trio.sleep_forever()


async def _write(log: ReplicatedLog, writers: int, count: int, members: int) -> list[Figure]:
    commits = GroupCommit(log, probe=[b""])
    numbers, times = iter(range(count)), list[float]()

    async def write() -> None:
        for _ in numbers:
            start = time.perf_counter()
            await commits.add([bytes(ENTRY_BYTES)]).wait()
            times.append(time.perf_counter() - start)

    async with trio.open_nursery() as nursery:
        await nursery.start(commits.run)
        start = time.perf_counter()
        async with trio.open_nursery() as all_of_them:
            for _ in range(writers):
                all_of_them.start_soon(write)
        took = time.perf_counter() - start
        nursery.cancel_scope.cancel()
    return [
        (f"members: {members}, writers: {writers}, each entry of {ENTRY_BYTES} bytes", f"{count / took:,.0f}/s", ""),
        ("  p50, p99", _percentiles(times), ""),
    ]


async def _write_large(log: ReplicatedLog, members: int) -> list[Figure]:
    start = time.perf_counter()
    receipts = [await log.submit([bytes(LARGE_BYTES)]) for _ in range(LARGE)]
    for receipt in receipts:
        await receipt.wait()
    rate = LARGE * LARGE_BYTES / (time.perf_counter() - start) / (1 << 20)
    return [(f"members: {members}, entries of 512 KB", f"{rate:,.0f} MB/s", "")]


async def _confirm(log: ReplicatedLog, members: int) -> list[Figure]:
    times = []
    for _ in range(500):
        start = time.perf_counter()
        await log.confirm()
        times.append(time.perf_counter() - start)
    return [(f"members: {members}, a read is confirmed: p50, p99", _percentiles(times), "")]


def _percentiles(times: list[float]) -> str:
    times = sorted(times)
    return f"{times[len(times) // 2] * 1000:.2f}, {times[len(times) * 99 // 100] * 1000:.2f} ms"


async def _follow(folder: Path, number: int, addresses: Sequence[str]) -> None:
    """A member that is a process of its own, until it is killed."""
    async with _member(folder, number, addresses):
        await trio.sleep_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sync", path]:
            _sync(Path(path))
        case ["member", folder, number, *addresses]:
            trio.run(_follow, Path(folder), int(number), addresses)
