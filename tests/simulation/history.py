"""What was the truth when, so that a read can be judged: it must show what held at one moment between its question and
its answer. All writes have their order in the log, so that nothing else is needed for linearizability.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

State = TypeVar("State")


class History(Generic[State]):
    """The states of many things. The present is a number, and only grows."""

    def __init__(self, before: State) -> None:
        """`before` is what everything is before anything is told of it."""
        self.now = 0
        self._before = before
        self._states: dict[Hashable, list[tuple[int, State]]] = {}

    def tell(self, key: Hashable, state: State) -> None:
        """It is so from now on."""
        self._states.setdefault(key, []).append((self.now, state))

    def since(self, key: Hashable, then: int) -> Iterator[State]:
        """What it was at any moment from `then` on, the latest first."""
        for began, state in reversed(self._states.get(key, [])):
            yield state
            if began <= then:
                return
        yield self._before
