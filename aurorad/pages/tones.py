"""Which colour a state has (web-ui sheet, section 1.1). Colour only repeats what the word beside it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Tone = Literal["good", "wait", "work", "bad", "quiet"]


def _by_name(**names: str) -> Mapping[str, Tone]:
    tones: dict[str, Tone] = {}
    for tone in ("good", "wait", "work", "bad", "quiet"):
        tones.update(dict.fromkeys(names.get(tone, "").split(), tone))
    return tones


_TASK = _by_name(
    good="RUNNING FINISHED",
    wait="ASSIGNED PENDING LOST KILLING DRAINING PREEMPTING",
    work="STARTING",
    bad="THROTTLED FAILED",
    quiet="INIT KILLED RESTARTING PARTITIONED",
)
_UPDATE = _by_name(
    good="ROLLED_FORWARD",
    wait="ROLL_FORWARD_AWAITING_PULSE ROLL_FORWARD_PAUSED",
    work="ROLLING_FORWARD",
    bad="ROLLING_BACK ROLLED_BACK ROLL_BACK_PAUSED ROLL_BACK_AWAITING_PULSE ABORTED ERROR FAILED",
)
_INSTANCE = _by_name(
    good="INSTANCE_UPDATED",
    wait="INSTANCE_ROLLING_BACK INSTANCE_ROLLED_BACK",
    work="INSTANCE_UPDATING",
    bad="INSTANCE_UPDATE_FAILED INSTANCE_ROLLBACK_FAILED",
)
_THERMOS = _by_name(  # tasks and processes as the runner has them
    good="SUCCESS RUNNING ACTIVE",
    wait="WAITING LOST CLEANING FINALIZING",
    work="FORKED",
    bad="FAILED",
    quiet="KILLED UNKNOWN",
)


def of_task(status: str) -> Tone:
    return _TASK.get(status, "quiet")


def of_update(status: str) -> Tone:
    return _UPDATE.get(status, "work")


def of_instance(action: str) -> Tone:
    return _INSTANCE.get(action, "work")


def of_thermos(state: str) -> Tone:
    return _THERMOS.get(state, "quiet")
