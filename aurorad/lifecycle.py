"""The states of a scheduler and the ways between them (storage sheet, B2), and why it ends."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from enum import StrEnum

import trio

from aurorad.vars import Vars

_log = logging.getLogger("aurorad.lifecycle")


class State(StrEnum):
    IDLE = "IDLE"
    PREPARING_STORAGE = "PREPARING_STORAGE"
    """Reads its disk."""
    STORAGE_PREPARED = "STORAGE_PREPARED"
    """Follows the log, to lead when it is elected."""
    LEADER_AWAITING_REGISTRATION = "LEADER_AWAITING_REGISTRATION"
    """Nobody else writes to the log; the engine does not know us yet."""
    ACTIVE = "ACTIVE"
    DEAD = "DEAD"


NEXT: Mapping[State, frozenset[State]] = {
    State.IDLE: frozenset({State.PREPARING_STORAGE, State.DEAD}),
    State.PREPARING_STORAGE: frozenset({State.STORAGE_PREPARED, State.DEAD}),
    State.STORAGE_PREPARED: frozenset({State.LEADER_AWAITING_REGISTRATION, State.DEAD}),
    State.LEADER_AWAITING_REGISTRATION: frozenset({State.ACTIVE, State.DEAD}),
    State.ACTIVE: frozenset({State.DEAD}),
    State.DEAD: frozenset({State.DEAD}),
}
"""What may follow each state: nobody leads twice in one life."""


class Lifecycle:
    """The state one scheduler is in, shown as ``scheduler_lifecycle_<STATE>`` (vars sheet, section 4)."""

    def __init__(self, stats: Vars) -> None:
        self.state = State.IDLE
        self._story = [State.IDLE]
        for state in State:
            stats.gauge(f"scheduler_lifecycle_{state}", functools.partial(self._is_in, state))

    def enter(self, state: State) -> None:
        """Raises `AssertionError`, with all states up to now, where there is no such way."""
        assert state in NEXT[self.state], f"from {' to '.join(self._story)} there is no way to {state}"
        if state is self.state:
            return
        self.state = state
        self._story.append(state)

    def _is_in(self, state: State) -> int:
        return int(self.state is state)


WRONG = 1
"""The exit status when somebody must put something right first: flags, and files that they name."""
DEFECT = 70
"""The exit status of what should never happen: sysexits' EX_SOFTWARE. Better started again than not there."""
START_AGAIN = 75
"""The exit status of who shall be started again: sysexits' EX_TEMPFAIL."""


class StartAgain(Exception):
    """The scheduler has ended, and its supervisor shall start it again. The text says why."""


class Ending:
    """Set once the scheduler shall end, in order. What comes first is why."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.why: str | None = None
        """Why it shall be started again; None if it shall not, or if nothing ends."""

    def told(self, how: str) -> None:
        """Somebody wants it gone."""
        _log.info("%s: %sstopping", how, "already " * self.begun.is_set())
        self.begun.set()

    def because(self, why: str) -> None:
        """It cannot go on, or should not, and another one shall take its place."""
        if not self.begun.is_set():
            _log.warning("%s: stopping", why)
            self.why = why
            self.begun.set()
