"""Until when an update may go on without a sign of life from outside (updates sheet, section 4.2)."""

from __future__ import annotations

from typing import Final

from aurorad.api.updates import JobUpdateDetails
from aurorad.rules.updates.transitions import AWAITING_PULSE

TIMED_OUT: Final = "Pulses from external service have timed out."


def expiry_ms(details: JobUpdateDetails, last_pulse_ms: int | None) -> int | None:
    """When the last pulse wears off; None for an update that needs none.

    Without a `last_pulse_ms`, as after a restart, the events tell when the update was last known to be alive: what
    people asked for (a pause, a rollback) proves nothing, what went on without them does.
    """
    timeout_ms = details.update.instructions.settings.block_if_no_pulses_after_ms
    if timeout_ms <= 0:
        return None
    if last_pulse_ms is None:
        known = [event for event in details.update_events if event.user is None or event.status in AWAITING_PULSE]
        last_pulse_ms = 0 if not known or known[-1].status in AWAITING_PULSE else known[-1].timestamp_ms
    return last_pulse_ms + timeout_ms
