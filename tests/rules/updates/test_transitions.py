"""The status machine of an update: updates sheet, sections 1 and 4."""

import pytest

from aurorad.api.enums import JobUpdateStatus
from aurorad.rules.updates import transitions
from aurorad.rules.updates.transitions import IllegalTransition, paused, resumed, step

RF, RB = JobUpdateStatus.ROLLING_FORWARD, JobUpdateStatus.ROLLING_BACK
PF, PB = JobUpdateStatus.ROLL_FORWARD_PAUSED, JobUpdateStatus.ROLL_BACK_PAUSED
AF, AB = JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE, JobUpdateStatus.ROLL_BACK_AWAITING_PULSE
FORWARD, BACK = JobUpdateStatus.ROLLED_FORWARD, JobUpdateStatus.ROLLED_BACK
ABORTED, FAILED, ERROR = JobUpdateStatus.ABORTED, JobUpdateStatus.FAILED, JobUpdateStatus.ERROR
TERMINAL = [FORWARD, BACK, ABORTED, ERROR, FAILED]

TABLE = {
    RF: {RB, PF, AF, FORWARD, ABORTED, FAILED, ERROR},
    RB: {PB, AB, BACK, ABORTED, ERROR, FAILED},
    PF: {RB, RF, AF, ABORTED, ERROR},
    PB: {RB, AB, ABORTED, ERROR},
    AF: {RB, RF, PF, ABORTED, ERROR},
    AB: {RB, PB, ABORTED, ERROR},
} | {status: set() for status in TERMINAL}


@pytest.mark.parametrize("start", JobUpdateStatus)
@pytest.mark.parametrize("target", JobUpdateStatus)
def test_every_pair_of_statuses_is_as_the_sheet_says(start: JobUpdateStatus, target: JobUpdateStatus) -> None:
    if start is target:
        assert step(start, target) is None
    elif target in TABLE[start]:
        assert step(start, target) is target
    else:
        with pytest.raises(IllegalTransition, match=f"^Cannot transition update from {start.name} to {target.name}$"):
            step(start, target)


@pytest.mark.parametrize("start", JobUpdateStatus)
def test_a_request_without_meaning_leads_to_null(start: JobUpdateStatus) -> None:
    with pytest.raises(IllegalTransition, match=f"^Cannot transition update from {start.name} to null$"):
        step(start, None)


@pytest.mark.parametrize(
    ("start", "target"),
    [(RF, PF), (AF, PF), (PF, PF), (RB, PB), (AB, PB), (PB, PB), *((status, None) for status in TERMINAL)],
)
def test_pause(start: JobUpdateStatus, target: JobUpdateStatus | None) -> None:
    assert paused(start) is target


@pytest.mark.parametrize(
    ("start", "expired", "target"),
    [
        (PF, False, RF),
        (RF, False, RF),
        (PB, False, RB),
        (RB, False, RB),
        (AF, False, None),
        (AB, False, None),
        (PF, True, AF),
        (AF, True, AF),
        (PB, True, AB),
        (AB, True, AB),
        (RF, True, None),
        (RB, True, None),
        *((status, expired, None) for status in TERMINAL for expired in (False, True)),
    ],
)
def test_resume(start: JobUpdateStatus, expired: bool, target: JobUpdateStatus | None) -> None:
    assert resumed(start, expired) is target


def test_the_text_about_active_updates_lists_them_in_the_original_order() -> None:
    assert transitions.ACTIVE_UPDATE_EXISTS == (
        "An active update already exists for this job, please terminate it before starting another. Active updates "
        "are those in states [ROLLING_FORWARD, ROLLING_BACK, ROLL_FORWARD_PAUSED, ROLL_BACK_PAUSED, "
        "ROLL_FORWARD_AWAITING_PULSE, ROLL_BACK_AWAITING_PULSE]"
    )


def test_pulses_block_and_unblock_the_same_direction() -> None:
    assert (transitions.blocked(RF), transitions.blocked(RB)) == (AF, AB)
    assert (transitions.unblocked(AF), transitions.unblocked(AB), transitions.unblocked(PF)) == (RF, RB, None)
