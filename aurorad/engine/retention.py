"""Which ended runs are not kept any longer: a pure decision, for the agent and for `thermos gc`.

The model is Mesos' `--gc_delay` and `--gc_disk_headroom`, and the limits of the old `thermos gc` (thermos-runner
sheet, section 14).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SPARED_S = 600.0  # so long one may look why a task ended, unless the disk is all but full
_ALL_BUT_FULL = 0.1  # of the headroom


class Ended(NamedTuple):
    """A run that is over, or a finished task; what still runs has no place here. Time in seconds since the epoch."""

    id: str
    ended_s: float
    size_bytes: int


class Policy(NamedTuple):
    """What is kept at most; None means without limit."""

    max_age_s: float | None = None
    max_count: int | None = None
    max_bytes: int | None = None


class Disk(NamedTuple):
    """A file system, in bytes, and the part of it that shall stay free."""

    total: int
    free: int
    headroom: float

    @property
    def missing(self) -> int:
        """How much must come free."""
        return max(0, int(self.total * self.headroom) - self.free)

    @property
    def all_but_full(self) -> bool:
        return self.free < self.total * self.headroom * _ALL_BUT_FULL


def collectable(runs: Iterable[Ended], policy: Policy, now_s: float, disk: Disk | None = None) -> list[Ended]:
    """What is to be removed, oldest first: all that is too old, and then as many as the other limits demand.

    For the sake of the disk's headroom nothing goes that ended less than `SPARED_S` ago, until the disk is all but
    full.
    """
    left = sorted(runs, key=lambda run: (run.ended_s, run.id))
    count, size = len(left), sum(run.size_bytes for run in left)
    missing = disk.missing if disk is not None else 0
    spared_since_s = now_s - SPARED_S if disk is not None and not disk.all_but_full else now_s
    found: list[Ended] = []
    for run in left:
        too_old = policy.max_age_s is not None and now_s - run.ended_s > policy.max_age_s
        too_many = policy.max_count is not None and count > policy.max_count
        too_much = policy.max_bytes is not None and size > policy.max_bytes
        no_room = missing > 0 and run.ended_s <= spared_since_s
        if not (too_old or too_many or too_much or no_room):
            break  # whatever is younger stays too
        found.append(run)
        count, size, missing = count - 1, size - run.size_bytes, missing - run.size_bytes
    return found
