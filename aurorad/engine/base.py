"""What an engine is: a stream of events and a handful of calls, in Mesos' own words (scheduling sheet, 2 and 10-12).

The scheduler must not know which engine runs. An engine relies on two orders: a task is logged as ASSIGNED before
`launch`, a status update is logged before `acknowledge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec
import trio
from frozendict import frozendict

from aurorad.api.tasks import Attribute, Container, MesosContainer, MesosFetcherURI

NO_CONTAINER = Container(mesos=MesosContainer())


class Resource(msgspec.Struct, frozen=True, gc=False):
    """One resource of an offer or a task: a scalar (``cpus mem disk gpus``) or ranges of whole numbers (``ports``).

    ``mem`` and ``disk`` are in MB. Ranges include both ends. `reservation` is opaque: how it is reserved, as the engine
    wrote it.
    """

    name: str
    scalar: float | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    role: str = "*"
    revocable: bool = False
    reservation: str | None = None
    """How it is reserved, as the engine wrote it: whoever takes of the resource hands it back as it is."""


class Offer(msgspec.Struct, frozen=True, gc=False):
    """Resources of one agent that may be used now."""

    id: str
    agent_id: str
    hostname: str
    resources: tuple[Resource, ...]
    attributes: frozenset[Attribute] = frozenset()
    unavailability_start_ms: int | None = None


class TaskInfo(msgspec.Struct, frozen=True, gc=False):
    """One task to launch. `data` is the AssignedTask in TBinary; `executor_resources` are the executor's own.

    Without an executor, `executor_name` is None, `executor_id` is empty, and `data` too. `uris` are the task's own,
    which are fetched beside its executor's; `ports` are those it was assigned, by name.
    """

    task_id: str
    name: str
    agent_id: str
    resources: tuple[Resource, ...]
    executor_id: str
    executor_resources: tuple[Resource, ...]
    source: str
    labels: tuple[tuple[str, str], ...]
    data: bytes
    executor_name: str | None = None
    container: Container = NO_CONTAINER
    uris: tuple[MesosFetcherURI, ...] = ()
    ports: Mapping[str, int] = frozendict()


class TaskState(StrEnum):
    """Mesos' task states."""

    TASK_STAGING = "TASK_STAGING"
    TASK_STARTING = "TASK_STARTING"
    TASK_RUNNING = "TASK_RUNNING"
    TASK_KILLING = "TASK_KILLING"
    TASK_FINISHED = "TASK_FINISHED"
    TASK_FAILED = "TASK_FAILED"
    TASK_KILLED = "TASK_KILLED"
    TASK_ERROR = "TASK_ERROR"
    TASK_LOST = "TASK_LOST"
    TASK_DROPPED = "TASK_DROPPED"
    TASK_UNREACHABLE = "TASK_UNREACHABLE"
    TASK_GONE = "TASK_GONE"
    TASK_GONE_BY_OPERATOR = "TASK_GONE_BY_OPERATOR"
    TASK_UNKNOWN = "TASK_UNKNOWN"


class Registered(msgspec.Struct, frozen=True, gc=False):
    """The engine knows us, under this framework id."""

    framework_id: str


class Disconnected(msgspec.Struct, frozen=True, gc=False):
    """Every offer is void until the next `Registered`."""


class Offers(msgspec.Struct, frozen=True, gc=False):
    offers: tuple[Offer, ...]


class Rescind(msgspec.Struct, frozen=True, gc=False):
    offer_id: str


class StatusUpdate(msgspec.Struct, frozen=True, gc=False):
    """What became of a task. Sent again until acknowledged, unless `uuid` is None (then nothing is to acknowledge)."""

    task_id: str
    state: TaskState
    agent_id: str | None = None
    message: str | None = None
    reason: str | None = None
    source: str | None = None
    timestamp_s: float | None = None
    uuid: bytes | None = None


class AgentLost(msgspec.Struct, frozen=True, gc=False):
    agent_id: str


class ExecutorLost(msgspec.Struct, frozen=True, gc=False):
    executor_id: str
    agent_id: str
    status: int


class InverseOffer(msgspec.Struct, frozen=True):
    """An agent will be unavailable from then on; the engine has agreed to it. Told again while it holds."""

    id: str
    hostname: str | None
    unavailability_start_ms: int


Event = Registered | Disconnected | Offers | Rescind | StatusUpdate | AgentLost | ExecutorLost | InverseOffer


class Engine(Protocol):
    """All calls may be made only while `run` runs; those about unknown offers or tasks are answered by events."""

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None:
        """Feed `events` until cancelled. The first event is `Registered`, with `framework_id` if one was given.

        Cancellation leaves tasks running.
        """

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        """Use the offer; what the tasks leave comes back in a later offer, not before `refuse_s` seconds."""

    async def decline(self, offer_id: str, refuse_s: float) -> None: ...

    async def suppress(self) -> None:
        """No offers are needed, until `revive` or the next `Registered`. Some may still come; who shares its machines
        with nobody else may offer them all the same."""

    async def revive(self) -> None:
        """Offers are needed again, also of what was declined."""

    async def kill(self, task_id: str) -> None:
        """End the task. An unknown task is answered with TASK_LOST."""

    async def acknowledge(self, update: StatusUpdate) -> None:
        """The update is in the log: it need not be sent again."""

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        """Ask for the state of these tasks, or of all if none are given; unknown ones come back as TASK_LOST."""
