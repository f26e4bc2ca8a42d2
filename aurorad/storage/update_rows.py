"""An update grows by its events, which say its state."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aurorad.api.updates import (
    JobInstanceUpdateEvent,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateState,
)


def with_event(
    updates: Mapping[JobUpdateKey, JobUpdateDetails], key: JobUpdateKey, event: JobUpdateEvent
) -> JobUpdateDetails:
    """An update with one more event. Raises `LookupError` for an unknown one."""
    details = updates.get(key)
    if details is None:
        raise LookupError(f"Update not found: {key}")
    events = _sorted_in(details.update_events, (event,))
    return with_derived_state(msgspec.structs.replace(details, update_events=events))


def with_instance_events(
    updates: Mapping[JobUpdateKey, JobUpdateDetails], key: JobUpdateKey, events: Sequence[JobInstanceUpdateEvent]
) -> JobUpdateDetails:
    """An update with more events of its instances. Raises `LookupError` for an unknown one."""
    details = updates.get(key)
    if details is None:
        raise LookupError(f"Update not found: {key}")
    all_events = _sorted_in(details.instance_events, events)
    return with_derived_state(msgspec.structs.replace(details, instance_events=all_events))


def _sorted_in(events: tuple[Any, ...], later: Sequence[Any]) -> tuple[Any, ...]:
    """Stable by time. An update has up to two events an instance, so the usual case, newer ones, must be cheap."""
    every = (*events, *later)
    start = max(0, len(events) - 1)
    if all(one.timestamp_ms <= next_.timestamp_ms for one, next_ in itertools.pairwise(every[start:])):
        return every
    return tuple(sorted(every, key=lambda event: event.timestamp_ms))


def with_derived_state(details: JobUpdateDetails) -> JobUpdateDetails:
    """The update with its state as its events say (updates sheet, section 2)."""
    events = details.update_events
    if not events:
        return details
    last = max([events[-1].timestamp_ms, *[event.timestamp_ms for event in details.instance_events[-1:]]])
    state = JobUpdateState(events[-1].status, events[0].timestamp_ms, last)
    summary = msgspec.structs.replace(details.update.summary, state=state)
    return msgspec.structs.replace(details, update=msgspec.structs.replace(details.update, summary=summary))
