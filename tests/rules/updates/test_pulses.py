"""When an update has to wait for a pulse: updates sheet, section 4.2."""

import pytest

from aurorad.api.enums import JobUpdateStatus
from aurorad.api.updates import (
    JobUpdate,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateSettings,
)
from aurorad.rules.updates.pulses import expiry_ms

S = JobUpdateStatus


def update(*events: JobUpdateEvent, timeout_ms: int = 100) -> JobUpdateDetails:
    settings = JobUpdateSettings(block_if_no_pulses_after_ms=timeout_ms)
    return JobUpdateDetails(JobUpdate(instructions=JobUpdateInstructions(settings=settings)), events)


def test_an_update_without_a_timeout_needs_no_pulses() -> None:
    assert expiry_ms(update(JobUpdateEvent(S.ROLLING_FORWARD, 5), timeout_ms=0), None) is None


def test_a_pulse_lasts_for_the_timeout() -> None:
    assert expiry_ms(update(JobUpdateEvent(S.ROLLING_FORWARD, 5)), 1000) == 1100


STARTED = JobUpdateEvent(S.ROLL_FORWARD_AWAITING_PULSE, 1000, "alice")
PULSED = JobUpdateEvent(S.ROLLING_FORWARD, 2000)


@pytest.mark.parametrize(
    ("events", "last_pulse_ms"),
    [
        pytest.param([STARTED], 0, id="never pulsed"),
        pytest.param([STARTED, PULSED], 2000, id="rolling since a pulse"),
        pytest.param([STARTED, PULSED, JobUpdateEvent(S.ROLL_FORWARD_AWAITING_PULSE, 3000)], 0, id="pulses stopped"),
        pytest.param([STARTED, JobUpdateEvent(S.ROLL_FORWARD_PAUSED, 3000, "alice")], 0, id="paused unpulsed"),
        pytest.param(
            [STARTED, PULSED, JobUpdateEvent(S.ROLL_FORWARD_PAUSED, 3000, "alice")], 2000, id="paused after a pulse"
        ),
        pytest.param([STARTED, JobUpdateEvent(S.ROLLING_BACK, 3000, "alice")], 0, id="rolled back unpulsed"),
    ],
)
def test_without_a_known_pulse_the_events_tell(events: list[JobUpdateEvent], last_pulse_ms: int) -> None:
    assert expiry_ms(update(*events), None) == last_pulse_ms + 100
