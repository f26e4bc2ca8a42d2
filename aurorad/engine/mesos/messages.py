"""Mesos' v1 scheduler API: the calls a framework makes and the events it is told, as msgspec structs.

Their JSON is Mesos' own: bytes in base64, ids as messages of one field. Fields that nobody here uses are not declared;
those that a master sends are skipped. `aurorad/engine/mesos/tasks.py` has what a task to launch is made of.
"""

from __future__ import annotations

import msgspec

from aurorad.engine.executor_api import Id as Id

PATH = "/api/v1/scheduler"
STREAM_ID = "Mesos-Stream-Id"

EVENT_TYPES = (
    "SUBSCRIBED",
    "OFFERS",
    "INVERSE_OFFERS",
    "RESCIND",
    "RESCIND_INVERSE_OFFER",
    "UPDATE",
    "UPDATE_OPERATION_STATUS",
    "MESSAGE",
    "FAILURE",
    "ERROR",
    "HEARTBEAT",
    "UNKNOWN",
)


ABSENT = msgspec.Raw()
"""What is raw and not there: this very value is left out."""


class _Message(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is not there is not written either."""


# What several of them hold.


class Scalar(_Message, frozen=True):
    value: float


class Range(_Message, frozen=True):
    """Both ends are within."""

    begin: int
    end: int


class Ranges(_Message, frozen=True):
    range: tuple[Range, ...] = ()


class Text(_Message, frozen=True):
    value: str


class Revocable(msgspec.Struct, frozen=True):
    """Its being there is all it says."""


class Resource(_Message, frozen=True):
    """`reservation` says how it is reserved, and goes back as it came.

    The last three mark what is no plain resource: volumes, shared ones, those of a resource provider.
    """

    name: str
    type: str
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    role: str | None = None
    revocable: Revocable | None = None
    reservation: msgspec.Raw = ABSENT
    disk: msgspec.Raw = ABSENT
    shared: msgspec.Raw = ABSENT
    provider_id: Id | None = None


class Attribute(_Message, frozen=True):
    name: str
    type: str
    scalar: Scalar | None = None
    text: Text | None = None


class Address(_Message, frozen=True):
    port: int
    hostname: str | None = None
    ip: str | None = None


class Url(_Message, frozen=True):
    address: Address


class Time(_Message, frozen=True):
    nanoseconds: int


class Unavailability(_Message, frozen=True):
    start: Time


class Filters(_Message, frozen=True):
    refuse_seconds: float | None = None


# Events.


class Offer(_Message, frozen=True):
    id: Id
    agent_id: Id
    hostname: str
    resources: tuple[Resource, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    unavailability: Unavailability | None = None


class InverseOffer(_Message, frozen=True):
    id: Id
    unavailability: Unavailability
    agent_id: Id | None = None
    url: Url | None = None


class Subscribed(_Message, frozen=True):
    framework_id: Id
    heartbeat_interval_seconds: float | None = None


class Offers(_Message, frozen=True):
    """Each of them an `Offer`, raw: there may be so many that they are read one by one."""

    offers: tuple[msgspec.Raw, ...] = ()


class InverseOffers(_Message, frozen=True):
    inverse_offers: tuple[InverseOffer, ...] = ()


class Rescind(_Message, frozen=True):
    offer_id: Id


class TaskStatus(_Message, frozen=True):
    """`timestamp` in seconds since the epoch; `uuid` is there if it is to be acknowledged."""

    task_id: Id
    state: str
    agent_id: Id | None = None
    executor_id: Id | None = None
    uuid: bytes | None = None
    message: str | None = None
    source: str | None = None
    reason: str | None = None
    timestamp: float | None = None


class Update(_Message, frozen=True):
    status: TaskStatus


class Failure(_Message, frozen=True):
    """Of an agent, or of an executor if one is named; `status` is its wait status."""

    agent_id: Id | None = None
    executor_id: Id | None = None
    status: int | None = None


class Error(_Message, frozen=True):
    message: str = ""


class Event(_Message, frozen=True):
    """One of `EVENT_TYPES`, with the field of that name; those that say nothing to us have no field here."""

    type: str
    subscribed: Subscribed | None = None
    offers: Offers | None = None
    inverse_offers: InverseOffers | None = None
    rescind: Rescind | None = None
    update: Update | None = None
    failure: Failure | None = None
    error: Error | None = None


# Calls.


class Capability(_Message, frozen=True):
    type: str


class FrameworkInfo(_Message, frozen=True):
    user: str
    name: str
    id: Id | None = None
    failover_timeout: float = 0.0
    checkpoint: bool = False
    role: str | None = None
    hostname: str | None = None
    principal: str | None = None
    webui_url: str | None = None
    capabilities: tuple[Capability, ...] = ()


class Subscribe(_Message, frozen=True):
    framework_info: FrameworkInfo


class Launch(_Message, frozen=True):
    """Each of them a Mesos TaskInfo."""

    task_infos: tuple[msgspec.Struct, ...]


class Operation(_Message, frozen=True):
    type: str
    launch: Launch | None = None


class Accept(_Message, frozen=True):
    offer_ids: tuple[Id, ...]
    operations: tuple[Operation, ...] = ()
    filters: Filters | None = None


class Decline(_Message, frozen=True):
    offer_ids: tuple[Id, ...]
    filters: Filters | None = None


class AcceptInverseOffers(_Message, frozen=True):
    inverse_offer_ids: tuple[Id, ...]
    filters: Filters | None = None


class Kill(_Message, frozen=True):
    task_id: Id


class Acknowledge(_Message, frozen=True):
    agent_id: Id
    task_id: Id
    uuid: bytes


class ReconciledTask(_Message, frozen=True):
    task_id: Id
    agent_id: Id | None = None


class Reconcile(msgspec.Struct, frozen=True):
    """No tasks at all means all of them; so they are written even if there are none."""

    tasks: tuple[ReconciledTask, ...] = ()


class Call(_Message, frozen=True):
    """Its type's name, in lower case, is the field that goes with it; SUPPRESS and REVIVE have none."""

    type: str
    framework_id: Id | None = None
    subscribe: Subscribe | None = None
    accept: Accept | None = None
    decline: Decline | None = None
    accept_inverse_offers: AcceptInverseOffers | None = None
    kill: Kill | None = None
    acknowledge: Acknowledge | None = None
    reconcile: Reconcile | None = None
