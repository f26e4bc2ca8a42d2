"""The status machine of an update: one table, and what each request means in it (updates sheet, section 4)."""

from __future__ import annotations

from typing import Final

from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, AWAITNG_PULSE_JOB_UPDATE_STATES, JobUpdateStatus
from aurorad.api.enums import JobUpdateStatus as S

ALLOWED: Final[dict[JobUpdateStatus, frozenset[JobUpdateStatus]]] = {
    S.ROLLING_FORWARD: frozenset(
        {
            S.ROLLING_BACK,
            S.ROLL_FORWARD_PAUSED,
            S.ROLL_FORWARD_AWAITING_PULSE,
            S.ROLLED_FORWARD,
            S.ABORTED,
            S.FAILED,
            S.ERROR,
        }
    ),
    S.ROLLING_BACK: frozenset(
        {S.ROLL_BACK_PAUSED, S.ROLL_BACK_AWAITING_PULSE, S.ROLLED_BACK, S.ABORTED, S.ERROR, S.FAILED}
    ),
    S.ROLL_FORWARD_PAUSED: frozenset(
        {S.ROLLING_BACK, S.ROLLING_FORWARD, S.ROLL_FORWARD_AWAITING_PULSE, S.ABORTED, S.ERROR}
    ),
    S.ROLL_BACK_PAUSED: frozenset({S.ROLLING_BACK, S.ROLL_BACK_AWAITING_PULSE, S.ABORTED, S.ERROR}),
    S.ROLL_FORWARD_AWAITING_PULSE: frozenset(
        {S.ROLLING_BACK, S.ROLLING_FORWARD, S.ROLL_FORWARD_PAUSED, S.ABORTED, S.ERROR}
    ),
    S.ROLL_BACK_AWAITING_PULSE: frozenset({S.ROLLING_BACK, S.ROLL_BACK_PAUSED, S.ABORTED, S.ERROR}),
    S.ROLLED_FORWARD: frozenset(),
    S.ROLLED_BACK: frozenset(),
    S.ABORTED: frozenset(),
    S.ERROR: frozenset(),
    S.FAILED: frozenset(),
}

ROLLING: Final = frozenset({S.ROLLING_FORWARD, S.ROLLING_BACK})
"""Work is done in these only."""

ACTIVE: Final = ACTIVE_JOB_UPDATE_STATES
"""While an update is in one of these, its job is locked."""

AWAITING_PULSE: Final = AWAITNG_PULSE_JOB_UPDATE_STATES

ACTIVE_UPDATE_EXISTS: Final = (
    "An active update already exists for this job, please terminate it before starting another. "
    f"Active updates are those in states [{', '.join(status.name for status in ALLOWED if status in ACTIVE)}]"
)

_PAUSED: Final = {
    S.ROLLING_FORWARD: S.ROLL_FORWARD_PAUSED,
    S.ROLL_FORWARD_AWAITING_PULSE: S.ROLL_FORWARD_PAUSED,
    S.ROLL_FORWARD_PAUSED: S.ROLL_FORWARD_PAUSED,
    S.ROLLING_BACK: S.ROLL_BACK_PAUSED,
    S.ROLL_BACK_AWAITING_PULSE: S.ROLL_BACK_PAUSED,
    S.ROLL_BACK_PAUSED: S.ROLL_BACK_PAUSED,
}
_RESUMED: Final = {
    S.ROLL_FORWARD_PAUSED: S.ROLLING_FORWARD,
    S.ROLLING_FORWARD: S.ROLLING_FORWARD,
    S.ROLL_BACK_PAUSED: S.ROLLING_BACK,
    S.ROLLING_BACK: S.ROLLING_BACK,
}
_RESUMED_BLOCKED: Final = {
    S.ROLL_FORWARD_PAUSED: S.ROLL_FORWARD_AWAITING_PULSE,
    S.ROLL_FORWARD_AWAITING_PULSE: S.ROLL_FORWARD_AWAITING_PULSE,
    S.ROLL_BACK_PAUSED: S.ROLL_BACK_AWAITING_PULSE,
    S.ROLL_BACK_AWAITING_PULSE: S.ROLL_BACK_AWAITING_PULSE,
}
_BLOCKED: Final = {
    S.ROLLING_FORWARD: S.ROLL_FORWARD_AWAITING_PULSE,
    S.ROLLING_BACK: S.ROLL_BACK_AWAITING_PULSE,
}
_UNBLOCKED: Final = {blocked: rolling for rolling, blocked in _BLOCKED.items()}


class IllegalTransition(ValueError):
    """The update cannot go where it was asked to."""


def step(current: JobUpdateStatus, target: JobUpdateStatus | None) -> JobUpdateStatus | None:
    """The status to enter, or None when the update is there already.

    Raises `IllegalTransition`; a `target` of None stands for a request that means nothing in `current`.
    """
    if target is current:
        return None
    if target is None or target not in ALLOWED[current]:
        raise IllegalTransition(
            f"Cannot transition update from {current.name} to {'null' if target is None else target.name}"
        )
    return target


def paused(current: JobUpdateStatus) -> JobUpdateStatus | None:
    """Where pauseJobUpdate leads."""
    return _PAUSED.get(current)


def resumed(current: JobUpdateStatus, pulse_expired: bool) -> JobUpdateStatus | None:
    """Where resumeJobUpdate leads; `pulse_expired` only of a coordinated update."""
    return (_RESUMED_BLOCKED if pulse_expired else _RESUMED).get(current)


def blocked(current: JobUpdateStatus) -> JobUpdateStatus:
    """Where a rolling update goes when its pulses stop."""
    return _BLOCKED[current]


def unblocked(current: JobUpdateStatus) -> JobUpdateStatus | None:
    """Where a pulse leads; None when `current` awaits none."""
    return _UNBLOCKED.get(current)
