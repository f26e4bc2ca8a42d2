"""Group commit: entries wait for the log in order, one append serves all that wait, and many may be under way."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from aurorad.log.errors import LogFull
from aurorad.log.face import Log, Receipt


class StorageNotReady(Exception):
    """The storage is not serving (yet, or any more), and did nothing: ERROR_TRANSIENT to a client."""


class OutcomeUnknown(Exception):
    """The storage ended while the log was taking a write, which may or may not stay: ERROR_TRANSIENT to a client."""


class Commit:
    """Records on their way into the log, what to do when they are there, and how to undo what they stand for."""

    def __init__(self, records: Sequence[bytes], durable: Callable[[int], None], undo: Callable[[], None]) -> None:
        self.records = records
        self.durable = durable
        self.undo = undo
        self._done = trio.Event()
        self._failure: type[Exception] | None = None
        self._reason = ""

    def finish(self, failure: Exception | None = None) -> None:
        if failure is not None:
            self._failure, self._reason = type(failure), str(failure)
        self._done.set()

    async def wait(self) -> None:
        """Until the log has it. Raises `LogFull` or `StorageNotReady` if it is undone, or `OutcomeUnknown`."""
        await self._done.wait()
        if self._failure is not None:
            raise self._failure(self._reason)


class _Group:
    """Commits that share an append."""

    def __init__(self, commits: list[Commit]) -> None:
        self.commits = commits
        self.records = [record for commit in commits for record in commit.records]
        self.receipt: Receipt | None = None


MOST_UNDER_WAY = 16
"""Appends at a time: enough that a far quorum does not slow writers down, few enough that those who wait share."""

# How often a log that has no room is asked again, if nobody writes meanwhile.
PROBE_S = 5.0
# How long whoever stops the storage waits for what the log is taking.
GRACE_S = 2.0
_BITE_S = 0.01


class GroupCommit:
    """The queue before a log. `run` must run, once."""

    def __init__(self, log: Log, probe: Sequence[bytes]) -> None:
        """`probe` is written to learn whether a log that had no room has some again."""
        self.refusing: str | None = None
        """Why the log refused the last append, None after one that it took."""
        self.refusals = 0
        """How often it refused, and what waited was undone."""
        self._log = log
        self._probe = probe
        self._ready = False
        self._position = -1  # of the last record known to be in the log
        self._queue: list[Commit] = []
        self._under_way: deque[_Group] = deque()  # oldest first
        self._room = trio.Semaphore(MOST_UNDER_WAY)
        self._wake = trio.Event()
        self._failure: Exception | None = None

    def check_ready(self) -> None:
        """Raises `StorageNotReady`."""
        if not self._ready:
            raise StorageNotReady("Storage is not READY")

    def add(
        self,
        records: Sequence[bytes],
        durable: Callable[[int], None] = lambda _: None,
        undo: Callable[[], None] = lambda: None,
    ) -> Commit:
        """Queue `records`, which may be none, behind all that wait.

        Once they are in the log `durable` is called with the position of the last (of those before, if there is none).
        If they are not to be, `undo` is called, after those of all that was queued later.
        """
        self.check_ready()
        commit = Commit(records, durable, undo)
        self._queue.append(commit)
        self._wake.set()
        return commit

    def last(self) -> Commit | None:
        """The last of those that wait."""
        if self._queue:
            return self._queue[-1]
        return self._under_way[-1].commits[-1] if self._under_way else None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Append in groups until cancelled, or until the log fails for good, which is raised.

        What the log is taking at the end is waited for, `GRACE_S` at most. All that still waits then is undone and gets
        `OutcomeUnknown` if the log was taking it, else `StorageNotReady`.
        """
        self._ready = True
        task_status.started()
        placed, to_finish = trio.open_memory_channel[_Group](math.inf)
        finishing = trio.CancelScope(shield=True)
        try:
            async with trio.open_nursery() as nursery:
                both = nursery.cancel_scope
                nursery.start_soon(self._until_failure, partial(self._submit_groups, placed, finishing), both)
                nursery.start_soon(self._until_failure, partial(self._finish_groups, to_finish, finishing), both)
        finally:
            self._end()
        if self._failure is not None:
            raise self._failure

    async def _until_failure(self, work: Callable[[], Awaitable[None]], both: trio.CancelScope) -> None:
        """The first failure ends both, and comes out of `run` as it is."""
        try:
            await work()
        except Exception as failure:
            self._failure = self._failure or failure
            both.cancel()

    async def _submit_groups(self, placed: trio.MemorySendChannel[_Group], finishing: trio.CancelScope) -> None:
        try:
            while True:
                if self.refusing is not None:
                    await self._await_another()
                await self._wake.wait()
                self._wake = trio.Event()
                if self._queue:
                    await self._room.acquire()
                    await self._submit_group(placed)
        finally:
            self._ready = False
            placed.close()
            finishing.deadline = trio.current_time() + GRACE_S

    async def _await_another(self) -> None:
        """Until somebody writes after a refusal; if nobody does for long, the probe is written."""
        with trio.move_on_after(PROBE_S):
            await self._wake.wait()
            return
        self.add(self._probe)

    async def _submit_group(self, placed: trio.MemorySendChannel[_Group]) -> None:
        group, self._queue = _Group(self._queue), []
        self._under_way.append(group)
        if group.records:
            try:
                group.receipt = await self._log.submit(group.records)
            except LogFull as refusal:
                self.refusing = str(refusal)
                self.refusals += 1
                self._take_back(group)
                undone, self._queue = self._queue, []
                _undo(undone, refusal)
                return
            except trio.Cancelled:
                self._take_back(group)
                raise
            self.refusing = None
        placed.send_nowait(group)

    def _take_back(self, group: _Group) -> None:
        """It has no place in the log."""
        self._under_way.remove(group)
        self._queue = group.commits + self._queue
        self._room.release()

    async def _finish_groups(self, placed: trio.MemoryReceiveChannel[_Group], finishing: trio.CancelScope) -> None:
        with placed, finishing:
            async for group in placed:
                await self._finish(group)

    async def _finish(self, group: _Group) -> None:
        if group.receipt is not None:
            self._position = await group.receipt.wait() - len(group.records)
        self._under_way.popleft()
        self._room.release()
        since = trio.current_time()
        for commit in group.commits:
            if trio.current_time() - since > _BITE_S:  # much to tell: others may have their turn, but nothing ends here
                await trio.lowlevel.cancel_shielded_checkpoint()
                since = trio.current_time()
            self._position += len(commit.records)
            commit.durable(self._position)
            commit.finish()

    def _end(self) -> None:
        taken = [commit for group in self._under_way for commit in group.commits]
        waiting, self._queue = self._queue, []
        self._under_way.clear()
        _undo(waiting, StorageNotReady("Storage has stopped"))
        _undo(taken, OutcomeUnknown("Storage has stopped while the log was taking this write"))


def _undo(commits: list[Commit], failure: Exception) -> None:
    """Newest first, and before anybody is told."""
    for commit in reversed(commits):
        commit.undo()
    for commit in commits:
        commit.finish(failure)
