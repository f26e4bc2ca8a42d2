"""The log that the schedulers agreed upon, put together from what any of them learns first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aurorad.log.messages import Value
from aurorad.storage.replay import Replay
from aurorad.storage.shared import Shared
from aurorad.storage.tables import Changes, Tables
from aurorad.vars import Vars
from tests.simulation.trace import Trace


class Truth:
    """`durable` is told of each transaction once, as soon as anybody knows that it is chosen."""

    def __init__(self, trace: Trace, durable: Callable[[Changes], None]) -> None:
        self.next = 0
        """After the last position that anybody knows."""
        self.last_entry = -1
        self._trace = trace
        self._durable = durable
        self._values: list[Value] = []
        self._replay = Replay(Tables(Vars()), Vars(), Shared())
        self._acknowledged: dict[int, str] = {}

    def learned(self, who: str, first: int, values: Sequence[Value]) -> None:
        """Those are in the log, as `who` knows."""
        if first > self.next:
            self._trace.violated("one log", f"{who} knows {first}, nobody knew {self.next}")
            return
        for position, value in enumerate(values, first):
            if position < self.next:
                if self._values[position] != value:
                    self._trace.violated("one log", f"{who} has another value at {position}")
                continue
            self.next = position + 1
            self._values.append(value)
            if isinstance(value, bytes):
                self.last_entry = position
                changes = Changes()
                self._replay.feed(position, value, changes)
                self._durable(changes)

    def acknowledged(self, who: str, position: int) -> None:
        """`who` tells its clients that a write of theirs is there."""
        if position >= self.next or not isinstance(self._values[position], bytes):
            self._trace.violated("log before acknowledge", f"{who} acknowledges {position} of {self.next}")
        elif self._acknowledged.setdefault(position, who) != who:
            self._trace.violated("one writer a position", f"{self._acknowledged[position]} and {who} at {position}")
