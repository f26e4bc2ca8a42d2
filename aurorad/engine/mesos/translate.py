"""Between Mesos' messages and the engine's values: pure functions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from aurorad.api.tasks import Attribute
from aurorad.engine import base
from aurorad.engine.mesos import messages as wire

_NANOSECONDS = 1_000_000  # to a millisecond


def offer(made: wire.Offer) -> base.Offer:
    return base.Offer(
        id=made.id.value,
        agent_id=made.agent_id.value,
        hostname=made.hostname,
        resources=tuple(_resource(each) for each in made.resources if _is_plain(each)),
        attributes=_attributes(made.attributes),
        unavailability_start_ms=_start_ms(made.unavailability) if made.unavailability is not None else None,
    )


def _is_plain(resource: wire.Resource) -> bool:
    """What is not must not be used up as if it were: volumes, and what providers or several tasks share."""
    return not bytes(resource.disk) and not bytes(resource.shared) and resource.provider_id is None


def _resource(resource: wire.Resource) -> base.Resource:
    return base.Resource(
        name=resource.name,
        scalar=resource.scalar.value if resource.scalar is not None else None,
        ranges=tuple((span.begin, span.end) for span in resource.ranges.range) if resource.ranges is not None else (),
        role=resource.role or "*",
        revocable=resource.revocable is not None,
        reservation=bytes(resource.reservation).decode() or None,
    )


def wire_resource(resource: base.Resource) -> wire.Resource:
    """A resource of a task, as Mesos takes it."""
    ranged = resource.scalar is None
    return wire.Resource(
        name=resource.name,
        type="RANGES" if ranged else "SCALAR",
        scalar=wire.Scalar(resource.scalar) if resource.scalar is not None else None,
        ranges=wire.Ranges(tuple(wire.Range(*span) for span in resource.ranges)) if ranged else None,
        role=resource.role,
        revocable=wire.Revocable() if resource.revocable else None,
        reservation=msgspec.Raw(resource.reservation) if resource.reservation is not None else wire.ABSENT,
    )


def _attributes(attributes: Iterable[wire.Attribute]) -> frozenset[Attribute]:
    """Texts, and numbers as text; those of the same name are one (scheduling sheet, section 3)."""
    values: dict[str, set[str]] = {}
    for each in attributes:
        if each.text is not None:
            values.setdefault(each.name, set()).add(each.text.value)
        elif each.scalar is not None:
            values.setdefault(each.name, set()).add(str(each.scalar.value))
    return frozenset(Attribute(name, frozenset(each)) for name, each in values.items())


def _start_ms(unavailability: wire.Unavailability) -> int:
    return unavailability.start.nanoseconds // _NANOSECONDS


def inverse_offer(made: wire.InverseOffer) -> base.InverseOffer:
    address = made.url.address if made.url is not None else None
    hostname = (address.hostname or address.ip) if address is not None else None
    return base.InverseOffer(made.id.value, hostname, _start_ms(made.unavailability))


def status_update(status: wire.TaskStatus) -> base.StatusUpdate:
    """A state that we do not know, of a newer Mesos, is unknown."""
    try:
        state = base.TaskState(status.state)
    except ValueError:
        state = base.TaskState.TASK_UNKNOWN
    return base.StatusUpdate(
        task_id=status.task_id.value,
        state=state,
        agent_id=status.agent_id.value if status.agent_id is not None else None,
        message=status.message or None,
        reason=status.reason,
        source=status.source,
        timestamp_s=status.timestamp,
        uuid=status.uuid or None,
    )


def failure(failed: wire.Failure) -> base.AgentLost | base.ExecutorLost | None:
    """None for one that names no agent."""
    if failed.agent_id is None:
        return None
    if failed.executor_id is None:
        return base.AgentLost(failed.agent_id.value)
    return base.ExecutorLost(failed.executor_id.value, failed.agent_id.value, failed.status or 0)
