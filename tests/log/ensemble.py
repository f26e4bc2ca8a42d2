"""Members of a log in one process: real disks, real TCP on loopback, each behind a proxy that can misbehave."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import trio

from aurorad.log.certificates import Certificates
from aurorad.log.disk import Disk, Folder
from aurorad.log.errors import LogFull, LogLost, NotElected
from aurorad.log.here import Timing
from aurorad.log.journal import Journal
from aurorad.log.messages import NOBODY, Metadata, Status
from aurorad.log.peers import TcpPeers
from aurorad.log.replicated import LogSettings, ReplicatedLog
from aurorad.vars import Value, Vars
from tests.log.fake_disk import FakeDisk
from tests.log.proxy import Proxy, address

QUICK = Timing(beat_s=0.05, write_s=2.0, election_s=2.0, fetch_s=0.5, full_s=0.5)


SEGMENT_BYTES = 1 << 20


def initialized(disk: Disk) -> None:
    """As by `journal.initialize`, with small segments."""
    journal = Journal.open(disk, alone=True, rng=random.Random(), segment_bytes=SEGMENT_BYTES)
    journal.append([Metadata(Status.VOTING, 0, NOBODY)])
    journal.close()


class Group:
    """Who is in the group, for all who watch it."""

    def __init__(self) -> None:
        self.members: frozenset[str] = frozenset()
        self._changed = trio.Event()

    def set(self, members: frozenset[str]) -> None:
        self.members = members
        self._changed.set()
        self._changed = trio.Event()

    async def watch(self) -> AsyncIterator[frozenset[str]]:
        while True:
            changed = self._changed
            yield self.members
            await changed.wait()


class Member:
    """One place for a member: its folder, its address, and what runs there, if anything does."""

    def __init__(self, ensemble: Ensemble, folder: Path, proxy: Proxy) -> None:
        self.folder = folder
        self.proxy = proxy
        self.stats = Vars()
        self.settings = ensemble.settings
        self.certificates: Certificates | None = None
        self.disk: Callable[[], Disk] = lambda: Folder(folder)
        self.target = ""
        self._ensemble = ensemble
        self._log: ReplicatedLog | None = None
        self._restarting = trio.Lock()
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    @property
    def me(self) -> str:
        return self.proxy.address

    @property
    def log(self) -> ReplicatedLog:
        assert self._log is not None, "it does not run"
        return self._log

    @property
    def is_running(self) -> bool:
        return self._log is not None

    def var(self, what: str) -> Value:
        return self.stats.get(f"scheduler_log_native_{what}")

    async def start(self) -> None:
        await self._ensemble.nursery.start(self._run)

    async def stop(self) -> None:
        """At once, wherever it is; a write to the disk that has begun is finished."""
        self._scope.cancel()
        await self._ended.wait()

    async def restart(self) -> None:
        async with self._restarting:
            await self.stop()
            await self.start()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        self._scope, self._ended, self.stats = trio.CancelScope(), trio.Event(), Vars()
        rng = random.Random()
        settings = self.settings
        try:
            with self._scope:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                self.target = address(listener)
                peers = TcpPeers(listener, self.me, settings.cluster_id, self.stats, rng, self.certificates)
                journal = await trio.to_thread.run_sync(
                    lambda: Journal.open(self.disk(), alone=settings.quorum == 1, rng=rng, segment_bytes=SEGMENT_BYTES)
                )
                self._log = ReplicatedLog(journal, peers, self._ensemble.group.watch(), settings, self.stats, rng)
                try:
                    await self._log.run(task_status=task_status)
                finally:
                    await self._log.aclose()
        finally:
            self._log = None
            self._ended.set()


class Ensemble:
    """`running` makes one."""

    def __init__(self, nursery: trio.Nursery, folder: Path, quorum: int) -> None:
        self.nursery = nursery
        self.group = Group()
        self.settings = LogSettings("west", quorum, timing=QUICK)
        self.members: list[Member] = []
        self._folder = folder

    async def add(self, *, voting: bool = False, disk: FakeDisk | None = None) -> Member:
        """A new member, which does not run yet."""
        proxy = await Proxy.open(lambda: member.target)
        member = Member(self, self._folder / f"member-{len(self.members)}", proxy)
        if disk is not None:
            member.disk = lambda: disk
        if voting:
            initialized(member.disk())
        self.nursery.start_soon(proxy.run)
        self.members.append(member)
        self.group.set(self.group.members | {member.me})
        return member

    async def leader(self, among: list[Member] | None = None) -> Member:
        """One that leads, having been asked to if need be."""
        tried = among or self.members
        with trio.fail_after(60):
            while True:
                for member in tried:
                    try:
                        with trio.move_on_after(10):
                            await member.log.fit()
                            await member.log.lead()
                            return member
                    except NotElected:
                        pass


@asynccontextmanager
async def running(
    folder: Path, count: int, pretended: Mapping[int, FakeDisk] = MappingProxyType({})
) -> AsyncIterator[Ensemble]:
    """`count` members that vote, some of them on pretended disks."""
    async with trio.open_nursery() as nursery:
        ensemble = Ensemble(nursery, folder, count // 2 + 1)
        for number in range(count):
            await ensemble.add(voting=True, disk=pretended.get(number))
        for member in ensemble.members:
            await member.start()
        yield ensemble
        nursery.cancel_scope.cancel()


async def write(member: Member, *entries: bytes) -> int:
    """The position of the last, once the log has them."""
    with trio.fail_after(30):
        return await (await member.log.submit(entries)).wait()


async def entries(log: ReplicatedLog, position: int | None = None) -> list[bytes]:
    start = log.begin if position is None else position
    return [entry async for some in log.read(start) for _, entry in some]


async def has(member: Member, *expected: bytes) -> None:
    """Until the member has learned these, and nothing else."""
    with trio.fail_after(30):
        while not await _has(member, expected):  # noqa: ASYNC110  # it is another member that brings it
            await trio.sleep(0.01)


async def _has(member: Member, expected: Sequence[bytes]) -> bool:
    try:
        return await entries(member.log) == list(expected)
    except LookupError:  # its log began anew meanwhile
        return False


class Writer:
    """Writes numbers through whoever leads, and remembers what became of each."""

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []
        self.unknown: set[bytes] = set()
        self._number = 0

    async def write(self, member: Member) -> bool:
        self._number += 1
        entry = b"%d" % self._number
        self.unknown.add(entry)
        try:
            await write(member, entry)
        except (LogFull, LogLost):
            return False
        self.unknown.remove(entry)
        self.acknowledged.append(entry)
        return True

    def check(self, found: list[bytes]) -> None:
        """All that was acknowledged is there, once and in order, and nothing that was not written."""
        assert [entry for entry in found if entry not in self.unknown] == self.acknowledged
        assert len(found) == len(set(found))
        assert found == sorted(found, key=int)
