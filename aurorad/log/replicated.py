"""The log that several machines agree upon, to those who use it."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import trio

from aurorad.log import paxos
from aurorad.log.disk import Folder
from aurorad.log.driving import Driver
from aurorad.log.errors import LogDamaged, LogFailed, LogLost, NotElected, Refused
from aurorad.log.face import Batches
from aurorad.log.here import Timing
from aurorad.log.journal import Journal
from aurorad.log.messages import Status
from aurorad.log.paxos import Chosen, Confirmed, Distrusted, Elected, ElectionFailed, Event, Lost, Member, Unfit
from aurorad.log.peers import Peers
from aurorad.log.receipts import Confirmations, Receipts, Submission
from aurorad.log.scribe import USUAL_ROOM, Room, size_of
from aurorad.vars import Value, Vars

_logger = logging.getLogger(__name__)

MAX_UNDER_WAY = 16 << 20
"""Bytes that are placed and not yet in the log, about: so much a new leader has to write again at most."""

_PIECE_BYTES = 1 << 20  # of one message, unless a single entry is larger
_READ_BYTES = 256 << 10
_NOT_IN_NAME = re.compile(r"[^\w.\-]", re.ASCII)


_Outcome: TypeAlias = Elected | ElectionFailed | Unfit


class LogSettings(NamedTuple):
    """What the flags say."""

    cluster_id: str
    quorum: int = 1
    timing: Timing = paxos.USUAL
    initialize: bool = False
    room: Room = USUAL_ROOM


class ReplicatedLog:
    """`face.LedLog`. `run` must run, once."""

    def __init__(
        self,
        journal: Journal,
        peers: Peers,
        group: AsyncIterator[frozenset[str]],
        settings: LogSettings,
        stats: Vars,
        rng: random.Random,
    ) -> None:
        """`group` says who is a member, by address. `aclose` closes the journal, which must be called."""
        self._journal = journal
        self._stats = stats
        self._member = Member(
            peers.me,
            settings.cluster_id,
            settings.quorum,
            journal.stored,
            rng,
            timing=settings.timing,
            initialize=settings.initialize,
        )
        self._driver = Driver(
            self._member,
            settings.quorum,
            journal,
            peers,
            group,
            chosen=self._chosen,
            event=self._event,
            room=settings.room,
        )
        self._end = journal.stored.learned_to
        self._learned = trio.Event()
        self._placing = trio.Lock()
        self._receipts = Receipts()
        self._confirmations = Confirmations()
        self._outcomes: list[_Outcome] = []  # of the election that goes on
        self._why_lost: str | None = None
        self._lost = trio.Event()
        self._declare()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be a member until cancelled. Raises `OSError` or `LogDamaged` if the disk fails, which is final."""
        try:
            await self._driver.run(task_status=task_status)
        finally:
            self._lose("The log was closed")

    async def aclose(self) -> None:
        """Let the journal go, even if cancelled; `run` must have ended."""
        await self._driver.scribe.close()

    # --- What is there ---

    @property
    def begin(self) -> int:
        """The position of the first entry that is still there."""
        return self._journal.begin

    @property
    def end(self) -> int:
        """After the last entry that is known to be in the log, and is here."""
        return self._end

    @property
    def reach(self) -> int:
        """As `face.Log` says."""
        return max(self._end, self._journal.end)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._journal.size

    async def read(self, position: int) -> Batches:
        """As `face.Log` says."""
        while position < self._end:
            position, entries = await self._read(position)
            if entries:
                yield entries

    async def follow(self, position: int) -> Batches:
        """As `face.LedLog` says."""
        while True:
            while position >= self._end:
                await self._learned.wait()
            position, entries = await self._read(position)
            if entries:
                yield entries

    async def _read(self, position: int) -> tuple[int, list[tuple[int, bytes]]]:
        """Some entries from there on, and the position behind them."""
        started, end = trio.current_time(), self._end
        try:
            values = await trio.to_thread.run_sync(self._journal.read, position, _READ_BYTES)
        except LogDamaged as damage:
            raise _failed(damage) from damage
        self._stats.observe("scheduler_log_native_read", trio.current_time() - started)
        values = values[: end - position]  # what was behind may have been cut off meanwhile
        entries = [(at, value) for at, value in enumerate(values, position) if isinstance(value, bytes)]
        self._stats.count("scheduler_log_entries_read", len(entries))
        self._stats.count("scheduler_log_bytes_read", sum(len(entry) for _, entry in entries))
        self._stats.count("scheduler_log_native_native_entries_skipped", len(values) - len(entries))
        return position + len(values), entries

    # --- What a leader does ---

    @property
    def unfit(self) -> str | None:
        """As `face.LedLog` says."""
        return self._member.unfit()

    async def fit(self) -> None:
        """As `face.LedLog` says."""
        while self._member.unfit() is not None:
            await self._driver.stepped()

    async def lead(self) -> None:
        """As `face.LedLog` says."""
        outcome = await self._elect()
        if isinstance(outcome, Unfit):
            raise Refused(outcome.why)
        if isinstance(outcome, ElectionFailed):
            raise NotElected(outcome.why)
        while self._end < outcome.end:
            await self._learned.wait()

    async def _elect(self) -> _Outcome:
        self._outcomes.clear()
        self._member.elect(trio.current_time())
        self._driver.step()
        while not self._outcomes:
            await self._driver.stepped()
        return self._outcomes[0]

    async def lost(self) -> str:
        """As `face.LedLog` says."""
        await self._lost.wait()
        return self._why_lost or ""

    async def confirm(self) -> None:
        """As `face.Log` says."""
        self._check()
        confirmed = self._confirmations.of(self._member.confirm(trio.current_time()))
        self._driver.step()
        await confirmed.wait()
        self._check()

    async def submit(self, entries: Sequence[bytes]) -> Submission:
        """As `face.Log` says."""
        started = trio.current_time()
        async with self._placing:
            self._check()
            await self._driver.scribe.make_room(size_of(entries))
            with trio.CancelScope(shield=True):  # what is begun is finished: it takes no longer than a write may
                pieces = list(_pieces(entries))
                for number, piece in enumerate(pieces, 1):
                    size = size_of(piece)
                    while self._receipts.size and self._receipts.size + size > MAX_UNDER_WAY:
                        await self._receipts.fewer.wait()
                    receipt = self._place(piece, size, started, more=number < len(pieces))
        return receipt

    async def truncate(self, before: int) -> None:
        """As `face.Log` says; returns when this member has forgotten them."""
        started = trio.current_time()
        async with self._placing:
            self._check()
            receipt = Submission(self._member.truncate(started, before), 0, started)
            self._receipts.add(receipt)
            self._driver.step()
        await receipt.wait()
        while self._journal.begin < self._member.begin and self._why_lost is None:
            await self._driver.stepped()
        await self._driver.scribe.rest()
        self._stats.observe("scheduler_log_native_truncate", trio.current_time() - started)

    def _place(self, entries: Sequence[bytes], size: int, started_s: float, *, more: bool) -> Submission:
        self._check()
        first = self._member.append(trio.current_time(), entries, more=more)
        receipt = Submission(first + len(entries) - 1, size, started_s)
        self._receipts.add(receipt)
        self._driver.step()
        self._stats.count("scheduler_log_entries_written", len(entries))
        self._stats.count("scheduler_log_bytes_written", sum(map(len, entries)))
        return receipt

    def _check(self) -> None:
        """Raises `LogLost` unless this process may write."""
        if self._why_lost is not None:
            raise LogLost(self._why_lost)
        if not self._member.leads:
            raise LogLost("This process does not lead the log")

    # --- What the member tells ---

    def _chosen(self, chosen: Chosen) -> None:
        self._end = chosen.first + len(chosen.values)
        self._learned.set()
        self._learned = trio.Event()
        now = trio.current_time()
        for receipt in self._receipts.done(self._end):
            if receipt.size:
                self._stats.observe("scheduler_log_native_append", now - receipt.since_s)

    def _event(self, event: Event) -> None:
        if isinstance(event, Confirmed):
            self._confirmations.confirmed(event.token)
        elif isinstance(event, Lost):
            self._stats.count(f"scheduler_log_native_append_{'timeouts' if event.timed_out else 'failures'}")
            self._lose(event.why)
        elif isinstance(event, Distrusted):
            self._stats.count("scheduler_log_native_distrusted")
            _logger.warning(
                "the disk of this log member is older than what it had confirmed to %s: it has no vote until it has"
                " learned everything again",
                event.by,
            )
        else:
            self._outcomes.append(event)

    def _lose(self, why: str) -> None:
        if self._why_lost is None:
            self._why_lost = why
            self._receipts.lost(why)
            self._confirmations.lost()
            self._lost.set()

    def _declare(self) -> None:
        stats, member, driver = self._stats, self._member, self._driver
        for what in ("append", "read", "truncate"):
            stats.declare_sliding(f"scheduler_log_native_{what}", "nanos")
            stats.declare(f"scheduler_log_native_{what}_timeouts", f"scheduler_log_native_{what}_failures")
        stats.declare("scheduler_log_native_native_entries_skipped", "scheduler_log_native_distrusted")
        stats.declare("scheduler_log_bytes_written", "scheduler_log_entries_written")
        stats.declare("scheduler_log_bytes_read", "scheduler_log_entries_read")
        stats.gauge("log/recovered", lambda: int(member.status is Status.VOTING))
        stats.gauge("log/ensemble_size", lambda: 1 + len(driver.others))
        gauges: dict[str, Callable[[], Value]] = {
            "status": lambda: member.status.name,
            "role": self._role,
            "unfit": lambda: self.unfit or "",
            "promised": lambda: member.promised[0],
            "begin": lambda: member.begin,
            "learned": lambda: member.learned_to,
            "end": lambda: member.end,
            "under_way_bytes": lambda: self._receipts.size,
            "backlog_bytes": lambda: driver.scribe.backlog,
            "stuck": lambda: int(driver.scribe.is_stuck),
        }
        for name, read in gauges.items():
            stats.gauge(f"scheduler_log_native_{name}", read)
        stats.family(self._lags)

    def _role(self) -> str:
        if self._member.leads:
            return "LEADER"
        followed = self._member.followed
        return f"FOLLOWER of {followed[0]}" if followed is not None else "FOLLOWER"

    def _lags(self) -> dict[str, Value]:
        """By how many positions each other member was behind when it was last heard, if this one leads."""
        if not self._member.leads:
            return {}
        return {
            f"scheduler_log_native_lag_{_NOT_IN_NAME.sub('_', address)}": max(0, self._member.end - end)
            for address, end in sorted(self._driver.ends.items())
        }


@asynccontextmanager
async def replicated_log(
    folder: Path,
    peers: Peers,
    group: AsyncIterator[frozenset[str]],
    settings: LogSettings,
    stats: Vars,
    rng: random.Random,
) -> AsyncIterator[ReplicatedLog]:
    """This member, whose disk is `folder`, as long as the block lasts. Raises all that `Journal.open` does.

    An error of the disk, or damage that is found later, cancels the block, and comes out in an exception group as
    `LogFailed`.
    """
    journal = await trio.to_thread.run_sync(lambda: Journal.open(Folder(folder), alone=settings.quorum == 1, rng=rng))
    if journal.damage is not None:
        _logger.error("%s, and was set aside: this log member learns from the others what it lacks", journal.damage)
    if journal.cut_bytes:
        _logger.warning("%s: cut off %d bytes of a write that a crash interrupted", folder, journal.cut_bytes)
    log = ReplicatedLog(journal, peers, group, settings, stats, rng)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, log)
            yield log
            nursery.cancel_scope.cancel()
    finally:
        await log.aclose()


async def _run(log: ReplicatedLog, *, task_status: trio.TaskStatus[None]) -> None:
    try:
        await log.run(task_status=task_status)
    except* (OSError, LogDamaged) as errors:
        raise _failed(_first(errors)) from errors


def _failed(error: BaseException) -> LogFailed:
    """Damage that is found while the log is in use, too: the next opening makes the best of it."""
    return LogFailed(f"the log's disk failed: {error}")


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _pieces(entries: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """What goes into one message each."""
    first, size = 0, 0
    for at, entry in enumerate(entries):
        if size and size + len(entry) > _PIECE_BYTES:
            yield entries[first:at]
            first, size = at, 0
        size += len(entry)
    yield entries[first:]
