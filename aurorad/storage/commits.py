"""Group commit: entries wait for the log in order, and one append serves all that wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from aurorad.log.errors import LogFull
from aurorad.log.face import Log


class StorageNotReady(Exception):
    """The storage is not serving (yet, or any more): ERROR_TRANSIENT to a client."""


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
        """Until the log has it. Raises `LogFull` or `StorageNotReady` if it is undone."""
        await self._done.wait()
        if self._failure is not None:
            raise self._failure(self._reason)


# How often a log that has no room is asked again, if nobody writes meanwhile.
PROBE_S = 5.0
_BITE_S = 0.01


class GroupCommit:
    """The queue before a log. `run` must run."""

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
        self._in_flight: list[Commit] = []
        self._wake = trio.Event()

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
        waiting = self._queue or self._in_flight
        return waiting[-1] if waiting else None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Append in groups until cancelled, or until the log fails for good, which is raised.

        All that waits at the end is undone and gets `StorageNotReady`.
        """
        self._ready = True
        task_status.started()
        try:
            while True:
                if self.refusing is not None:
                    await self._await_another()
                await self._wake.wait()
                self._wake = trio.Event()
                await self._append_group()
        finally:
            self._ready = False
            self._undo_all(StorageNotReady("Storage has stopped"))

    async def _await_another(self) -> None:
        """Until somebody writes after a refusal; if nobody does for long, the probe is written."""
        with trio.move_on_after(PROBE_S):
            await self._wake.wait()
            return
        self.add(self._probe)

    async def _append_group(self) -> None:
        self._in_flight, self._queue = self._queue, []
        records = [record for commit in self._in_flight for record in commit.records]
        try:
            if records:
                last = await self._log.append(records)
                self._position = last - len(records)
        except LogFull as refusal:
            self.refusing = str(refusal)
            self.refusals += 1
            self._undo_all(refusal)
            return
        if records:
            self.refusing = None
        group, self._in_flight = self._in_flight, []
        since = trio.current_time()
        for commit in group:
            if trio.current_time() - since > _BITE_S:  # much to tell: others may have their turn, but nothing ends here
                await trio.lowlevel.cancel_shielded_checkpoint()
                since = trio.current_time()
            self._position += len(commit.records)
            commit.durable(self._position)
            commit.finish()

    def _undo_all(self, failure: Exception) -> None:
        """Undo what is in flight and all that was built on it, newest first."""
        undone = self._in_flight + self._queue
        self._in_flight, self._queue = [], []
        for commit in reversed(undone):
            commit.undo()
        for commit in undone:
            commit.finish(failure)
