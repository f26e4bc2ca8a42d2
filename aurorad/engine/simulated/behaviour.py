"""How pretended hosts and tasks behave."""

from __future__ import annotations

import random
import zlib
from enum import Enum

import msgspec


class Fate(Enum):
    """What becomes of a running task, unless somebody ends it before."""

    RUNS_ON = "runs on"
    FINISHES = "finishes"
    FAILS = "fails"
    FLAPS = "flaps"
    GETS_LOST = "gets lost"
    IS_KILLED = "is killed"


class Behaviour(msgspec.Struct, frozen=True):
    """Delays in seconds, and shares of tasks as parts of 1; what they leave runs until it is told otherwise.

    The defaults are those of the pretended master with which the original's answers were recorded.
    """

    starting_s: float = 0.15
    """From the launch to TASK_STARTING, and from there to TASK_RUNNING."""
    kill_s: float = 0.15
    """From a kill to TASK_KILLED."""
    merge_s: float = 0.25
    """An offer is replaced by a larger one so long after something else became free."""
    strict_offers: bool = False
    """A launch that was on its way when its offer was replaced is lost, as with a real master; else it is done."""
    resend_s: float = 10.0
    """Updates are repeated so long after they were sent, until acknowledged."""
    run_s: float = 600.0
    """How long tasks run that finish, fail or get lost: from half to one and a half of it."""
    flap_s: float = 2.0
    """How long flapping tasks run."""
    finish: float = 0.0
    fail: float = 0.0
    lose: float = 0.0
    flap: float = 0.0
    """The share of instances whose every run fails soon."""


class Fortune:
    """Picks fates. A flapping instance always flaps, also under another run of the same seed."""

    def __init__(self, behaviour: Behaviour, rng: random.Random) -> None:
        self._behaviour = behaviour
        self._rng = rng
        self._salt = rng.getrandbits(32)
        shares = (
            (behaviour.finish, Fate.FINISHES),
            (behaviour.fail, Fate.FAILS),
            (behaviour.lose, Fate.GETS_LOST),
        )
        self._shares = tuple((share, fate) for share, fate in shares if share)

    def fate(self, source: str) -> Fate:
        """Of the next run of the instance `source`."""
        if self._behaviour.flap and zlib.crc32(source.encode(), self._salt) < self._behaviour.flap * 2**32:
            return Fate.FLAPS
        if self._shares:
            point = self._rng.random()
            for share, fate in self._shares:
                if point < share:
                    return fate
                point -= share
        return Fate.RUNS_ON

    def life_s(self, fate: Fate) -> float | None:
        """How long a task of this fate runs; None for ever."""
        if fate is Fate.RUNS_ON:
            return None
        if fate is Fate.FLAPS:
            return self._behaviour.flap_s
        return self._behaviour.run_s * (0.5 + self._rng.random())
